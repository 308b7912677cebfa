#include "ringfence/policy/judge/fleet_clock.h"

namespace ringfence::policy {

bool IsDeaf(const Hearing& hearing) {
  if (!hearing.can_write) return true;
  return static_cast<double>(hearing.heard) < 0.5 * hearing.forecast;
}

void FleetClock::Step(absl::Duration elapsed, const Hearing& hearing) {
  stands_ = IsDeaf(hearing);
  if (!stands_ && elapsed > absl::ZeroDuration()) now_ += elapsed;
}

}  // namespace ringfence::policy
