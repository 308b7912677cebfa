// What a host that holds its customer's plan can tell by itself of a release that it is offered: the gates of
// host_eligibility.h, with what the host knows in place of what the server knows. Whatever the server may
// offer, this allows (tests/policy/pinned_plan_test.cc, tests/app/pinned_plan_differential_test.cc); what
// rests on other hosts (waves, proof, the order of the rings) it cannot judge, and leaves open.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/policy/host_eligibility.h"

namespace ringfence::policy {

// Two clocks differ, and a lease is granted a little before it is used: what the plan allowed within this
// time is allowed.
inline constexpr absl::Duration kHostSlack = absl::Minutes(2);

// What a host says of an order to go back further than its plan allows.
inline constexpr char kRollbackReason[] = "rollback_depth";

struct HostView {
  // Of the release's channel, all that the host knows to be published; any order, and one may stand there
  // twice. The release may be missing.
  absl::Span<const Milestone> published;
  uint64_t running = 0;  // serial of what runs; 0: not one of those
  absl::Duration age;    // of the release, as the host counts it
  Consent consent = Consent::kNone;
  absl::Time now;                            // the host's clock
  std::optional<absl::Duration> hastened{};  // the age that an approval asks for in the host's ring
};

// `labels` are those that LabelsFor (bucket.h) gave. Lag: at least so many newer releases are published;
// necessary, not sufficient. Age: time alone, where the server counts healthy time.
Eligibility EvaluateOnHost(const Plan& plan, const Labels& labels, const Release& release,
                           const HostView& view);

}  // namespace ringfence::policy
