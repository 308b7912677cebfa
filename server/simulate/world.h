// Virtual time: one event queue moves the simulated hosts, the operators and the server's steps. Everything
// that the server must not know (who is vulnerable, who has been harmed) stays in here. One thread; the same
// scenario, seed and server give the same run.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ringfence/base/clock.h"
#include "server/simulate/artifact_maker.h"
#include "server/simulate/calendar_queue.h"
#include "server/simulate/fleet.h"
#include "server/simulate/ledger.h"
#include "server/simulate/rng.h"
#include "server/simulate/server.h"

namespace ringfence::replay {

class World {
 public:
  // All that it points to outlives it; the clock must stand at WallAtStart().
  World(const Scenario& scenario, Fleet fleet, Server* server, ManualClock* clock, ArtifactMaker* artifacts,
        uint64_t seed);

  // Enrols, applies plans, runs to the horizon. An error means that the server could not be set up; what goes
  // wrong later is counted in the ledger.
  absl::Status Run();
  // Asked every five virtual minutes; the run ends when it says so. Set before Run; may be empty.
  void EndWhen(std::function<bool(Micros now)> is_over) { is_over_ = std::move(is_over); }

  const Fleet& fleet() const { return fleet_; }
  const Ledger& ledger() const { return ledger_; }

 private:
  enum class Kind : uint8_t {
    // what the world does, first at equal times
    kServerDown,
    kServerUp,
    kPublish,
    kScenarioEvent,
    kOutageEnd,
    kOutageStart,
    kOsPending,
    kOsApply,
    kRepair,
    kPower,
    kNoiseCrash,
    kNoiseReboot,
    kExtraCrash,
    kBootDone,
    kStrike,
    // what agents do
    kEarlyMetric,
    kDegradedAgain,
    kDownloaded,
    kActivate,
    kBrief,
    kCrashReport,
    kCheckIn,
    kLease,
    // what the server does
    kCommit,
    kRunOnce,
    kSample,
  };

  // ---- the loop (world.cc)
  absl::Status SetUp();
  void Dispatch(const Event& event);
  void Push(Micros delay, Kind kind, uint32_t subject, uint32_t arg = 0, uint16_t generation = 0);
  void OnRunOnce();
  void OnCommit();
  void OnSample();
  void NoteServer(const absl::Status& status);
  void LookForFirstHalt();

  // ---- releases (publishing.cc)
  uint16_t AddVersion(Version version);
  void SchedulePublishes();
  void OnPublish(uint32_t publish);
  bool IsAdmitted(const Host& host, const Version& version) const;
  bool IsTargetedAndQualified(const Host& host, const Version& version) const;

  // ---- the agent (agent.cc)
  bool CanTalk(const Host& host) const { return host.powered && !host.down && !host.cut_off; }
  void ScheduleCheckIn(uint32_t index, Micros delay);
  void CheckIn(uint32_t index, bool goodbye);
  // One call from a host that is otherwise down; it hears a revert order.
  void BriefCheckIn(uint32_t index);
  bool Call(uint32_t index, bool goodbye);  // the RPC; the answer is in reply_
  void Obey(uint32_t index, const app::Directive& directive);
  void OnDownloaded(uint32_t index, uint16_t version);
  void OnLease(uint32_t index, uint16_t version);
  void OnGranted(uint32_t index, uint16_t version, Micros asked_at, Micros ttl);
  void OnActivate(uint32_t index, uint16_t version);
  void GoBack(uint32_t index, size_t slot);  // to last-known-good; reported
  void CheckOffer(const Host& host, const Version& version);
  void AddEvent(uint32_t index, app::AgentEvent event);
  absl::string_view BootId(uint32_t boot);
  absl::Span<const app::RunningView> RunningOf(const Host& host);
  absl::Span<const Digest> StagedOf(const Host& host);

  // ---- power, noise, reboots (host_life.cc)
  void StartHosts();
  Micros TimeUntilReturn();
  void OnPower(uint32_t index);
  void GoDownBriefly(uint32_t index, bool clean);
  void OnBootDone(uint32_t index, bool clean);
  void ScheduleNoise(uint32_t index, Kind kind, double per_day);
  void OnNoise(uint32_t index, Kind kind);

  // ---- faults (faults.cc)
  bool IsVulnerable(uint32_t index, size_t fault) const;  // the coin drawn once per host
  void Arm(uint32_t index, uint16_t version);
  void Disarm(uint32_t index);  // the version is gone; whoever was armed is rescued
  void RebootTriggers(uint32_t index);
  void OsChangeTriggers(uint32_t index);
  void OnStrike(uint32_t index, uint8_t fault);
  void OnBrief(uint32_t index);
  void OnCrashReport(uint32_t index);
  void OnRepair(uint32_t index);
  void OnDegradedAgain(uint32_t index);
  void Heal(uint32_t index);
  void NoteEarlySign() { ledger_.first_early_sign = std::min(ledger_.first_early_sign, now_); }
  void ReportMetric(uint32_t index, uint8_t fault);

  // ---- the scenario's events (scenario_events.cc)
  void ScheduleEvents();
  void OnScenarioEvent(uint32_t event);
  void Exclude(const ScenarioEvent& event);
  void StartOsUpgrade(const ScenarioEvent& event, uint32_t number);
  void OnOsPending(uint32_t index, uint32_t number);
  // Writes down who runs what it must not carry over into the upgrade.
  void NotePending(uint32_t index, uint32_t number);
  // The host's labels once the upgrade is there.
  LabelPairs LabelsAfter(const Host& host, const ScenarioEvent& event) const;
  void OnOsApply(uint32_t index, uint32_t number);
  void StartOutage(const ScenarioEvent& event, uint32_t number);
  void OnOutage(uint32_t index, bool starts);
  void StartBackgroundCrashes(const ScenarioEvent& event);
  void StartDuplicates(const ScenarioEvent& event);
  void OnServerDown(uint32_t event);
  void OnServerUp();
  std::vector<uint32_t> Draw(const ScenarioEvent& event, uint32_t number);  // the hosts that it takes

  const Scenario& scenario_;
  ArtifactMaker* const artifacts_;
  Fleet fleet_;
  Server* const server_;
  ManualClock* const clock_;
  const uint64_t seed_;
  const Micros h_;

  CalendarQueue queue_;
  Micros now_ = 0;
  Ledger ledger_;
  absl::flat_hash_map<Digest, uint16_t> version_of_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<std::vector<app::RunningView>>> running_sets_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<std::vector<Digest>>> staged_sets_;
  absl::flat_hash_map<uint32_t, std::vector<app::AgentEvent>> events_;  // unsent, by host
  std::vector<std::unique_ptr<std::string>> boot_ids_;
  std::vector<uint8_t> served_;  // since the last restart, by host
  int64_t to_serve_ = 0;
  absl::flat_hash_map<uint64_t, bool> revert_ordered_;  // host and version
  absl::flat_hash_map<uint32_t, uint8_t> armed_by_;     // fault that waits for a reboot or an OS change
  absl::flat_hash_map<uint32_t, uint8_t> owed_;         // fault whose time came while the host slept
  absl::flat_hash_map<uint32_t, size_t> open_harm_;     // index into ledger_.harms
  std::pair<std::string, uint64_t> first_stopped_;      // the release of the first halt
  policy::Selector excluded_;                           // whom people kept from it
  std::vector<uint32_t> waiting_for_halt_;              // events "on:first_halt"

  bool server_up_ = true;
  bool over_ = false;
  std::function<bool(Micros)> is_over_;
  uint32_t incarnation_ = 0;
  bool commit_scheduled_ = false;
  int64_t answers_ = 0;     // of leases, to see whether one came at once
  double on_rate_max_ = 0;  // per second

  // One stream per purpose.
  Rng agent_rng_, session_rng_, noise_rng_, fault_rng_, event_rng_;

  // Reused, so that a check-in allocates nothing.
  app::CheckInRequest request_;
  app::CheckInReply reply_;
};

}  // namespace ringfence::replay
