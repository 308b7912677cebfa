#include "ringfence/trust/statement.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "refusal_text.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/strict_json.h"

namespace ringfence::trust {
namespace {

using nlohmann::json;

// Reads members of one document; the first thing that is wrong stays as its refusal.
class Reader {
 public:
  std::optional<Refusal> refusal;

  void Refuse(RefusalType type, std::string field, std::string found, std::string wanted) {
    if (refusal.has_value()) return;
    refusal = Refusal{type, "qualification", std::move(field), std::move(found), std::move(wanted)};
  }
  void Malformed(std::string field, const json* found, std::string wanted) {
    Refuse(RefusalType::kMalformed, std::move(field), found == nullptr ? "nothing" : found->type_name(),
           std::move(wanted));
  }

  static const json* Member(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
  }

  std::string Text(const json* value, const std::string& field, bool required) {
    if (value == nullptr && !required) return "";
    if (value != nullptr && value->is_string()) return value->get<std::string>();
    Malformed(field, value, "a string");
    return "";
  }

  // A string with exactly this value: what says which kind of document it is.
  void Constant(const json& object, const char* name, absl::string_view wanted) {
    const std::string found = Text(Member(object, name), name, true);
    if (found != wanted) Refuse(RefusalType::kUnqualifiedArtifact, name, found, std::string(wanted));
  }

  std::vector<std::string> Texts(const json& object, const char* name, const std::string& field) {
    std::vector<std::string> texts;
    const json* list = Member(object, name);
    if (list == nullptr) return texts;
    if (!list->is_array()) {
      Malformed(field, list, "a list of strings");
      return texts;
    }
    for (size_t i = 0; i < list->size(); ++i)
      texts.push_back(Text(&(*list)[i], absl::StrCat(field, "[", i, "]"), true));
    return texts;
  }

  Resource ReadResource(const json& value, const std::string& field) {
    Resource resource;
    if (!value.is_object()) {
      Malformed(field, &value, "an object");
      return resource;
    }
    resource.name = Text(Member(value, "name"), field + ".name", false);
    const json* digests = Member(value, "digest");
    if (digests == nullptr) return resource;
    if (!digests->is_object()) {
      Malformed(field + ".digest", digests, "an object");
      return resource;
    }
    for (const auto& [algorithm, digest] : digests->items()) {
      resource.digests[algorithm] = Text(&digest, absl::StrCat(field, ".digest.", algorithm), true);
    }
    return resource;
  }

  std::vector<Resource> Resources(const json* list, const std::string& field) {
    std::vector<Resource> resources;
    if (list == nullptr || !list->is_array()) {
      Malformed(field, list, "a list");
      return resources;
    }
    for (size_t i = 0; i < list->size(); ++i) {
      resources.push_back(ReadResource((*list)[i], absl::StrCat(field, "[", i, "]")));
    }
    return resources;
  }
};

constexpr std::pair<TestOutcome, const char*> kOutcomes[] = {
    {TestOutcome::kPassed, "PASSED"}, {TestOutcome::kWarned, "WARNED"}, {TestOutcome::kFailed, "FAILED"}};

json ToJson(const std::vector<Resource>& resources) {
  json list = json::array();
  for (const Resource& resource : resources) {
    json one = {{"digest", resource.digests}};
    if (!resource.name.empty()) one["name"] = resource.name;
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::variant<TestStatement, Refusal> ParseTestStatement(absl::string_view payload) {
  Reader in;
  const absl::StatusOr<json> parsed = ParseStrictJson(payload, kMaxEnvelopeBytes);
  if (!parsed.ok()) {
    return RefusalFromText(
        "qualification",
        absl::Status(parsed.status().code(), absl::StrCat("payload: ", parsed.status().message())));
  }
  if (!parsed->is_object()) {
    in.Malformed("payload", &*parsed, "an object");
    return *in.refusal;
  }
  in.Constant(*parsed, "_type", kStatementType);
  in.Constant(*parsed, "predicateType", kTestResultType);
  const json* predicate = Reader::Member(*parsed, "predicate");
  if (predicate == nullptr || !predicate->is_object()) in.Malformed("predicate", predicate, "an object");
  if (in.refusal.has_value()) return *in.refusal;

  TestStatement statement;
  statement.subjects = in.Resources(Reader::Member(*parsed, "subject"), "subject");
  const std::string result = in.Text(Reader::Member(*predicate, "result"), "predicate.result", true);
  bool known = false;
  for (const auto& [outcome, name] : kOutcomes) {
    if (result != name) continue;
    statement.result = outcome;
    known = true;
  }
  if (!known) in.Refuse(RefusalType::kMalformed, "predicate.result", result, "PASSED, WARNED or FAILED");
  statement.configuration =
      in.Resources(Reader::Member(*predicate, "configuration"), "predicate.configuration");
  statement.url = in.Text(Reader::Member(*predicate, "url"), "predicate.url", false);
  statement.passed = in.Texts(*predicate, "passedTests", "predicate.passedTests");
  statement.warned = in.Texts(*predicate, "warnedTests", "predicate.warnedTests");
  statement.failed = in.Texts(*predicate, "failedTests", "predicate.failedTests");
  if (in.refusal.has_value()) return *in.refusal;
  return statement;
}

std::string SerializeTestStatement(const TestStatement& statement) {
  std::string result;
  for (const auto& [outcome, name] : kOutcomes) {
    if (statement.result == outcome) result = name;
  }
  json predicate = {{"result", result},
                    {"configuration", ToJson(statement.configuration)},
                    {"passedTests", statement.passed},
                    {"warnedTests", statement.warned},
                    {"failedTests", statement.failed}};
  if (!statement.url.empty()) predicate["url"] = statement.url;
  const json all = {{"_type", kStatementType},
                    {"subject", ToJson(statement.subjects)},
                    {"predicateType", kTestResultType},
                    {"predicate", std::move(predicate)}};
  return all.dump();
}

bool ParseTestName(absl::string_view text, TestName* name) {
  const std::vector<std::string> parts = absl::StrSplit(text, '|');
  if (parts.size() != 3 || parts[0].empty() || parts[1].empty() || parts[2].empty()) return false;
  *name = {parts[0], parts[1], parts[2]};
  return true;
}

std::string ToString(const TestName& name) {
  return absl::StrCat(name.platform, "|", name.sensor, "|", name.test);
}

}  // namespace ringfence::trust
