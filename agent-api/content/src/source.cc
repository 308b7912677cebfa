#include "ringfence/content/source.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/ids.h"
#include "ringfence/content/yaml_documents.h"
#include "yaml_reader.h"

namespace ringfence::content {
namespace {

constexpr char kContentFormat[] = "ringfence-content/1";
constexpr char kSchemaFormat[] = "ringfence-schema/1";
constexpr size_t kMaxSensors = 1000;
// What remains of a file for its rules when everything else is as large as it may be.
constexpr uint64_t kMaxRulesBytes = kMaxFileBytes - (64 << 10);

constexpr Op kOps[] = {Op::kPresent, Op::kEquals, Op::kPrefix, Op::kSuffix, Op::kContains,
                       Op::kGlob,    Op::kIs,     Op::kIsNot,  Op::kBelow,  Op::kAbove};

bool IsOnNumbers(Op op) {
  return op >= Op::kIs;
}

void ReadFormat(const YamlReader& in, const char* format) {
  if (in.Text(64, format) != format) in.Fail(format);
}

uint32_t ReadSchemaId(const YamlReader& in) {
  return static_cast<uint32_t>(in.Integer(0, std::numeric_limits<uint32_t>::max()));
}

std::vector<Field> ReadFields(const YamlReader& in) {
  std::vector<Field> fields;
  in.Each(kMaxFields, [&](const YamlReader& item) {
    Field field;
    if (item.IsMapOf({"name", "type"}, {})) {
      field.name = item.Get("name").Text(kMaxFieldNameBytes, "a name of a-z, 0-9 and _");
      const bool twice = std::any_of(fields.begin(), fields.end(),
                                     [&](const Field& other) { return other.name == field.name; });
      if (!field.name.empty() && !IsFieldName(field.name)) item.Get("name").Fail("a name of a-z, 0-9 and _");
      if (!field.name.empty() && twice) item.Get("name").Fail("a name that no other field has");
      const std::string type = item.Get("type").Text(16, "text or number");
      if (type == Name(FieldType::kNumber)) {
        field.type = FieldType::kNumber;
      } else if (!type.empty() && type != Name(FieldType::kText)) {
        item.Get("type").Fail("text or number");
      }
    }
    fields.push_back(std::move(field));  // also a faulty one: the others keep their index
  });
  if (fields.empty()) in.Fail("at least one field");
  return fields;
}

std::string FieldNames(const std::vector<Field>& fields) {
  const size_t shown = std::min<size_t>(fields.size(), 20);
  return absl::StrCat(
      absl::StrJoin(fields.begin(), fields.begin() + static_cast<ptrdiff_t>(shown), ", ",
                    [](std::string* out, const Field& field) { absl::StrAppend(out, field.name); }),
      shown < fields.size() ? ", ..." : "");
}

// {field: NAME, OPERATION: OPERAND}
Condition ReadCondition(const YamlReader& in, const std::vector<Field>& fields) {
  Condition condition;
  if (!in.IsMapOf({"field"}, {"present", "equals", "prefix", "suffix", "contains", "glob", "is", "is_not",
                              "below", "above"})) {
    return condition;
  }
  const std::string name = in.Get("field").Text(kMaxFieldNameBytes, "the name of a field");
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const Field& other) { return other.name == name; });
  if (name.empty() || field == fields.end()) {
    if (!name.empty()) in.Get("field").Fail(absl::StrCat("one of the fields ", FieldNames(fields)));
    return condition;
  }
  condition.field = static_cast<uint16_t>(field - fields.begin());

  std::vector<Op> given;
  for (const Op op : kOps) {
    if (in.Get(std::string(Name(op)).c_str()).present()) given.push_back(op);
  }
  if (given.size() != 1) {
    in.Fail(
        "a field and one operation: present, equals, prefix, suffix, contains, glob, is, is_not, below or "
        "above");
    return condition;
  }
  condition.op = given.front();
  const YamlReader operand = in.Get(std::string(Name(condition.op)).c_str());
  if (condition.op == Op::kPresent) {
    if (operand.Text(8, "true") != "true") operand.Fail("true");
    return condition;
  }
  if (IsOnNumbers(condition.op) != (field->type == FieldType::kNumber)) {
    operand.Fail(absl::StrCat("an operation on ", field->type == FieldType::kText ? "text" : "numbers",
                              ", which is what ", name, " is"));
  } else if (IsOnNumbers(condition.op)) {
    condition.number =
        operand.Integer(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
  } else {
    condition.text = operand.Text(kMaxTextBytes, "a text", /*may_be_empty=*/true);
    if (condition.op == Op::kGlob &&
        std::count(condition.text.begin(), condition.text.end(), '*') > kMaxStars) {
      operand.Fail(absl::StrCat("at most ", kMaxStars, " stars"));
    }
  }
  return condition;
}

Rule ReadRule(const YamlReader& in, const std::vector<Field>& fields) {
  Rule rule;
  if (!in.IsMapOf({"name", "action", "when"}, {})) return rule;
  rule.name = in.Get("name").Text(kMaxRuleNameBytes, "a name");
  const std::string action = in.Get("action").Text(16, "log, alert or block");
  bool known = action.empty();  // a fault already
  for (const Action one : {Action::kLog, Action::kAlert, Action::kBlock}) {
    if (action != Name(one)) continue;
    rule.action = one;
    known = true;
  }
  if (!known) in.Get("action").Fail("log, alert or block");
  const YamlReader when = in.Get("when");
  when.Each(kMaxConditionsPerRule,
            [&](const YamlReader& item) { rule.conditions.push_back(ReadCondition(item, fields)); });
  if (rule.conditions.empty()) when.Fail("at least one condition");
  return rule;
}

void ReadContent(const YamlReader& in, Content* content) {
  if (!in.IsMapOf({"format", "channel", "version", "serial", "schema", "sensors", "fields", "rules"}, {}))
    return;
  ReadFormat(in.Get("format"), kContentFormat);
  content->channel = in.Get("channel").Text(63, "a channel: a-z, 0-9 and -");
  if (!content->channel.empty() && !IsSlug(content->channel))
    in.Get("channel").Fail("1 to 63 of a-z, 0-9 and -");
  content->version = in.Get("version").Text(kMaxVersionBytes, "a version");
  content->serial = static_cast<uint64_t>(in.Get("serial").Integer(1, std::numeric_limits<int64_t>::max()));
  content->schema_id = ReadSchemaId(in.Get("schema"));
  const YamlReader sensors = in.Get("sensors");
  if (sensors.IsMapOf({"from", "to"}, {})) {
    content->sensor_min = sensors.Get("from").Version();
    content->sensor_max = sensors.Get("to").Version();
    if (content->sensor_min > content->sensor_max)
      sensors.Get("to").Fail("a version that is not below `from`");
  }
  content->fields = ReadFields(in.Get("fields"));
  // Aliases let a short source stand for more than a file can hold: count what the rules would take there.
  const YamlReader rules = in.Get("rules");
  uint64_t bytes = 0;
  rules.Each(kMaxRules, [&](const YamlReader& item) {
    if (bytes > kMaxRulesBytes) return;
    const Rule& rule = content->rules.emplace_back(ReadRule(item, content->fields));
    bytes += kRuleBytes + rule.name.size();
    for (const Condition& condition : rule.conditions) bytes += kConditionBytes + condition.text.size();
  });
  if (bytes > kMaxRulesBytes) rules.Fail("rules that fit into a file of 64 MiB");
}

void ReadSchema(const YamlReader& in, std::vector<SensorSchema>* schemas) {
  if (!in.IsMapOf({"format", "schema", "sensors", "fields"}, {"name"})) return;
  ReadFormat(in.Get("format"), kSchemaFormat);
  SensorSchema schema;
  schema.schema_id = ReadSchemaId(in.Get("schema"));
  if (in.Get("name").present()) schema.name = in.Get("name").Text(128, "a name");
  schema.fields = ReadFields(in.Get("fields"));
  in.Get("sensors").Each(kMaxSensors, [&](const YamlReader& item) {
    schema.sensor = item.Version();
    const bool twice = std::any_of(schemas->begin(), schemas->end(),
                                   [&](const SensorSchema& other) { return other.sensor == schema.sensor; });
    if (twice) item.Fail("each sensor version once");
    schemas->push_back(schema);
  });
  if (schemas->empty()) in.Get("sensors").Fail("at least one sensor version");
}

template <typename Value>
Parsed<Value> Parse(absl::string_view yaml, void (*read)(const YamlReader&, Value*)) {
  Parsed<Value> parsed;
  if (yaml.size() > kMaxSourceBytes) {
    parsed.faults.push_back(
        {0, 0, "", absl::StrCat("found ", yaml.size(), " bytes, wanted at most ", kMaxSourceBytes)});
    return parsed;
  }
  try {
    const std::string text(yaml);
    const int documents = CountDocuments(text);
    if (documents == 1) {
      read(YamlReader(YAML::Load(text), "", &parsed.faults), &parsed.value);
    } else if (documents == 0) {
      parsed.faults.push_back({0, 0, "", "found nothing, wanted one document"});
    } else {
      parsed.faults.push_back(
          {0, 0, "", "found something behind the first document, wanted one document alone"});
    }
  } catch (const YAML::Exception& error) {  // not YAML at all
    const YAML::Mark mark = error.mark;
    parsed.faults.push_back(
        {mark.is_null() ? 0 : mark.line + 1, mark.is_null() ? 0 : mark.column + 1, "", Shown(error.msg)});
  }
  return parsed;
}

// Single quotes: in them only the quote itself is special, and the format has no control characters.
std::string Quoted(absl::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

}  // namespace

Parsed<Content> ParseSource(absl::string_view yaml) {
  return Parse<Content>(yaml, ReadContent);
}

Parsed<std::vector<SensorSchema>> ParseSchema(absl::string_view yaml) {
  return Parse<std::vector<SensorSchema>>(yaml, ReadSchema);
}

std::string Render(const std::string& file, const std::vector<SourceFault>& faults) {
  std::string out;
  for (const SourceFault& fault : faults) {
    absl::StrAppend(&out, file, ":");
    if (fault.line > 0) absl::StrAppend(&out, fault.line, ":", fault.column, ":");
    absl::StrAppend(&out, fault.path.empty() ? "" : absl::StrCat(" ", fault.path, ":"), " ", fault.what,
                    "\n");
  }
  if (faults.size() >= kMaxFaults) absl::StrAppend(&out, file, ": there may be more\n");
  return out;
}

std::string ToSource(const Content& content) {
  std::string out =
      absl::StrCat("format: ", kContentFormat, "\nchannel: ", Quoted(content.channel),
                   "\nversion: ", Quoted(content.version), "\nserial: ", content.serial,
                   "\nschema: ", content.schema_id, "\nsensors: {from: ", content.sensor_min.ToString(),
                   ", to: ", content.sensor_max.ToString(), "}\nfields:\n");
  for (const Field& field : content.fields) {
    absl::StrAppend(&out, "  - {name: ", Quoted(field.name), ", type: ", Name(field.type), "}\n");
  }
  absl::StrAppend(&out, "rules:", content.rules.empty() ? " []\n" : "\n");
  for (const Rule& rule : content.rules) {
    absl::StrAppend(&out, "  - name: ", Quoted(rule.name), "\n    action: ", Name(rule.action),
                    "\n    when:\n");
    for (const Condition& condition : rule.conditions) {
      const std::string operand = condition.op == Op::kPresent ? "true"
                                  : IsOnNumbers(condition.op)  ? absl::StrCat(condition.number)
                                                               : Quoted(condition.text);
      const bool known = condition.field < content.fields.size();
      absl::StrAppend(&out, "      - {field: ", Quoted(known ? content.fields[condition.field].name : ""),
                      ", ", Name(condition.op), ": ", operand, "}\n");
    }
  }
  return out;
}

}  // namespace ringfence::content
