// May this host have this release now? The same function serves the server that offers and the agent that
// refuses. Yes, or why not and when next; and for people every gate between the host and the release, in
// order.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/reason.h"
#include "ringfence/policy/release.h"
#include "ringfence/policy/stage.h"

namespace ringfence::policy {

// Do the tests of the release cover the host, or does the plan let the host's ring (an index; none: no ring)
// do without?
bool MayTryPlatform(const Plan& plan, std::optional<int> ring, const Release& release, const Labels& labels);

// The lasting part: plan, ring, channel rule, targets, matrix. Depends on labels only, so it may be
// remembered per (label set, plan revision, release).
Reason LastingReason(const Plan& plan, const Labels& labels, const Release& release);

// What a person of the tenant said about a release that needs approval.
enum class Consent : uint8_t { kNone = 0, kApproved = 1, kDenied = 2 };

// What the plan says of this moment, of a ring that it has: its own validity, consent and calendar. All are
// asked again at every lease, for they pass.
Reason PassingReason(const Plan& plan, int ring, const Release& release, Consent consent, absl::Time now);

// The first barrier of the channel that a host which runs serial `running` (0: nothing known) must take
// before the release `wanted`, or null.
struct Milestone {
  uint64_t serial = 0;
  absl::string_view version;
};
const Milestone* BarrierBefore(const ChannelRule& rule, absl::Span<const Milestone> published,
                               uint64_t running, uint64_t wanted);

// The passing part, of a host that has no lasting reason.
struct Moment {
  bool already_running = false;
  bool quarantined = false;
  bool reverting = false;
  bool tenant_paused = false;
  bool vendor_paused = false;
  bool held = false;
  bool halted = false;
  bool recalled = false;
  bool blind = false;
  bool internal_passed = true;
  bool ring_chose_it = true;             // the ring works on this release
  Reason choice_reason = Reason::kNone;  // why the ring did not choose it, if it did not
  StageState stage = StageState::kOpen;  // of the host's ring, for this release
  int64_t members = 0;                   // of that ring; 0: not known
  absl::Time revisit_at = absl::InfiniteFuture();
  absl::Time now = absl::InfinitePast();  // unknown: every window, freeze and blackout is closed
  Consent consent = Consent::kNone;       // counts where the plan asks for it
  std::string barrier;                    // the version that must come first; empty: none
  // Of a stage that waits: the label values for which the plan holds it ("os=xp, os=2000"); empty: it does
  // not.
  std::string uncovered;
  std::string blocked_cohort;  // a label value of the host that the release is kept from; empty: none
};

struct GateAnswer {
  Reason gate = Reason::kNone;  // the reason it would give when closed
  bool open = false;
  std::string detail;  // figures or names, for people
  std::string
      opens_by;  // "time", "the tenant", "the vendor", "two persons of the vendor", "the host", "proof"
  absl::Time next = absl::InfiniteFuture();
};

struct Eligibility {
  Reason reason = Reason::kNone;  // the first closed gate; kNone: eligible
  absl::Time next = absl::InfiniteFuture();
  std::vector<GateAnswer> gates;  // in order, all of them
  bool eligible() const { return reason == Reason::kNone; }
};

Eligibility Evaluate(const Plan& plan, const Labels& labels, const Release& release, const Moment& moment);

}  // namespace ringfence::policy
