// The server of 2024-07-19: every eligible host that asks gets the newest release at once, until the vendor
// withdraws it. It shows that a scenario is dangerous, and that the simulated fleet behaves.
#pragma once

#include <memory>

#include "ringfence/base/clock.h"
#include "server/simulate/server.h"

namespace ringfence::replay {

// Offers nothing from `withdraw_at` on. `checkin` is the interval it asks for, ± 20 %.
std::unique_ptr<Server> MakePushToAllServer(Clock* clock, absl::Duration checkin, absl::Time withdraw_at,
                                            uint64_t seed);

}  // namespace ringfence::replay
