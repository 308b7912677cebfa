#include "server/gate/content_gate.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/view.h"
#include "server/gate/targeted.h"

namespace ringfence::gate {
namespace {

using trust::Refusal;
using trust::RefusalType;

RefusalType TypeOf(content::Code code) {
  const absl::string_view word = content::RefusalOf(code);
  for (const RefusalType type :
       {RefusalType::kLimitExceeded, RefusalType::kSchemaMismatch, RefusalType::kBadSignature}) {
    if (word == trust::Name(type)) return type;
  }
  return RefusalType::kMalformed;
}

Refusal RefusalOf(const content::Rejection& rejection) {
  return {TypeOf(rejection.code), "artifact", rejection.field,
          absl::StrCat(rejection.found, " (", content::CodeName(rejection.code), " at byte ",
                       rejection.offset, ")"),
          rejection.wanted};
}

// A file that names another release is not the file of this one.
std::optional<Refusal> Agree(const policy::Release& release, const content::Layout& layout) {
  const content::View view(layout);
  const auto differ = [](const char* field, std::string found, std::string wanted) {
    return Refusal{RefusalType::kEvidenceMismatch, "manifest", field, std::move(found),
                   absl::StrCat(wanted, ", as the content file says")};
  };
  if (release.channel != view.channel())
    return differ("channel", release.channel, std::string(view.channel()));
  if (release.version != view.version())
    return differ("version", release.version, std::string(view.version()));
  if (release.serial != layout.serial())
    return differ("serial", absl::StrCat(release.serial), absl::StrCat(layout.serial()));
  return std::nullopt;
}

// A host gets the release if targets and matrix let it in, whatever range the file claims: so each sensor
// that they let in must be in that range, and registered.
std::optional<Refusal> CheckTargeted(const policy::Release& release, const content::Layout& layout,
                                     std::span<const RegisteredSensor> sensors) {
  for (size_t i = 0; i < release.matrix.size(); ++i) {
    const policy::Requirement* named = FindSensor(release.matrix[i]);
    if (named == nullptr) continue;
    for (const std::string& value : named->any_of) {
      const bool known = std::any_of(sensors.begin(), sensors.end(),
                                     [&](const RegisteredSensor& sensor) { return sensor.label == value; });
      if (known) continue;
      return Refusal{RefusalType::kSchemaMismatch, "manifest", absl::StrCat("matrix[", i, "].sensor"), value,
                     "a sensor whose inputs are registered with this server"};
    }
  }
  for (const RegisteredSensor& sensor : sensors) {
    const bool let_in =
        LetsIn(release.targets, sensor.label) &&
        std::any_of(release.matrix.begin(), release.matrix.end(),
                    [&](const policy::Selector& platform) { return LetsIn(platform, sensor.label); });
    if (!let_in) continue;
    if (sensor.schema.sensor >= layout.sensor_min() && sensor.schema.sensor <= layout.sensor_max()) continue;
    return Refusal{
        RefusalType::kSchemaMismatch, "artifact", "header.sensor_min",
        absl::StrCat(layout.sensor_min().ToString(), " to ", layout.sensor_max().ToString()),
        absl::StrCat("a range with ", sensor.schema.sensor.ToString(), " in it, the sensor of hosts with ",
                     kSensorLabel, "=", sensor.label, ", which targets and matrix let in")};
  }
  return std::nullopt;
}

}  // namespace

bool LooksLikeFct1(absl::string_view bytes) {
  return absl::StartsWith(bytes, absl::string_view(reinterpret_cast<const char*>(content::kMagic.data()),
                                                   content::kMagic.size()));
}

std::optional<trust::Refusal> JudgeContent(const policy::Release& release, absl::string_view bytes,
                                           const Trust* trust) {
  content::Checks checks;
  checks.build_keys = std::nullopt;
  checks.sensors = std::nullopt;
  std::vector<content::SensorSchema> schemas;
  if (trust != nullptr) {
    if (trust->build_keys.has_value())
      checks.build_keys = std::span<const trust::PublicKey>(*trust->build_keys);
    for (const RegisteredSensor& sensor : trust->sensors) schemas.push_back(sensor.schema);
    checks.sensors = std::span<const content::SensorSchema>(schemas);
  }
  const auto validated =
      content::Validate({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, checks);
  if (const auto* rejection = std::get_if<content::Rejection>(&validated)) return RefusalOf(*rejection);
  const content::Layout& layout = std::get<content::Layout>(validated);
  if (trust != nullptr) {
    if (std::optional<Refusal> refusal = CheckTargeted(release, layout, trust->sensors)) return refusal;
  }
  return Agree(release, layout);
}

}  // namespace ringfence::gate
