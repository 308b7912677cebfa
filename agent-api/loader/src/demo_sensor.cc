#include "ringfence/loader/demo_sensor.h"

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/content/interpreter.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/model.h"

namespace ringfence::loader {
namespace {

constexpr uint32_t kSensor = 7'011'000;
constexpr uint32_t kSchema = 291;
constexpr const char* kTexts[] = {"pipe",      "image",   "parent", "command_line", "user",     "session",
                                  "directory", "target",  "module", "signer",       "original", "company",
                                  "registry",  "service", "host",   "protocol",     "container"};
constexpr const char* kNumbers[] = {"pid", "parent_pid", "port"};

// An input that is not there, or is no number where one belongs, ends the row: an interpreter that trusted
// the schema would read on.
std::vector<content::Input> InputsOf(const std::vector<absl::string_view>& columns) {
  std::vector<content::Input> inputs;
  const std::vector<content::Field>& fields = DemoSchema().fields;
  for (size_t i = 0; i < columns.size() && i < fields.size(); ++i) {
    int64_t number = 0;
    if (fields[i].type == content::FieldType::kText) {
      inputs.push_back(content::Input::OfText(columns[i]));
    } else if (absl::SimpleAtoi(columns[i], &number)) {
      inputs.push_back(content::Input::OfNumber(number));
    } else {
      break;
    }
  }
  return inputs;
}

}  // namespace

const content::SensorSchema& DemoSchema() {
  static const auto& schema = *new content::SensorSchema([] {
    content::SensorSchema made{{kSensor}, kSchema, "demonstration", {}};
    for (const char* name : kTexts) made.fields.push_back({name, content::FieldType::kText});
    for (const char* name : kNumbers) made.fields.push_back({name, content::FieldType::kNumber});
    return made;
  }());
  return schema;
}

std::string DemoSchemaYaml() {
  const content::SensorSchema& schema = DemoSchema();
  std::string text =
      absl::StrCat("format: ringfence-schema/1\nschema: ", schema.schema_id, "\nname: ", schema.name,
                   "\nsensors: [", schema.sensor.ToString(), "]\nfields:\n");
  for (const content::Field& field : schema.fields)
    absl::StrAppend(&text, "  - {name: ", field.name, ", type: ", content::Name(field.type), "}\n");
  return text;
}

absl::Status RunDemoSensor(absl::string_view content, std::istream& events, std::ostream& out) {
  const auto validated =
      content::Validate({reinterpret_cast<const uint8_t*>(content.data()), content.size()},
                        {.build_keys = std::nullopt, .sensors = std::span(&DemoSchema(), 1)});
  if (const auto* rejection = std::get_if<content::Rejection>(&validated))
    return content::ToStatus(*rejection);
  auto made = content::Interpreter::Make(std::get<content::Layout>(validated), DemoSchema());
  if (const auto* rejection = std::get_if<content::Rejection>(&made)) return content::ToStatus(*rejection);
  auto& interpreter = std::get<content::Interpreter>(made);
  for (std::string line; std::getline(events, line);) {
    const std::vector<absl::string_view> columns = absl::StrSplit(line, '\t');
    for (const uint32_t matched : interpreter.Run(InputsOf(columns)).matched) {
      const std::optional<content::RuleView> rule = interpreter.view().rule(matched);
      if (rule.has_value()) out << content::Name(rule->action) << " " << std::string(rule->name) << std::endl;
    }
  }
  out << "disabled " << interpreter.disabled_rules() << std::endl;
  return absl::OkStatus();
}

}  // namespace ringfence::loader
