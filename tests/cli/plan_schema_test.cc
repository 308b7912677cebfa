// docs/plan.schema.json, which editors use, says what the parser reads: the same parts, the same keys, and
// every plan that a page shows is valid by it.
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cli/plan_yaml.h"

namespace ringfence::cli {
namespace {

using Json = nlohmann::json;
using ::testing::IsEmpty;

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Json Schema() {
  return Json::parse(Read("docs/plan.schema.json"));
}

// A value as YAML 1.2 types it: what is quoted is a text.
Json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    Json json = Json::object();
    for (const auto& member : node) json[member.first.Scalar()] = ToJson(member.second);
    return json;
  }
  if (node.IsSequence()) {
    Json json = Json::array();
    for (const YAML::Node& item : node) json.push_back(ToJson(item));
    return json;
  }
  if (node.IsNull()) return nullptr;
  const std::string text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "false") return text == "true";
  if (std::regex_match(text, std::regex("-?[0-9]+"))) return std::stoll(text);
  if (std::regex_match(text, std::regex("-?[0-9]*[.][0-9]+"))) return std::stod(text);
  return text;
}

// The part of JSON Schema that ours uses; a keyword that is not known here fails, so that none is skipped.
class Validator {
 public:
  explicit Validator(Json schema) : root_(std::move(schema)) {}

  std::vector<std::string> Validate(const Json& value) {
    errors_.clear();
    Check(root_, value, "");
    return errors_;
  }

 private:
  bool Passes(const Json& schema, const Json& value) {
    const std::vector<std::string> before = errors_;
    Check(schema, value, "");
    const bool passes = errors_.size() == before.size();
    errors_ = before;
    return passes;
  }

  static bool Is(const Json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    return type == "boolean" && value.is_boolean();
  }

  void Want(bool good, const std::string& path, const std::string& what) {
    if (!good) errors_.push_back(path + ": " + what);
  }

  void Check(const Json& schema, const Json& value, const std::string& path) {
    for (const auto& [keyword, wanted] : schema.items()) {
      static const std::set<std::string> kNotes = {"$schema",     "$defs",   "title",
                                                   "description", "default", "examples"};
      if (kNotes.contains(keyword)) continue;
      if (keyword == "$ref") {
        Check(root_.at(Json::json_pointer(wanted.get<std::string>().substr(1))), value, path);
      } else if (keyword == "type") {
        const Json types = wanted.is_array() ? wanted : Json::array({wanted});
        bool any = false;
        for (const Json& type : types) any = any || Is(value, type);
        Want(any, path, "wanted " + types.dump());
      } else if (keyword == "enum") {
        Want(std::find(wanted.begin(), wanted.end(), value) != wanted.end(), path,
             "wanted one of " + wanted.dump());
      } else if (keyword == "const") {
        Want(value == wanted, path, "wanted " + wanted.dump());
      } else if (keyword == "pattern") {
        if (value.is_string())
          Want(std::regex_search(value.get<std::string>(), std::regex(wanted.get<std::string>())), path,
               value.dump() + " does not match " + wanted.dump());
      } else if (keyword == "minLength") {
        if (value.is_string())
          Want(value.get<std::string>().size() >= wanted.get<size_t>(), path, "too short");
      } else if (keyword == "maxLength") {
        if (value.is_string())
          Want(value.get<std::string>().size() <= wanted.get<size_t>(), path, "too long");
      } else if (keyword == "minimum") {
        if (value.is_number()) Want(value.get<double>() >= wanted.get<double>(), path, "too small");
      } else if (keyword == "maximum") {
        if (value.is_number()) Want(value.get<double>() <= wanted.get<double>(), path, "too large");
      } else if (keyword == "minItems") {
        if (value.is_array()) Want(value.size() >= wanted.get<size_t>(), path, "too few");
      } else if (keyword == "maxItems") {
        if (value.is_array()) Want(value.size() <= wanted.get<size_t>(), path, "too many");
      } else if (keyword == "maxProperties") {
        if (value.is_object()) Want(value.size() <= wanted.get<size_t>(), path, "too many");
      } else if (keyword == "uniqueItems") {
        if (value.is_array())
          Want(std::set<Json>(value.begin(), value.end()).size() == value.size(), path, "repeated");
      } else if (keyword == "items") {
        for (size_t i = 0; value.is_array() && i < value.size(); ++i)
          Check(wanted, value[i], path + "[" + std::to_string(i) + "]");
      } else if (keyword == "required") {
        for (const Json& name : wanted) {
          if (value.is_object()) Want(value.contains(name.get<std::string>()), path, "needs " + name.dump());
        }
      } else if (keyword == "properties") {
        for (const auto& [name, part] : wanted.items()) {
          if (value.is_object() && value.contains(name)) Check(part, value[name], path + "." + name);
        }
      } else if (keyword == "additionalProperties") {
        for (auto it = value.begin(); value.is_object() && it != value.end(); ++it) {
          if (schema.contains("properties") && schema["properties"].contains(it.key())) continue;
          if (wanted.is_object()) {
            Check(wanted, it.value(), path + "." + it.key());
          } else {
            Want(false, path + "." + it.key(), "unknown key");
          }
        }
      } else if (keyword == "anyOf" || keyword == "oneOf") {
        size_t passed = 0;
        for (const Json& part : wanted) passed += Passes(part, value) ? 1 : 0;
        Want(keyword == "anyOf" ? passed > 0 : passed == 1, path, value.dump() + " fits none of the forms");
      } else {
        Want(false, path, "the schema has the keyword " + keyword + ", which this test does not know");
      }
    }
  }

  const Json root_;
  std::vector<std::string> errors_;
};

std::vector<std::string> Faults(const std::string& yaml) {
  return Validator(Schema()).Validate(ToJson(YAML::Load(yaml)));
}

TEST(PlanSchemaTest, HasThePartsAndKeysOfTheParserAndNoOthers) {
  const Json parts = Schema().at("$defs");
  for (const auto& [part, keys] : PlanKeys()) {
    ASSERT_TRUE(parts.contains(part)) << part;
    // A wave may also be a share alone.
    const Json& form = part == "wave" ? parts[part]["anyOf"][1] : parts[part];
    std::set<std::string> known;
    for (const auto& [key, schema] : form.at("properties").items()) known.insert(key);
    EXPECT_EQ(known, keys) << part;
    EXPECT_EQ(form.at("additionalProperties"), false) << part;
  }
  for (const auto& [part, schema] : parts.items()) {
    // The keys of a selector are labels, but for `bucket`.
    EXPECT_TRUE(!schema.contains("properties") || PlanKeys().contains(part) || part == "selector") << part;
  }
}

TEST(PlanSchemaTest, EveryPlanOfThePagesAndTheDemonstrationIsValid) {
  std::vector<std::string> plans;
  for (const auto& file : std::filesystem::directory_iterator("docs/demo")) {
    if (file.path().extension() != ".yaml") continue;
    const std::string text = Read(file.path());
    if (text.find("\nrings:") != std::string::npos) plans.push_back(text);
  }
  for (const char* page : {"docs/plans.md", "docs/cli.md"}) {
    const std::string text = Read(page);
    for (size_t at = text.find("```yaml\n"); at != std::string::npos; at = text.find("```yaml\n", at + 1)) {
      const std::string yaml = text.substr(at + 8, text.find("```", at + 8) - at - 8);
      if (yaml.find("tenant:") != std::string::npos && yaml.find("\nrings:") != std::string::npos)
        plans.push_back(yaml);
    }
  }
  EXPECT_GE(plans.size(), 4u);
  for (const std::string& plan : plans) {
    EXPECT_THAT(Faults(plan), IsEmpty()) << plan;
    EXPECT_EQ(Render("plan", ParsePlanYaml(plan).faults), "") << plan;
  }
}

constexpr char kWhole[] = R"(tenant: acme
zone: Europe/Berlin
channels:
- {channel: content, mode: follow, lag: 1, from: "7.1", below: "7.3", barriers: ["7.2"]}
- {channel: sensor, mode: pinned, pinned_version: "7.15", approval: explicit, min_age: 1d, approvers: [ben]}
rings:
- name: canary
  selector: {site: [lab, 7], rack: 4, spare: true, bucket: {from: 0%, to: 12.5%}}
  lag: 1
  waves: [5%, {share: 0.5, max_hosts: 10}, {share: 100%}]
  soak: 1h30m
  min_age: 2h
  hosts_per_minute: 9
  approval: explicit
  approvers: [ana, "role:sre"]
  hasten_to: 30m
  windows:
  - {days: sat, from: "22:00", to: "04:00"}
  - {days: [sun, mon], from: "00:00", to: "24:00", zone: UTC}
  channels:
  - {channel: sensor, lag: 2, min_age: 7d, approval: auto, windows: [{from: "01:00", to: "02:00"}]}
gates:
  crash: {max_rate: 1%, min_count: 3, window: 6h}
  degraded: {max_rate: 2%, window: 6h}
  silence: {missed_checkins: 3, max_excess: 5%, min_count: 5, window: 1h}
  cohort_keys: [os]
  on_breach: hold
urgent_soak_factor: 25%
hold_revert_after: 45m
freezes:
- {from: 2026-12-18, to: "2027-01-04T06:00", reason: Christmas, owner: Ann, rings: [canary], channels: [content]}
- {from: 2026-12-18T18:00:00+01:00, to: 2027-12-18T18:00:00Z, reason: Christmas, owner: Ann}
blackouts:
- {date: 12-24, reason: Christmas Eve, owner: Ann, zone: UTC, rings: [canary], channels: [content]}
deny:
- {sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, reason: bricked, owner: Ann}
- {channel: content, version: "7.2", reason: bricked, owner: Ann}
urgent: {mode: allow, rings: [canary], min_age: 1h, soak: 10m, outside_windows: true}
bucket_salt: spring
rollback_depth: 2
unqualified_platform: first_ring_only
uncovered_cohorts: hold
valid_until: 2028-01-01T00:00
)";

TEST(PlanSchemaTest, ThePlanThatSaysEverythingIsValidAndUsesEveryKey) {
  EXPECT_THAT(Faults(kWhole), IsEmpty());
  EXPECT_EQ(Render("plan", ParsePlanYaml(kWhole).faults), "");
  const std::string again = PlanToYaml(ParsePlanYaml(kWhole).message);
  EXPECT_EQ(PlanToYaml(ParsePlanYaml(again).message), again);
  EXPECT_EQ(ParsePlanYaml(again).message.ShortDebugString(),
            ParsePlanYaml(kWhole).message.ShortDebugString());
  EXPECT_THAT(Faults(again), IsEmpty()) << again;
  for (const auto& [part, keys] : PlanKeys()) {
    for (const std::string& key : keys) {
      EXPECT_NE(again.find(key + ":"), std::string::npos) << part << " " << key << " is written nowhere:\n"
                                                          << again;
    }
  }
}

// What has the wrong form is refused by both, each in its place.
TEST(PlanSchemaTest, RefusesTheFormsThatTheParserRefuses) {
  const std::vector<std::pair<std::string, std::string>> spoiled = {
      {"tenant: acme", "tenant: [acme]"},
      {"zone: Europe/Berlin\n", "zone: [a]\n"},
      {"mode: pinned", "mode: fixed"},
      {"approval: explicit", "approval: maybe"},
      {"days: sat", "days: saturday"},
      {"\"22:00\"", "\"25:00\""},
      {"\"24:00\"", "\"24:01\""},
      {"2026-12-18, to", "soon, to"},
      {"mode: allow", "mode: hurry"},
      {"sha256: aaaa", "sha256: xyz"},
      {"min_age: 7d", "min_age: 7 days"},
      {"share: 0.5", "share: half"},
      {"outside_windows: true", "outside_windows: yes"},
      {"owner: Ann, rings: [canary]", "owner: Ann, rings: canary"},
      {"barriers:", "borders:"},
      {"hosts_per_minute: 9", "hosts_per_minute: many"},
      {"to: 12.5%", "upto: 12.5%"},
      {"bucket_salt: spring", "bucket_salt: [spring]"},
      {"rollback_depth: 2", "rollback_depth: all"},
      {"platform: first_ring_only", "platform: everywhere"}};
  for (const auto& [from, to] : spoiled) {
    std::string yaml = kWhole;
    const size_t at = yaml.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    yaml.replace(at, from.size(), to);
    EXPECT_THAT(Faults(yaml), testing::Not(IsEmpty())) << to;
    EXPECT_NE(Render("plan", ParsePlanYaml(yaml).faults), "") << to;
  }
}

}  // namespace
}  // namespace ringfence::cli
