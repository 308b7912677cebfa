// The soak spells of one release: hosts that were drawn to take it, and phantoms that were drawn to wait, all
// watched alike until S after their draw (docs/health-analysis.md, section 10). Which of them suffered is the
// judgement's to weigh; this is the watch and the wait.
//
// In memory only: what is open when the process dies is void, both arms together, and phantoms ask again.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "server/app/fleet_index.h"

namespace ringfence::app {

struct Stage;

// Not thread-safe. Times are the fleet's: they stand still while the server hears nobody.
class SoakWatch {
 public:
  // S, and how long a host is not heard before that is an event.
  void SetTiming(FleetNanos soak, FleetNanos gap) {
    soak_ = soak;
    gap_ = gap;
  }

  // The host was drawn at `now`, as a phantom or to take the release. A later draw of the same host replaces
  // the earlier.
  void Open(HostRef host, bool phantom, Stage* stage, FleetNanos now);
  // A phantom's wait: when it ends; 0 for all others. It waits until Advance has ended it.
  FleetNanos WaitsUntil(HostRef host) const;
  // Phantoms that wait in the stage.
  int64_t WaitingIn(const Stage* stage) const;

  struct Hooks {
    absl::FunctionRef<FleetNanos(HostRef)> last_seen;
    // The host's first gap before its S was over.
    absl::FunctionRef<void(HostRef)> gap;
    // S is over; of a phantom with the stage in which it waited, otherwise null.
    absl::FunctionRef<void(HostRef, Stage*)> ended;
  };
  // What is due by `now`.
  void Advance(FleetNanos now, const Hooks& hooks);
  // All open spells are void.
  void Clear();

  size_t open() const { return spells_.size(); }

 private:
  struct Spell {
    FleetNanos ends = 0;
    Stage* waits_in = nullptr;  // a phantom's
    bool gap_seen = false;
  };
  struct Due {
    FleetNanos at = 0;
    FleetNanos ends = 0;  // of the spell that it is about: another means that this one was replaced
    HostRef host = kNoHost;
    friend bool operator>(const Due& a, const Due& b) {
      return std::pair(a.at, a.host) > std::pair(b.at, b.host);
    }
  };

  FleetNanos soak_ = 0;
  FleetNanos gap_ = 0;
  absl::flat_hash_map<HostRef, Spell> spells_;
  absl::flat_hash_map<const Stage*, int64_t> waiting_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

}  // namespace ringfence::app
