// The shell around the machine: carries its effects out (wire, disk, loader) and tells it what came of them.
// About a hundred lines of glue; everything that decides is in machine.h.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringfence/agent/activation_guard.h"
#include "ringfence/agent/artifact_store.h"
#include "ringfence/agent/client.h"
#include "ringfence/agent/loader.h"
#include "ringfence/agent/machine.h"
#include "ringfence/agent/plan_guard.h"
#include "ringfence/agent/release_verifier.h"
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
  // Judges every release; absent: releases are not verified on this host. It outlives the agent.
  ReleaseVerifier* verifier = nullptr;
  // Serials of what the host was installed with, where it has any: the floor of a way back holds for it too.
  std::map<Digest, uint64_t> factory_serials;
  // A release that passed this recently is not looked at again when permission is asked for once more.
  absl::Duration recheck_after = absl::Minutes(1);
  absl::Duration refresh_every = absl::Hours(1);  // of metadata, when nothing is offered
  // Asked about every lease and every flip; it outlives the agent. Null: the server's word is enough.
  ActivationGuard* guard = nullptr;
  // Refuses what the customer's signed plan does not allow; absent: the server's word is all that holds the
  // plan here. It outlives the agent.
  PlanGuard* plan_guard = nullptr;
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

class ReleaseDesk;
class ServerMetadata;

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
  // For people and programs, as JSON: what runs and whether it was verified, what is trusted and until when,
  // what holds new releases up. Thread-compatible with RunOnce.
  std::string StatusJson() const;
  // The numbers among them in Prometheus' text form, for a textfile collector; docs/agent.md lists them.
  std::string MetricsText() const;

 private:
  Agent(AgentOptions options, Durable durable, StateStore* store, ArtifactStore* artifacts, Loader* loader,
        Clock* clock);
  void Post(Event event);
  // ---- the pinned plan (agent_plan.cc)
  // Takes the offers out that it does not allow, and asks for a newer plan when that is due.
  void ObeyPlan(CheckedIn* heard);
  // May the staged release be activated now? False: reports the refusal.
  bool PlanAllows(const Activate& activate);
  void FetchPlanWhenDue();
  void TakePlans();
  // Tells the other guard which plan leases must name.
  std::optional<HeldPlan> ShowHeldPlan() const;
  // The answer to a question, where it was refused for its plan.
  void AskForPlanOf(const Leased& refused);
  // What signed metadata lists is what ages and lags are counted in.
  void TellGuard();
  void Refused(const Directive& offer, const PlanGuard::Verdict& verdict);
  bool MayGoBack(const Directive& order);
  void Step(const Event& event);
  // What the guard makes of it: halts that came along, and whether a lease fits.
  Event Guarded(Event event);
  void Carry(const Effect& effect, bool* memory_failed);
  void Fetch(const Directive& release);
  void Download(const Directive& release, const Credential& who);
  void Downloaded(const Directive& release);
  void AskForLease(const SendLease& lease);
  void Flip(const std::string& channel, const Digest& to, bool memory_failed, absl::Time deadline);
  absl::Status CheckLoad(const std::string& channel, const Digest& to, trust::Step step);
  void HeldUp(const SendLease& lease, const absl::Status& judged);
  void CheckWhatRuns();
  void RefreshMetadata();
  absl::Status MayFlip(const Digest& to, absl::Time deadline) const;
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
  std::deque<Event> follow_ups_;         // of the step that is being carried out
  std::map<Digest, std::string> loads_;  // what CheckLoad said last of what runs; empty: it is right
  absl::Time refresh_at_ = absl::InfinitePast();

  Mutex mutex_;
  std::condition_variable wake_;
  std::vector<Event> inbox_ ABSL_GUARDED_BY(mutex_);
  // By channel: why no permission was asked for, as it was reported.
  std::map<std::string, std::string> held_up_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<std::string>> plans_ ABSL_GUARDED_BY(mutex_);  // answers to be taken in
  bool asking_for_plan_ ABSL_GUARDED_BY(mutex_) = false;

  // Closed in this order, so that no callback outlives the rest: client, desk.
  std::unique_ptr<ServerMetadata> metadata_;
  std::unique_ptr<ReleaseDesk> desk_;
  Client client_;
};

// A fresh random UUIDv4.
AgentId NewAgentId();

}  // namespace ringfence::agent
