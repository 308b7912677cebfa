// Content against the inputs that sensors registered: the count that nobody took on the day when 21 met 20.
#include <algorithm>

#include "ringfence/content/view.h"
#include "validator.h"

namespace ringfence::content {
namespace {

Rejection Mismatch(uint64_t offset, std::string field, std::string found, std::string wanted) {
  return Reject(Code::kSchemaMismatch, offset, std::move(field), std::move(found), std::move(wanted));
}

const char* TypeName(FieldType type) {
  return type == FieldType::kNumber ? "number" : "text";
}

Refusal CompareWithOne(const Layout& layout, const SensorSchema& sensor) {
  const std::string who = absl::StrCat("sensor ", sensor.sensor.ToString());
  if (layout.field_count() != sensor.fields.size()) {
    return Mismatch(header::kFieldCountAt, "header.field_count",
                    absl::StrCat(layout.field_count(), " inputs"),
                    absl::StrCat(sensor.fields.size(), ", the number that ", who, " supplies for schema ",
                                 layout.schema_id()));
  }
  const View view(layout);
  for (uint32_t i = 0; i < layout.field_count(); ++i) {
    const std::optional<FieldView> declared = view.field(i);
    const Field& supplied = sensor.fields[i];
    if (declared.has_value() && declared->name == supplied.name && declared->type == supplied.type) continue;
    return Mismatch(
        layout.section(SectionType::kFields).offset + i * kFieldBytes, absl::StrCat("fields[", i, "]"),
        declared.has_value() ? absl::StrCat(declared->name, " (", TypeName(declared->type), ")") : "nothing",
        absl::StrCat(supplied.name, " (", TypeName(supplied.type), "), what ", who, " supplies there"));
  }
  return std::nullopt;
}

}  // namespace

std::optional<Rejection> CompareWithSensors(const Layout& layout, std::span<const SensorSchema> sensors) {
  bool any = false;
  for (const SensorSchema& sensor : sensors) {
    if (sensor.sensor < layout.sensor_min() || sensor.sensor > layout.sensor_max()) continue;
    any = true;
    if (sensor.schema_id == layout.schema_id()) {
      if (Refusal refusal = CompareWithOne(layout, sensor)) return refusal;
      continue;
    }
    // A sensor registers one schema for each type of content. One that has others but not this one cannot
    // read it.
    const bool has_it = std::any_of(sensors.begin(), sensors.end(), [&](const SensorSchema& other) {
      return other.sensor == sensor.sensor && other.schema_id == layout.schema_id();
    });
    if (!has_it) {
      return Mismatch(header::kSchemaIdAt, "header.schema_id", absl::StrCat(layout.schema_id()),
                      absl::StrCat("a schema that sensor ", sensor.sensor.ToString(), " registered"));
    }
  }
  if (any) return std::nullopt;
  return Mismatch(header::kSensorMinAt, "header.sensor_min",
                  absl::StrCat(layout.sensor_min().ToString(), " to ", layout.sensor_max().ToString()),
                  sensors.size() == 1
                      ? absl::StrCat("a range with sensor ", sensors[0].sensor.ToString(), " in it")
                      : "a range with a sensor in it whose inputs are registered");
}

}  // namespace ringfence::content
