#include "server/simulate/plan_builder.h"

#include <algorithm>
#include <cmath>

namespace ringfence::replay {
namespace {

policy::Ppm ToPpm(double share) {
  return policy::Ppm(std::llround(share * policy::Ppm::kWhole));
}

policy::ChannelRule RuleOf(const std::string& channel, const ChannelPolicy& from) {
  policy::ChannelRule rule;
  rule.channel = channel;
  rule.mode = from.mode;
  rule.lag = from.lag;
  rule.pinned_version = from.pinned_version;
  return rule;
}

policy::Ring RingOf(const RingSpec& spec) {
  policy::Ring ring;
  ring.name = spec.name;
  ring.selector.all_of.push_back({"ring", {spec.name}});
  for (const double share : spec.waves) ring.waves.push_back({ToPpm(share), std::nullopt});
  ring.soak = ToDuration(spec.soak);
  return ring;
}

bool IsInternalRing(const RingSpec& ring) {
  return std::find(ring.tenants.begin(), ring.tenants.end(), kInternalTenant) != ring.tenants.end();
}

}  // namespace

bool HasInternalTenant(const Scenario& scenario) {
  return std::any_of(scenario.fleet.tenants.begin(), scenario.fleet.tenants.end(),
                     [](const TenantSpec& tenant) { return tenant.name == kInternalTenant; });
}

std::vector<policy::Plan> BuildPlans(const Scenario& scenario) {
  std::vector<policy::Plan> plans;
  for (const TenantSpec& tenant : scenario.fleet.tenants) {
    policy::Plan plan;
    plan.tenant = tenant.name;
    plan.channels = {RuleOf(kContentChannel, tenant.content), RuleOf(kSensorChannel, tenant.sensor)};
    for (const RingSpec& ring : scenario.plan.rings) {
      if (IsInternalRing(ring) && tenant.name != kInternalTenant) continue;
      plan.rings.push_back(RingOf(ring));
    }
    if (plan.rings.empty()) continue;  // its hosts are never offered anything
    plan.gates = scenario.plan.gates;
    if (scenario.plan.soak_factor.has_value() && *scenario.plan.soak_factor > 0) {
      plan.urgent_soak_factor = ToPpm(*scenario.plan.soak_factor);
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace ringfence::replay
