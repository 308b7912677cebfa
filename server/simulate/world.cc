#include "server/simulate/world.h"

#include <algorithm>
#include <cstdio>

#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/simulate/plan_builder.h"

namespace ringfence::replay {
namespace {

constexpr Micros kSampleEvery = 5 * kMinute;
// The first plans are applied and the server has looked once before the first host calls.
constexpr Micros kFirstRunOnce = 0;

}  // namespace

World::World(const Scenario& scenario, Fleet fleet, Server* server, ManualClock* clock,
             ArtifactMaker* artifacts, uint64_t seed)
    : scenario_(scenario),
      artifacts_(artifacts),
      fleet_(std::move(fleet)),
      server_(server),
      clock_(clock),
      seed_(seed),
      h_(FromSeconds(scenario.fleet.checkin_seconds)),
      agent_rng_(seed, "agents"),
      session_rng_(seed, "sessions"),
      noise_rng_(seed, "noise"),
      fault_rng_(seed, "faults"),
      event_rng_(seed, "events") {}

absl::Status World::SetUp() {
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const char* channel = slot == kContentSlot ? kContentChannel : kSensorChannel;
    const uint16_t version = AddVersion(
        {slot, "before", Sha256(std::string("what every host ran before: ") + channel), 0, -1, false});
    for (Host& host : fleet_.hosts) host.running[slot] = version;
  }
  std::vector<storage::AgentRow> rows;
  rows.reserve(fleet_.hosts.size());
  for (const Host& host : fleet_.hosts) {
    storage::AgentRow row;
    row.agent = host.id;
    row.tenant = fleet_.TenantOf(host);
    row.labels = fleet_.label_sets[host.labels].labels;
    for (const app::RunningView& view : RunningOf(host))
      row.running.push_back({std::string(view.channel), view.digest});
    row.boot_id = std::string(BootId(host.boot));
    row.enrolled_at = row.last_seen = clock_->Now();
    rows.push_back(std::move(row));
  }
  RETURN_IF_ERROR(server_->Enrol(rows));
  RETURN_IF_ERROR(server_->Start());
  const std::vector<policy::Plan> plans = scenario_.plans.empty() ? BuildPlans(scenario_) : scenario_.plans;
  for (const policy::Plan& plan : plans) RETURN_IF_ERROR(server_->ApplyPlan(plan));
  return absl::OkStatus();
}

absl::Status World::Run() {
  RETURN_IF_ERROR(SetUp());
  ledger_.requests_per_minute.assign(static_cast<size_t>(scenario_.horizon / kMinute) + 2, 0);
  StartHosts();
  SchedulePublishes();
  ScheduleEvents();
  Push(kFirstRunOnce, Kind::kRunOnce, 0);
  Push(kSampleEvery, Kind::kSample, 0);
  Event event;
  while (!over_ && queue_.Pop(&event) && event.at <= scenario_.horizon) {
    if (event.at > now_) {
      now_ = event.at;
      clock_->Set(ToWall(now_));
    }
    Dispatch(event);
  }
  return absl::OkStatus();
}

void World::Push(Micros delay, Kind kind, uint32_t subject, uint32_t arg, uint16_t generation) {
  if (delay > scenario_.horizon - now_) return;  // never comes
  queue_.Push({now_ + delay, subject, arg, generation, static_cast<uint8_t>(kind)});
}

void World::Dispatch(const Event& event) {
  const uint32_t subject = event.subject;
  const auto host = [&]() -> Host& { return fleet_.hosts[subject]; };
  switch (static_cast<Kind>(event.kind)) {
    case Kind::kCheckIn:
      if (event.generation == host().checkin_generation && CanTalk(host()))
        CheckIn(subject, /*goodbye=*/false);
      break;
    case Kind::kServerDown:
      OnServerDown(subject);
      break;
    case Kind::kServerUp:
      OnServerUp();
      break;
    case Kind::kPublish:
      OnPublish(subject);
      break;
    case Kind::kScenarioEvent:
      OnScenarioEvent(subject);
      break;
    case Kind::kOutageEnd:
      OnOutage(subject, /*starts=*/false);
      break;
    case Kind::kOutageStart:
      OnOutage(subject, /*starts=*/true);
      break;
    case Kind::kOsPending:
      OnOsPending(subject, event.arg);
      break;
    case Kind::kOsApply:
      OnOsApply(subject, event.arg);
      break;
    case Kind::kRepair:
      if (event.generation == host().version_generation) OnRepair(subject);
      break;
    case Kind::kPower:
      OnPower(subject);
      break;
    case Kind::kNoiseCrash:
    case Kind::kNoiseReboot:
    case Kind::kExtraCrash:
      OnNoise(subject, static_cast<Kind>(event.kind));
      break;
    case Kind::kBootDone:
      if (event.generation == host().down_generation) OnBootDone(subject, event.arg == 1);
      break;
    case Kind::kStrike:
      if (event.generation == host().version_generation) OnStrike(subject, static_cast<uint8_t>(event.arg));
      break;
    case Kind::kEarlyMetric:
      if (event.generation == host().version_generation)
        ReportMetric(subject, static_cast<uint8_t>(event.arg));
      break;
    case Kind::kDegradedAgain:
      if (event.generation == host().version_generation) OnDegradedAgain(subject);
      break;
    case Kind::kDownloaded:
      OnDownloaded(subject, static_cast<uint16_t>(event.arg));
      break;
    case Kind::kActivate:
      OnActivate(subject, static_cast<uint16_t>(event.arg));
      break;
    case Kind::kBrief:
      if (event.generation == host().version_generation) OnBrief(subject);
      break;
    case Kind::kCrashReport:
      if (event.generation == host().version_generation) OnCrashReport(subject);
      break;
    case Kind::kLease:
      OnLease(subject, static_cast<uint16_t>(event.arg));
      break;
    case Kind::kCommit:
      OnCommit();
      break;
    case Kind::kRunOnce:
      OnRunOnce();
      break;
    case Kind::kSample:
      OnSample();
      break;
  }
}

void World::NoteServer(const absl::Status& status) {
  if (status.ok()) return;
  if (ledger_.server_errors++ == 0) ledger_.first_server_error = status.ToString();
}

void World::OnRunOnce() {
  Push(std::min(scenario_.tick, h_ / 4), Kind::kRunOnce, 0);
  if (!server_up_) return;
  NoteServer(server_->RunOnce());
  if (ledger_.first_halt_seen == kNever && server_->TakeChanged()) LookForFirstHalt();
}

void World::LookForFirstHalt() {
  const auto decisions = server_->Decisions();
  if (!decisions.ok()) return NoteServer(decisions.status());
  for (const storage::DecisionRow& row : *decisions) {
    if (row.action != "halt" && row.action != "hold") continue;
    ledger_.first_halt_seen = now_;
    first_stopped_ = {row.channel, row.serial};
    for (const uint32_t number : waiting_for_halt_)
      Push(scenario_.events[number].at, Kind::kScenarioEvent, number);
    waiting_for_halt_.clear();
    return;
  }
}

void World::OnCommit() {
  commit_scheduled_ = false;
  if (server_up_) NoteServer(server_->CommitOnce());
}

void World::OnSample() {
  Push(kSampleEvery, Kind::kSample, 0);
  over_ = is_over_ && is_over_(now_);
  for (const PublishRecord& publish : ledger_.publishes) {
    if (!publish.accepted) continue;
    const Version& version = ledger_.versions[publish.version];
    CoverageSample sample{now_, publish.version, 0, 0};
    for (const Host& host : fleet_.hosts) {
      if (ledger_.excluded_at != kNever && fleet_.Matches(excluded_, host)) continue;
      if (!CanTalk(host) || !IsAdmitted(host, version) || !IsTargetedAndQualified(host, version)) continue;
      ++sample.eligible;
      if (host.running[version.slot] == publish.version) ++sample.running;
    }
    ledger_.coverage.push_back(sample);
  }
}

}  // namespace ringfence::replay
