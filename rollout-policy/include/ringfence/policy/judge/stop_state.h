// What stands: nothing, a brake, a hold or a halt; when a hold that nobody decides becomes a revert; and from
// where a resumed test counts. A value, so that it can be stored with its decision and survive a restart.
// health-analysis.md, section 5.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/release_judge.h"

namespace ringfence::policy {

inline constexpr absl::Duration kHoldRevertAfter = absl::Minutes(30);
// A resumed hold trips again only at so many times the evidence that the person saw.
inline constexpr double kRiseAfterResume = 10.0;

struct StopState {
  HealthAction action = HealthAction::kNone;
  // Exposed hosts are ordered back: at once on a halt, at this time (server's) on a hold.
  absl::Time revert_at = absl::InfiniteFuture();
  double m_r_mark = 0.0;  // at the last resume from a hold
  double m_a_mark = 0.0;
  int failures_mark = 0;

  bool stopped() const { return action == HealthAction::kHold || action == HealthAction::kHalt; }
  bool reverting(absl::Time now) const { return stopped() && now >= revert_at; }
  friend bool operator==(const StopState&, const StopState&) = default;
};

// Which judge tripped; empty: none.
struct StopChange {
  bool changed = false;
  std::string rule;  // "test_r", "guard_a", "activation_failures", "first_hosts_failed"
};

struct StopInput {
  HealthReading reading = {};
  int activation_failures = 0;
  int activation_failures_hold = 3;  // from this many hosts on
  bool first_hosts_failed = false;   // and did for kProbationsToMend probations
  absl::Duration hold_revert_after = kHoldRevertAfter;
};

// The next state. Only the brake releases itself; a hold may become a halt; a halt is terminal.
StopChange Judge(StopState& state, const StopInput& input, absl::Time now);

// A person decided to go on: the evidence seen so far does not hold again by itself. No effect unless held.
void ResumeHold(StopState& state, const HealthReading& seen, int activation_failures);
// Two persons: a new test (the caller restarts the judge's vectors). No effect unless halted.
void ResumeHalt(StopState& state, int activation_failures);

}  // namespace ringfence::policy
