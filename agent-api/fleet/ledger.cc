#include "ledger.h"

#include <nlohmann/json.hpp>

namespace ringfence::fleet {

std::string ToJson(const FleetStats& stats) {
  nlohmann::ordered_json object = {{"hosts", stats.hosts},
                                   {"enrolled", stats.enrolled},
                                   {"up", stats.up},
                                   {"checkins", stats.checkins},
                                   {"checkin_errors", stats.checkin_errors},
                                   {"releases", nlohmann::ordered_json::array()}};
  for (const ReleaseLedger& release : stats.releases) {
    nlohmann::ordered_json item = {{"channel", release.channel},
                                   {"version", release.version},
                                   {"serial", release.serial},
                                   {"leases", release.leases},
                                   {"exposed", release.exposed},
                                   {"harmed", release.harmed},
                                   {"saved", release.saved},
                                   {"reverted", release.reverted},
                                   {"running", release.running},
                                   {"running_by_ring", release.running_by_ring},
                                   {"push_to_all_would_harm", release.push_to_all_would_harm},
                                   {"seconds_first_harm_to_last_lease", nullptr}};
    if (release.first_harm && release.last_lease) {
      const absl::Duration gap = *release.last_lease - *release.first_harm;
      item["seconds_first_harm_to_last_lease"] = std::max(0.0, absl::ToDoubleSeconds(gap));
    }
    object["releases"].push_back(std::move(item));
  }
  return object.dump(2) + "\n";
}

}  // namespace ringfence::fleet
