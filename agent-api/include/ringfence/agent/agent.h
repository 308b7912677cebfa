// The shell around the machine: carries its effects out (wire, disk, loader) and tells it what came of them.
// About a hundred lines of glue; everything that decides is in machine.h.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringfence/agent/artifact_store.h"
#include "ringfence/agent/client.h"
#include "ringfence/agent/loader.h"
#include "ringfence/agent/machine.h"
#include "ringfence/agent/state_store.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/mutex.h"

namespace ringfence::agent {

struct AgentOptions {
  ClientOptions client;
  MachineOptions machine;
  std::string enrol_token;  // needed until the first enrolment
  std::string boot_id;      // of the host
  policy::Labels labels;
  uint64_t seed = 0;  // of jitter
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

// One thread runs it; Report, SetLabels and RequestStop may come from any. What it is given outlives it.
class Agent {
 public:
  // DataLoss when the memory on disk is damaged beyond both copies.
  static absl::StatusOr<std::unique_ptr<Agent>> Make(AgentOptions options, StateStore* store,
                                                     ArtifactStore* artifacts, Loader* loader,
                                                     Clock* boot_clock);
  ~Agent();

  // Does what is due, then waits for answers or for the next thing due, at most `patience`.
  void RunOnce(absl::Duration patience);
  // Says goodbye and waits for the answer, at most `patience`.
  void Stop(absl::Duration patience);
  // Wakes RunOnce. Async-signal-unsafe.
  void Wake();

  // The host has something to tell.
  void Report(Reported event);
  void FellBackTo(FellBack event);
  void SetLabels(policy::Labels labels);

  const Machine& machine() const { return machine_; }
  int64_t checkins() const { return checkins_; }          // answered
  int64_t failed_calls() const { return failed_calls_; }  // in a row
  bool fetching() const { return fetching_ > 0; }

 private:
  Agent(AgentOptions options, Durable durable, StateStore* store, ArtifactStore* artifacts, Loader* loader,
        Clock* clock);
  void Post(Event event);
  void Step(const Event& event);
  void Carry(const Effect& effect, bool* memory_failed);
  void Fetch(const Directive& release);
  void Flip(const std::string& channel, const Digest& to, bool memory_failed, absl::Time deadline);
  Digest AttestedIn(absl::string_view channel);
  void CollectGarbage();

  const AgentOptions options_;
  StateStore* const store_;
  ArtifactStore* const artifacts_;
  Loader* const loader_;
  Clock* const clock_;
  Machine machine_;
  bool started_ = false;
  int64_t checkins_ = 0, failed_calls_ = 0;
  int fetching_ = 0;
  std::deque<Event> follow_ups_;  // of the step that is being carried out

  Mutex mutex_;
  std::condition_variable wake_;
  std::vector<Event> inbox_ ABSL_GUARDED_BY(mutex_);

  Client client_;  // last: closed first, so that no callback outlives the rest
};

// A fresh random UUIDv4.
AgentId NewAgentId();

}  // namespace ringfence::agent
