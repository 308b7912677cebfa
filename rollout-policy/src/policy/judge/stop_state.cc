#include "ringfence/policy/judge/stop_state.h"

#include <algorithm>
#include <cmath>

namespace ringfence::policy {
namespace {

// Evidence that is no number holds.
bool Reaches(double m, double mark) {
  return std::isnan(m) || m >= std::max(kHoldAt, kRiseAfterResume * mark);
}

std::string HoldRule(const StopState& state, const StopInput& input) {
  if (Reaches(input.reading.m_r, state.m_r_mark)) return "test_r";
  if (Reaches(input.reading.m_a, state.m_a_mark)) return "guard_a";
  if (input.activation_failures >= input.activation_failures_hold &&
      input.activation_failures > state.failures_mark) {
    return "activation_failures";
  }
  if (input.first_hosts_failed) return "first_hosts_failed";
  return "";
}

}  // namespace

StopChange Judge(StopState& state, const StopInput& input, absl::Time now) {
  if (state.action == HealthAction::kHalt) return {};
  if (input.reading.Action() == HealthAction::kHalt) {
    state.action = HealthAction::kHalt;
    state.revert_at = now;
    return {true, "test_r"};
  }
  if (state.action == HealthAction::kHold) return {};
  if (std::string rule = HoldRule(state, input); !rule.empty()) {
    state.action = HealthAction::kHold;
    state.revert_at = now + input.hold_revert_after;
    return {true, std::move(rule)};
  }
  const HealthAction next = input.reading.m_r >= kBrakeAt ? HealthAction::kBrake : HealthAction::kNone;
  const bool changed = next != state.action;
  state.action = next;
  return {changed, changed && next == HealthAction::kBrake ? "test_r" : ""};
}

void ResumeHold(StopState& state, const HealthReading& seen, int activation_failures) {
  if (state.action != HealthAction::kHold) return;
  state.action = HealthAction::kNone;
  state.revert_at = absl::InfiniteFuture();
  state.m_r_mark = seen.m_r;
  state.m_a_mark = seen.m_a;
  state.failures_mark = activation_failures;
}

void ResumeHalt(StopState& state, int activation_failures) {
  if (state.action != HealthAction::kHalt) return;
  state = {};
  state.failures_mark = activation_failures;
}

}  // namespace ringfence::policy
