#include "ringfence/policy/selector.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/platform.h"
#include "ringfence/policy/bucket.h"
#include "text.h"

namespace ringfence::policy {
namespace {

constexpr size_t kMaxRequirements = 32;
constexpr size_t kMaxValues = 256;

// A label's key or value, as a selector may name it.
void CheckText(const std::string& text, size_t most, const std::string& path, std::vector<Fault>& faults) {
  if (text.empty() || text.size() > most) {
    faults.push_back({path, absl::StrCat(text.size(), " bytes"), absl::StrCat("1 to ", most, " bytes")});
  } else if (!IsPlainText(text)) {
    faults.push_back({path, Quoted(text), "UTF-8 without control characters"});
  }
}

constexpr char kPlatform[] = "platform";

bool HoldsLater(const Requirement& requirement, absl::string_view platform) {
  return std::any_of(requirement.any_of.begin(), requirement.any_of.end(), [&](const std::string& value) {
    return value.size() > 1 && value.back() == '+' &&
           IsSameOrLaterPlatform(platform, absl::string_view(value).substr(0, value.size() - 1));
  });
}

bool Holds(const Requirement& requirement, const Labels& labels) {
  for (const Labels::Pair& pair : labels.WithKey(requirement.key)) {
    if (std::find(requirement.any_of.begin(), requirement.any_of.end(), pair.second) !=
        requirement.any_of.end()) {
      return true;
    }
    if (requirement.key == kPlatform && HoldsLater(requirement, pair.second)) return true;
  }
  return false;
}

}  // namespace

bool Matches(const Selector& selector, const Labels& labels) {
  if (selector.bucket.has_value() && !labels.Has(kBucketKey, NameOf(*selector.bucket))) return false;
  return std::all_of(selector.all_of.begin(), selector.all_of.end(),
                     [&](const Requirement& requirement) { return Holds(requirement, labels); });
}

void Validate(const Selector& selector, const std::string& path, std::vector<Fault>& faults) {
  if (selector.all_of.size() > kMaxRequirements) {
    faults.push_back({absl::StrCat(path, ".all_of"), absl::StrCat(selector.all_of.size(), " requirements"),
                      absl::StrCat("at most ", kMaxRequirements)});
  }
  if (selector.bucket.has_value()) {
    const HashBucket& bucket = *selector.bucket;
    const std::string here = path + ".bucket";
    if (bucket.from < 0 || bucket.from >= kBuckets) {
      faults.push_back({here + ".from", absl::StrCat(bucket.from, " of 10000"), "0 to 9999 of 10000"});
    } else if (bucket.to <= bucket.from || bucket.to > kBuckets) {
      faults.push_back({here + ".to", absl::StrCat(bucket.to, " of 10000"),
                        absl::StrCat("above ", bucket.from, " and at most 10000 of 10000")});
    }
  }
  // Beyond the bounds nothing more is reported, so that a monstrous selector gives a readable answer.
  std::set<absl::string_view> keys;
  for (size_t i = 0; i < std::min(selector.all_of.size(), kMaxRequirements); ++i) {
    const Requirement& requirement = selector.all_of[i];
    const std::string here = absl::StrCat(path, ".all_of[", i, "]");
    CheckText(requirement.key, Labels::kMaxKeyBytes, here + ".key", faults);
    if (!requirement.key.empty() && requirement.key.front() == Labels::kDerived) {
      faults.push_back({here + ".key", Quoted(requirement.key), "a key that does not begin with @"});
    }
    if (!keys.insert(requirement.key).second) {
      faults.push_back({here + ".key", Quoted(requirement.key), "a key that is named once"});
    }
    const size_t values = requirement.any_of.size();
    if (values == 0 || values > kMaxValues) {
      faults.push_back(
          {here + ".any_of", absl::StrCat(values, " values"), absl::StrCat("1 to ", kMaxValues, " values")});
    }
    for (size_t j = 0; j < std::min(values, kMaxValues); ++j) {
      CheckText(requirement.any_of[j], Labels::kMaxValueBytes, absl::StrCat(here, ".any_of[", j, "]"),
                faults);
    }
  }
}

std::string ToString(const Selector& selector) {
  std::string bucket;
  if (selector.bucket.has_value()) {
    bucket = absl::StrCat("bucket ", selector.bucket->from, " to ", selector.bucket->to, " of 10000");
  }
  if (selector.all_of.empty()) return bucket.empty() ? "every host" : bucket;
  if (!bucket.empty()) bucket += ", ";
  return bucket + absl::StrJoin(selector.all_of, ", ", [](std::string* out, const Requirement& requirement) {
           if (requirement.any_of.size() == 1) {
             absl::StrAppend(out, requirement.key, "=", requirement.any_of.front());
           } else {
             absl::StrAppend(out, requirement.key, " in (", absl::StrJoin(requirement.any_of, ", "), ")");
           }
         });
}

}  // namespace ringfence::policy
