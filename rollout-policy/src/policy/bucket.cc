#include "ringfence/policy/bucket.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"

namespace ringfence::policy {

int BucketOf(absl::string_view salt, const AgentId& agent) {
  const uint64_t head = HeadBigEndian(Sha256(absl::StrCat(salt, agent.raw())));
  return static_cast<int>((head >> 32) % kBuckets);
}

std::string NameOf(const HashBucket& bucket) {
  return absl::StrCat(bucket.from, "-", bucket.to);
}

bool UsesBuckets(const Plan& plan) {
  return std::any_of(plan.rings.begin(), plan.rings.end(),
                     [](const Ring& ring) { return ring.selector.bucket.has_value(); });
}

Labels LabelsFor(const Plan& plan, const Labels& reported, const AgentId& agent) {
  std::vector<Labels::Pair> derived;
  if (UsesBuckets(plan)) {
    const int mine = BucketOf(plan.bucket_salt, agent);
    for (const Ring& ring : plan.rings) {
      const std::optional<HashBucket>& bucket = ring.selector.bucket;
      if (!bucket.has_value() || mine < bucket->from || mine >= bucket->to) continue;
      derived.emplace_back(kBucketKey, NameOf(*bucket));
    }
  }
  return reported.WithDerived(std::move(derived));
}

}  // namespace ringfence::policy
