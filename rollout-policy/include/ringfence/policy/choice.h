// Which release a ring works on next (docs/plans.md, "Which release a ring takes: lag").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/reason.h"
#include "ringfence/policy/stage.h"

namespace ringfence::policy {

// A release of one channel as one tenant sees it.
struct ReleaseProgress {
  uint64_t serial = 0;
  std::string version;
  Digest digest;
  std::vector<Digest> artifacts;  // of each one's bytes (deny.h)
  bool urgent = false;
  bool stopped = false;          // halted or recalled, for this tenant or for all
  bool denied = false;           // a person of the tenant said no where the ring asks for approval
  bool internal_passed = false;  // true also where there is no internal tenant, and for that tenant itself
  absl::Duration
      healthy_age;     // time since publication during which enough hosts soaked healthy (docs/plans.md)
  absl::Duration age;  // time since publication
  std::optional<absl::Duration> hastened{};  // the age that an approval asks for in the ring
  std::vector<bool>
      ring_passed;  // one per ring of the plan, in its order; stays true when the ring took a newer one
};

struct Choice {
  std::optional<uint64_t> serial;  // the release to work on
  Reason reason = Reason::kNone;   // why there is none
  // The earliest time at which time alone may change the answer; InfiniteFuture if only an event can.
  absl::Time revisit_at = absl::InfiniteFuture();
};

// The newest release that is not stopped, passed the internal tenant and every earlier ring whose effective
// lag is not larger, is old enough, and has at least k newer ones ahead of it (k = effective lag). Ahead of
// it count the releases that are neither stopped nor too young and passed the internal tenant and every
// earlier ring without a lag: so a second ring with N-1 follows the same release as the first once that has
// passed it, and does not fall to N-2. `releases` in rising serial order. min_age is counted in healthy_age,
// except on a plan's first ring when `first_of_internal`, where nobody could soak before it: there it is
// counted in age. With a pin, only the pinned version qualifies and lag is 0; a pinned version that is
// stopped gives kHalted, one that is not there kPinned. What the ring worked on last is not known here: a
// choice with a lower serial (the leader of an N-1 ring was halted) is for the caller to leave alone, for
// older releases are not resurrected. What the plan denies and what is outside the channel's range is as if
// it were not there. Nothing above a barrier is taken before this ring passed the barrier.
Choice ChooseRelease(const Plan& plan, int ring, absl::string_view channel,
                     absl::Span<const ReleaseProgress> releases, bool first_of_internal, absl::Time now);

// May a ring go on with the release that it took, under the plan as it is now? kNone, or what speaks against
// it: the channel is gone or paused, another version is pinned, the release is too young, or the lag has
// grown. Time and newer releases can mend the last two. What the release passed on its way here is not asked
// again; and of the newer ones that the lag is counted in those that were stopped since count too: a halt
// ahead of it does not take a release back.
Reason MayGoOn(const Plan& plan, int ring, absl::string_view channel,
               absl::Span<const ReleaseProgress> releases, uint64_t serial, bool first_of_internal);

}  // namespace ringfence::policy
