// A small simulated fleet around one App on the in-memory store, in virtual time: hosts that behave, hosts
// that break, a server that dies, a store that fails, and an InvariantWatch beside it all.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ringfence/base/clock.h"
#include "ringfence/trust/authority.h"
#include "server/app/app.h"
#include "tests/support/gated_store.h"
#include "tests/support/invariant_watch.h"
#include "tests/support/recording_store.h"

namespace ringfence::test {

// What a version does to a host.
enum class Effect : uint8_t {
  kGood,
  kBricks,            // never speaks again after activation
  kBricksLater,       // the same, 20 minutes after
  kCrashes,           // one reboot that nobody announced, right after activation
  kCrashesOften,      // one with each check-in
  kNeverActivates,    // takes leases and does nothing with them
  kActivationFails,   // tries, and says that it could not
  kDegrades,          // runs, and reports a bad metric
  kSlows,             // runs, and checks in half as often
  kFallsBackUnheard,  // activates, and its loader goes back before the next check-in
  kFallsBackHeard,    // the same after a check-in on the new version
};

struct SimHost {
  AgentId id;
  std::string tenant;
  policy::Labels labels;
  std::map<std::string, Digest> running;   // by channel
  std::map<std::string, Digest> previous;  // the last-known-good, by channel
  std::set<Digest> staged;
  std::set<Digest> burned;
  std::vector<app::AgentEvent> outbox;
  std::vector<app::AgentEvent> sent_before;  // may be sent again
  int64_t boots = 1;
  bool clean_boot = true;
  uint64_t seq = 0;
  bool send_labels = true;
  bool dead = false;     // bricked: nothing any more
  bool away = false;     // switched off: comes back by WakeUp
  bool removed = false;  // the server does not know it any more
  bool goodbye_next = false;
  absl::Time dies_at = absl::InfiniteFuture();
  absl::Time next = absl::InfinitePast();  // check-in
  std::map<Digest, absl::Time> activated_at;
  std::map<Digest, Effect> suffers;
  std::vector<app::Directive> directives;     // of the last check-in
  std::optional<policy::Reason> last_answer;  // to a lease; kNone: granted
  absl::Duration last_retry;
  int64_t grants = 0;
  int64_t reverts = 0;
};

class FleetHarness {
 public:
  struct Options {
    std::string internal_tenant = "vendor";
    uint64_t seed = 1;
    absl::Duration h = absl::Seconds(60);
    absl::Duration step = absl::Seconds(15);  // of RunOnce
    bool factory_content = true;              // hosts start with some old content
    double lost_replies = 0;                  // of leases and check-ins
    double repeated_events = 0;
    double late_commits = 0;                             // leases wait for the next step
    absl::Duration stop_patience = absl::Hours(1);       // real time
    std::shared_ptr<const trust::SigningKey> halt_key;   // null: halts go out unsigned
    std::shared_ptr<const trust::Authority> authority;   // null: credentials take a halt off
    std::shared_ptr<const gate::Trust> trust = nullptr;  // null: nobody signs
  };
  FleetHarness() : FleetHarness(Options()) {}
  explicit FleetHarness(Options options);

  // ---- the fleet. Hosts may be added before and after Start.
  int AddHost(const std::string& tenant, std::vector<policy::Labels::Pair> labels);
  // `count` hosts of a ring, labelled ring=<ring> and os=win10.
  void AddRing(const std::string& tenant, const std::string& ring, int count);
  SimHost& host(int index) { return hosts_[static_cast<size_t>(index)]; }
  std::deque<SimHost>& hosts() { return hosts_; }
  SimHost& HostOf(const AgentId& agent) { return hosts_[by_id_.at(agent)]; }
  void WakeUp(int index);
  void Relabel(int index, std::vector<policy::Labels::Pair> labels);
  // What a version does to a host; good where it is not said.
  std::function<Effect(const SimHost&, const Digest&)> effect;  // asked once, at activation
  std::function<bool(const SimHost&, const Digest&)> refuses;   // asked when a file is staged; none does

  // ---- the server
  void Start();
  app::App& app() { return *app_; }
  void Crash();       // the process dies: what was not written is lost; nobody answers
  void Restart();     // Crash, and a new process on the same store
  bool deaf = false;  // nothing that hosts send arrives
  // From the next restart on the server follows a release repository: nothing unsigned is published any more.
  void Follow(std::shared_ptr<const gate::Trust> trust) { options_.trust = std::move(trust); }
  RecordingStore& store() { return *store_; }
  GatedStore& gate() { return *gate_; }  // before store()
  ManualClock& clock() { return clock_; }
  absl::Time now() { return clock_.Now(); }
  InvariantWatch& watch() { return watch_; }
  absl::Status last_step;  // of the last RunOnce

  // ---- time
  void RunFor(absl::Duration time);
  // True once `done` holds, asked after each step; false when the time is over.
  bool RunUntil(const std::function<bool()>& done, absl::Duration at_most);
  void Step();  // RunOnce and CommitOnce now, as a server's threads do
  void CheckInNow(int index);
  // The lease question alone, answered at once; needs no directive.
  absl::StatusOr<app::LeaseReply> AskLease(int index, const std::string& channel, const Digest& digest);
  absl::StatusOr<app::CheckInReply> Say(int index, std::vector<app::AgentEvent> events);

  // ---- people. Each act has its own request id; acts in doubt are repeated until they are known.
  app::Act Sre(const std::string& person = "ann", const std::string& reason = "test");
  app::Act Admin(const std::string& tenant, const std::string& reason = "test");
  app::Act Releaser();
  policy::Release NextRelease(const std::string& channel = "content");
  static std::string BytesOf(const policy::Release& release);
  // Publishes the next serial; must succeed.
  policy::Release Publish(const std::string& channel = "content");
  absl::StatusOr<policy::Release> TryPublish(policy::Release release);
  void Apply(const policy::Plan& plan);  // must succeed
  absl::StatusOr<storage::PlanRow> TryApply(const policy::Plan& plan);
  // Repeats a call with one request id while it is unavailable or in doubt.
  template <typename Call>
  auto Insist(Call call) {
    auto answer = call();
    for (int i = 0;
         i < 200 && (absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status()));
         ++i) {
      answer = call();
    }
    return answer;
  }

  // ---- looking
  int64_t Running(const Digest& digest) const;
  int64_t RunningIn(const std::string& tenant, const std::string& ring, const Digest& digest) const;
  const storage::StageRow* StageOf(const std::string& tenant, const std::string& ring, uint64_t serial,
                                   const std::string& channel = "content") const;
  policy::StageState StateOf(const std::string& tenant, const std::string& ring, uint64_t serial) const;
  app::RolloutInfo Rollout(uint64_t serial, const std::string& channel = "content");
  bool Decided(const std::string& action, const std::string& rule) const;
  bool Stopped(uint64_t serial);  // a hold, halt or recall is on it somewhere
  std::string Violations() const;
  static Digest Factory(const std::string& channel);

 private:
  struct Due {
    absl::Time at;
    size_t host;
    friend bool operator>(const Due& a, const Due& b) {
      return std::tie(a.at, a.host) > std::tie(b.at, b.host);
    }
  };
  void Schedule(SimHost& host, absl::Time at);
  void CheckIn(SimHost& host);
  void OnDirective(SimHost& host, const app::Directive& directive);
  void OnLease(SimHost& host, const app::Directive& directive);
  void Activate(SimHost& host, const std::string& channel, const Digest& digest);
  void GoBack(SimHost& host, const std::string& channel, const Digest& from, const std::string& detail);
  void Boot(SimHost& host, bool clean);
  void Queue(SimHost& host, app::EventKind kind, const std::string& channel, const Digest& digest);
  bool Chance(double p) { return p > 0 && std::bernoulli_distribution(p)(random_); }
  void MakeApp();
  void Commit();

  Options options_;
  ManualClock clock_;
  InvariantWatch watch_;
  std::unique_ptr<storage::Store> memory_;
  std::unique_ptr<RecordingStore> store_;
  std::unique_ptr<GatedStore> gate_;
  std::unique_ptr<app::App> app_;
  std::mt19937_64 random_;
  std::deque<SimHost> hosts_;
  std::map<AgentId, size_t> by_id_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  absl::Time next_step_;
  int64_t request_ = 0;
  std::map<std::string, uint64_t> serials_;
  std::map<std::string, int64_t> revisions_;
};

// ---- plans

// Takes the hosts labelled ring=<name>; a soak of 5 minutes.
policy::Ring RingNamed(const std::string& name, std::vector<double> waves = {1.0}, int lag = 0);
// Channel "content", without gates.
policy::Plan PlanOf(const std::string& tenant, std::vector<policy::Ring> rings);
policy::SloGates Gates();

}  // namespace ringfence::test
