#include "server/app/batch.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"

namespace ringfence::app {

std::unique_ptr<App> App::Make(AppOptions options, storage::Store* store, Clock* clock, Metrics* metrics) {
  return std::make_unique<Engine>(std::move(options), store, clock, metrics);
}

const char* Name(Role role) {
  switch (role) {
    case Role::kTenantViewer:
      return "tenant-viewer";
    case Role::kTenantAdmin:
      return "tenant-admin";
    case Role::kSre:
      return "sre";
    case Role::kReleaseManager:
      return "release-manager";
  }
  return "unknown";
}

Engine::Engine(AppOptions options, storage::Store* store, Clock* clock, Metrics* metrics)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      metrics_(metrics),
      h_(absl::ToInt64Nanoseconds(options_.checkin_interval)),
      notices_(options_.halt_key),
      random_(options_.seed != 0 ? options_.seed : std::random_device{}()),
      wheel_(absl::ToUnixNanos(clock->Now())),
      series_keep_(absl::ToInt64Nanoseconds(absl::Hours(1))) {}

std::string Engine::RandomBytes(size_t count) {
  // A seeded run is a replay: reproducible. Otherwise the operating system is asked for every byte.
  std::string bytes;
  std::random_device device;
  while (bytes.size() < count) {
    uint64_t word = options_.seed != 0 ? random_() : static_cast<uint64_t>(device()) << 32 | device();
    for (int i = 0; i < 8 && bytes.size() < count; ++i, word >>= 8)
      bytes.push_back(static_cast<char>(word & 0xff));
  }
  return bytes;
}

ReleaseState* Engine::FindRelease(const std::string& channel, uint64_t serial) const {
  ReleaseState* found = nullptr;
  for (const auto& release : releases_) {
    if (release->release().channel != channel) continue;
    if (release->release().serial == serial) return release.get();
    if (serial == 0 && (found == nullptr || release->release().serial > found->release().serial)) {
      found = release.get();
    }
  }
  return found;
}

size_t Engine::IndexOf(const ReleaseState& release) const {
  return release_by_digest_.find(release.release().digest)->second;
}

void Engine::Changed() {
  ++version_;
  choose_needed_ = true;
  generation_.fetch_add(1);
}

void Engine::TellWatchers() {
  MutexLock lock(&watchers_mu_);
  for (const auto& [token, changed] : watchers_) changed();
}

int Engine::AddWatcher(std::function<void()> changed) {
  MutexLock lock(&watchers_mu_);
  watchers_.emplace(next_watcher_, std::move(changed));
  return next_watcher_++;
}

void Engine::RemoveWatcher(int token) {
  MutexLock lock(&watchers_mu_);
  watchers_.erase(token);
}

storage::DecisionRow Engine::DecisionFor(const ReleaseState& release, std::string action, std::string rule,
                                         std::string why, absl::Time now) const {
  storage::DecisionRow row;
  row.at = now;
  row.channel = release.release().channel;
  row.serial = release.release().serial;
  row.action = std::move(action);
  row.rule = std::move(rule);
  row.actor = "server";
  row.why = std::move(why);
  row.evidence = record::FiguresJson(FiguresOf(release));
  return row;
}

absl::Status Engine::RunOnce() {
  MutexLock one_at_a_time(&step_mu_);
  const absl::Time now = clock_->Now();
  const absl::Status stages_known = ResolveDoubt();
  Batch batch;
  {
    MutexLock lock(&mu_);
    const absl::Duration passed = AdvanceClock(now);
    const FleetNanos fleet_now = FleetNow();
    wheel_.Advance(fleet_now, [&](HostRef host) {
      mu_.AssertHeld();
      return WatchHost(host, fleet_now);
    });
    fleet_series_.Advance(fleet_now, series_keep_);
    while (!fell_.empty() && fell_.front().at <= fleet_now - kTogetherIntervals * h_) fell_.pop_front();
    for (const auto& release : releases_) {
      if (!release->live) continue;
      release->exposed_series.Advance(fleet_now, series_keep_);
      release->ExpireWindows(fleet_now);
      ExplainSilence(*release, fleet_now);
      release->cell_awaited = false;  // unless a judge that wants to stop says so again
      MatureSpells(*release, fleet_now);
      WatchSoaks(*release, fleet_now);
      EndProbations(*release, fleet_now);
      JudgeMethod(*release, now);
      JudgeGates(*release, nullptr, fleet_now);
      if (release->SoaksHealthy() && !blind_ &&
          !BrakesOn("", release->release().channel, release->release().serial, "").any()) {
        release->row.healthy_age += passed;
        healthy_age_unsaved_ += passed;
      }
    }
    JudgeBlindness(passed);
    HoldsRevert(now);
    WatchCalendars(now);
    if (stages_known.ok()) {
      ChooseStages(now, batch);
      for (const auto& stage : stages_) StepStage(*stage, now, passed, batch);
    }
    CollectDirty(batch, now);
  }
  absl::Status status = stages_known;
  status.Update(FlushBrakes());
  // Outcomes first: a ring that passes does so on rows that say why. Leases are committed meanwhile and in
  // between; the rest of the batch, which may be long, is nothing that they wait for.
  const absl::Status outcomes = WriteOutcomes();
  status.Update(WriteBatch(batch, outcomes));
  if (batch.told) TellWatchers();
  if (metrics_ != nullptr) metrics_->RunOnce(clock_->Now() - now, status.ok());
  return status;
}

}  // namespace ringfence::app
