// Which kinds of hosts a ring has that no ring before it had.
#include <algorithm>
#include <map>

#include "server/app/engine.h"

namespace ringfence::app {

std::vector<std::string> Engine::UncoveredIn(const Stage& stage) {
  const policy::Plan& plan = tenants_[stage.tenant].plan->plan;
  const bool after_internal =
      !options_.internal_tenant.empty() && tenants_[stage.tenant].name != options_.internal_tenant;
  if (stage.ring == 0 && !after_internal) return {};
  const std::vector<std::string>& keys = plan.gates.cohort_keys;
  const std::vector<std::string> left_out = BlockedCohorts(*stage.release);
  std::map<CellId, int64_t> hosts_with;
  for (LabelSet& set : label_sets_) {
    if (set.tenant != stage.tenant || set.ring != stage.ring || set.hosts == 0) continue;
    if (Lasting(set, IndexOf(*stage.release)) != policy::Reason::kNone) continue;
    for (const CellId cell : set.cells) {
      if (std::find(keys.begin(), keys.end(), cells_.KeyOf(cell)) == keys.end()) continue;
      // Who does not get it anyway need not be proven on.
      const std::string& name = cells_.NameOf(cell);
      if (std::find(left_out.begin(), left_out.end(), name) != left_out.end()) continue;
      if (stage.release->Cell(cell).budget.healthy == 0) hosts_with[cell] += set.hosts;
    }
  }
  std::vector<std::pair<CellId, int64_t>> cells(hosts_with.begin(), hosts_with.end());
  std::stable_sort(cells.begin(), cells.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> names;
  for (const auto& [cell, hosts] : cells) names.push_back(cells_.NameOf(cell));
  return names;
}

}  // namespace ringfence::app
