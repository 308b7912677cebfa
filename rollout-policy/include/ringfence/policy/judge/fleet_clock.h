// The clock by which spells mature: it stands while the server cannot tell silence from its own deafness.
// health-analysis.md, section 12 (watermark); invariant 13.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace ringfence::policy {

// Check-ins of hosts that were never exposed, heard and forecast for one step. Hosts that were exposed do not
// count: bricks must not stop the clock that would convict them. With nobody to forecast nothing says that it
// is deaf.
struct Hearing {
  int64_t heard = 0;
  double forecast = 0.0;
  bool can_write = true;
};
bool IsDeaf(const Hearing& hearing);

// A watermark: the time up to which everything that was said was heard. Never runs backwards. A value.
class FleetClock {
 public:
  explicit FleetClock(absl::Time start) : now_(start) {}

  // The wall moved on by `elapsed` (negative counts as zero) and this was heard meanwhile.
  void Step(absl::Duration elapsed, const Hearing& hearing);
  absl::Time now() const { return now_; }
  // While it stands there are no tokens.
  bool stands() const { return stands_; }

 private:
  absl::Time now_;
  bool stands_ = false;
};

}  // namespace ringfence::policy
