// Many agents in one process: each is the real machine, speaking the real protocol over a few shared
// connections. Only the host underneath is simulated: it flips at once, and a fault of the release it runs
// may strike it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fleet_config.h"
#include "ledger.h"
#include "ringfence/agent/client.h"
#include "ringfence/agent/machine.h"
#include "ringfence/base/mutex.h"

namespace ringfence::fleet {

// Gets an enrolment token for an agent of the tenant; calls back once, from any thread.
using TokenSource =
    std::function<void(const std::string& tenant, std::function<void(absl::StatusOr<std::string>)> done)>;

// Run, Stats and the rest on one thread; answers of the server come in from others.
class Simulator {
 public:
  Simulator(FleetConfig config, std::string server, TokenSource tokens);
  ~Simulator();

  // Carries on until `until`, or until Wake is called and `stop` says so. `now` is real time on a clock that
  // does not jump.
  void RunUntil(absl::Time until, const std::function<absl::Time()>& now);

  FleetStats Stats() const;

 private:
  struct Host;
  struct Answer {
    size_t host;
    uint32_t life;  // answers to a host that has died or booted anew since are lost
    agent::Event event;
  };
  struct Timer {
    absl::Time at;
    size_t host;
    friend bool operator>(const Timer& a, const Timer& b) { return a.at > b.at; }
  };

  void Build();
  void Boot(size_t index, absl::Time now);
  void Step(size_t index, const agent::Event& event, absl::Time now);
  void Carry(size_t index, const agent::Effect& effect, absl::Time now, std::deque<agent::Event>& more);
  void Flip(size_t index, const std::string& channel, const Digest& to, bool revert, absl::Time now);
  void Strike(size_t index, absl::Time now);
  void Due(size_t index, absl::Time now);
  void Arm(size_t index, absl::Time at);
  ReleaseLedger& LedgerOf(const agent::Directive& release);
  // The fault that this release has for this host, by the host's own luck; null: none.
  const FaultConfig* FaultFor(size_t index, const agent::Directive& release) const;
  void Post(size_t host, uint32_t life, agent::Event event);

  const FleetConfig config_;
  const TokenSource tokens_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  absl::flat_hash_map<Digest, agent::Directive> known_;  // releases heard of
  absl::flat_hash_map<Digest, ReleaseLedger> ledgers_;
  int64_t checkins_ = 0, checkin_errors_ = 0;
  bool built_ = false;

  Mutex mutex_;
  std::condition_variable wake_;
  std::vector<Answer> inbox_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::unique_ptr<agent::Client>>
      clients_;  // last: closed first, so that no callback outlives the rest
};

}  // namespace ringfence::fleet
