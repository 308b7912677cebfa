// The plan that each tenant of a scenario sends to the server.
#pragma once

#include <vector>

#include "ringfence/policy/plan.h"
#include "server/simulate/scenario.h"

namespace ringfence::replay {

// The same rings for every tenant, selecting on the label `ring`; a ring assigned to the internal tenant only
// in that tenant's plan. The tenant's policy becomes the channel rules, `emergency` the urgent opt-in.
std::vector<policy::Plan> BuildPlans(const Scenario& scenario);

// True where the fleet has the vendor's own tenant.
bool HasInternalTenant(const Scenario& scenario);

inline constexpr char kContentChannel[] = "content";
inline constexpr char kSensorChannel[] = "sensor";

}  // namespace ringfence::replay
