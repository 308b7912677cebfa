// What really happened to the simulated hosts, release by release: written by the hosts themselves, so that
// it can be held against what the server says.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/ids.h"

namespace ringfence::fleet {

struct ReleaseLedger {
  std::string channel, version;
  uint64_t serial = 0;
  int64_t leases = 0;    // granted
  int64_t exposed = 0;   // hosts that activated it
  int64_t harmed = 0;    // hosts that it struck
  int64_t reverted = 0;  // hosts that went back
  int64_t saved = 0;     // of them, those that would have been struck later, or never knew
  int64_t running = 0;   // hosts that run it now
  std::map<std::string, int64_t> running_by_ring;  // "tenant/ring"
  int64_t push_to_all_would_harm = 0;              // hosts up now, or struck by it, that it would strike
  std::optional<absl::Time> first_harm, last_lease;
};

struct FleetStats {
  int64_t hosts = 0, enrolled = 0, up = 0;
  int64_t checkins = 0, checkin_errors = 0;
  std::vector<ReleaseLedger> releases;  // by channel and serial
};

// One JSON object. Times in seconds since the epoch of `now`'s clock are left out; differences are given in
// seconds.
std::string ToJson(const FleetStats& stats);

}  // namespace ringfence::fleet
