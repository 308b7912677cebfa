// From the matrix of a manifest to the names of tests.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/gate/gate.h"
#include "server/gate/targeted.h"

namespace ringfence::gate {
namespace {

using trust::Refusal;
using trust::RefusalType;

// A name that could be read as another one names nothing.
std::optional<Refusal> CheckNames(const policy::Selector& platform, size_t index) {
  for (const policy::Requirement& one : platform.all_of) {
    for (const std::string& text : one.any_of) {
      if (text.find_first_of("|,=") == std::string::npos && one.key.find_first_of("|,=") == std::string::npos)
        continue;
      return Refusal{RefusalType::kMalformed, "manifest", absl::StrCat("matrix[", index, "]"),
                     absl::StrCat(one.key, "=", text),
                     "labels without | , and =, which separate the names of tests"};
    }
  }
  return std::nullopt;
}

// Every combination of one value for each key, by rising key.
std::vector<std::string> PlatformNames(const policy::Selector& platform) {
  std::map<std::string, std::vector<std::string>> by_key;
  for (const policy::Requirement& one : platform.all_of)
    if (one.key != kSensorLabel) by_key[one.key] = one.any_of;
  std::vector<std::string> names = {""};
  for (const auto& [key, values] : by_key) {
    std::vector<std::string> longer;
    for (const std::string& name : names) {
      for (const std::string& value : values) {
        if (longer.size() > kMaxTestedPairs) return longer;  // refused by the caller
        longer.push_back(absl::StrCat(name, name.empty() ? "" : ",", key, "=", value));
      }
    }
    names = std::move(longer);
  }
  if (names == std::vector<std::string>{""}) names = {"any"};
  return names;
}

}  // namespace

std::variant<std::vector<trust::Covered>, trust::Refusal> TestedPairs(
    const policy::Release& release, std::span<const RegisteredSensor> sensors) {
  std::set<trust::Covered> pairs;
  for (size_t i = 0; i < release.matrix.size(); ++i) {
    const policy::Selector& platform = release.matrix[i];
    if (std::optional<Refusal> refusal = CheckNames(platform, i)) return *std::move(refusal);
    std::vector<std::string> versions;
    if (const policy::Requirement* named = FindSensor(platform)) {
      versions = named->any_of;
    } else if (release.kind == policy::ChannelKind::kSensor) {
      versions = {release.version};
    } else {
      for (const RegisteredSensor& sensor : sensors)
        if (LetsIn(release.targets, sensor.label)) versions.push_back(sensor.label);
      if (versions.empty()) versions = {"any"};
    }
    for (const std::string& name : PlatformNames(platform)) {
      for (const std::string& version : versions) {
        pairs.insert({name, version});
        if (pairs.size() <= kMaxTestedPairs) continue;
        return Refusal{RefusalType::kLimitExceeded, "manifest", "matrix",
                       "more combinations of platform and sensor", absl::StrCat("at most ", kMaxTestedPairs)};
      }
    }
  }
  return std::vector<trust::Covered>(pairs.begin(), pairs.end());
}

}  // namespace ringfence::gate
