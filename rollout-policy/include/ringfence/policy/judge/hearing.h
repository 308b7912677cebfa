// Does the server hear its fleet, or is it deaf itself? While it is, the clock by which spells mature stands
// (server/app/engine_clock.cc). health-analysis.md, section 12 (watermark); invariant 13.
#pragma once

#include <cstdint>

namespace ringfence::policy {

// Check-ins of hosts that were never exposed, heard and forecast for one step. Hosts that were exposed do not
// count: bricks must not stop the clock that would convict them. With nobody to forecast nothing says that it
// is deaf.
struct Hearing {
  int64_t heard = 0;
  double forecast = 0.0;
};
bool IsDeaf(const Hearing& hearing);

}  // namespace ringfence::policy
