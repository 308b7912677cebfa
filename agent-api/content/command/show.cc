#include "show.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace ringfence::content {
namespace {

std::string Signer(const Shown& shown) {
  if (shown.key_id.empty()) return "nobody";
  return absl::StrCat("key ", shown.key_id, shown.key_checked ? "" : " (not checked: --key FILE checks it)");
}

std::string ConditionText(const Content& content, const Condition& condition) {
  const std::string field = condition.field < content.fields.size() ? content.fields[condition.field].name
                                                                    : absl::StrCat(condition.field);
  if (condition.op == Op::kPresent) return absl::StrCat(field, " present");
  const std::string operand =
      condition.op >= Op::kIs ? absl::StrCat(condition.number) : absl::StrCat("\"", condition.text, "\"");
  return absl::StrCat(field, " ", Name(condition.op), " ", operand);
}

void Pad(std::string* line, size_t column) {
  line->append(line->size() < column ? column - line->size() : 1, ' ');
}

}  // namespace

std::string ToTable(const Shown& shown) {
  const Content& content = shown.content;
  std::string out = absl::StrCat(
      "content    ", content.channel, "/", content.serial, " ", content.version, "\n", "sha256     ",
      shown.sha256, "\n", "size       ", shown.size_bytes, " bytes\n", "signed by  ", Signer(shown), "\n",
      "sensors    ", content.sensor_min.ToString(), " to ", content.sensor_max.ToString(), "\n",
      "schema     ", content.schema_id, ", ", content.fields.size(), " inputs\n\n");
  const std::vector<uint32_t> reads = ReadsPerField(content);
  std::string line = "INPUT";
  Pad(&line, 8);
  line += "NAME";
  Pad(&line, 32);
  absl::StrAppend(&out, line, "TYPE    READ BY\n");
  for (size_t i = 0; i < content.fields.size(); ++i) {
    line = absl::StrCat(i);
    Pad(&line, 8);
    line += content.fields[i].name;
    Pad(&line, 32);
    absl::StrAppend(&line, Name(content.fields[i].type));
    Pad(&line, 40);
    absl::StrAppend(&out, line, reads[i], reads[i] == 1 ? " condition\n" : " conditions\n");
  }
  absl::StrAppend(&out, "\n", content.rules.size(), content.rules.size() == 1 ? " rule\n" : " rules\n");
  for (const Rule& rule : content.rules) {
    absl::StrAppend(&out, "  ", Name(rule.action), " ", rule.name, "\n");
    for (const Condition& condition : rule.conditions) {
      absl::StrAppend(&out, "    when ", ConditionText(content, condition), "\n");
    }
  }
  return out;
}

std::string ToJson(const Shown& shown) {
  using nlohmann::json;
  const Content& content = shown.content;
  const std::vector<uint32_t> reads = ReadsPerField(content);
  json fields = json::array(), rules = json::array();
  for (size_t i = 0; i < content.fields.size(); ++i) {
    fields.push_back({{"name", content.fields[i].name},
                      {"type", std::string(Name(content.fields[i].type))},
                      {"read_by_conditions", reads[i]}});
  }
  for (const Rule& rule : content.rules) {
    json when = json::array();
    for (const Condition& condition : rule.conditions) {
      json one = {
          {"field", condition.field < content.fields.size() ? content.fields[condition.field].name : ""}};
      const std::string op(Name(condition.op));
      if (condition.op == Op::kPresent) {
        one[op] = true;
      } else if (condition.op >= Op::kIs) {
        one[op] = condition.number;
      } else {
        one[op] = condition.text;
      }
      when.push_back(std::move(one));
    }
    rules.push_back(
        {{"name", rule.name}, {"action", std::string(Name(rule.action))}, {"when", std::move(when)}});
  }
  const json all = {{"channel", content.channel},
                    {"version", content.version},
                    {"serial", content.serial},
                    {"schema", content.schema_id},
                    {"sensor_min", content.sensor_min.ToString()},
                    {"sensor_max", content.sensor_max.ToString()},
                    {"sha256", shown.sha256},
                    {"size_bytes", shown.size_bytes},
                    {"signed_by", shown.key_id.empty() ? json() : json(shown.key_id)},
                    {"signature_checked", shown.key_checked},
                    {"fields", std::move(fields)},
                    {"rules", std::move(rules)}};
  return all.dump(2) + "\n";
}

}  // namespace ringfence::content
