// Which ring is a host in? The one answer, for server and agent, over what the host reports (its local group
// is a label as any other) and its bucket: LabelsFor, then RingOf (plan.h).
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/selector.h"

namespace ringfence::policy {

// The host's bucket, 0 to 9999: the first four bytes, big-endian, of sha256(salt ‖ agent id), the id raw,
// modulo kBuckets. The same for good.
int BucketOf(absl::string_view salt, const AgentId& agent);

// Does a ring of the plan select by bucket?
bool UsesBuckets(const Plan& plan);

// What the plan's selectors are matched against: the reported labels, and a derived one for each range of
// buckets of the plan that the host is in.
Labels LabelsFor(const Plan& plan, const Labels& reported, const AgentId& agent);

// The derived label of one range: key and value.
inline constexpr char kBucketKey[] = "@bucket";
std::string NameOf(const HashBucket& bucket);

}  // namespace ringfence::policy
