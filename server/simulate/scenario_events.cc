// The scenario's events: OS upgrades, outages that have nothing to do with a release, crashes everywhere,
// reports that come twice, a server that goes away.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/simulate/world.h"

namespace ringfence::replay {
namespace {

constexpr double kServedShare = 0.95;

}  // namespace

void World::ScheduleEvents() {
  for (uint32_t number = 0; number < scenario_.events.size(); ++number) {
    if (scenario_.events[number].after_first_halt) {
      waiting_for_halt_.push_back(number);
    } else {
      Push(scenario_.events[number].at, Kind::kScenarioEvent, number);
    }
  }
}

void World::OnScenarioEvent(uint32_t number) {
  const ScenarioEvent& event = scenario_.events[number];
  switch (event.kind) {
    case EventKind::kOsUpgrade:
      return StartOsUpgrade(event, number);
    case EventKind::kExternalOutage:
      return StartOutage(event, number);
    case EventKind::kServerRestart:
      return OnServerDown(number);
    case EventKind::kBackgroundCrash:
      return StartBackgroundCrashes(event);
    case EventKind::kDuplicateReports:
      return StartDuplicates(event);
    case EventKind::kExclude:
      return Exclude(event);
  }
}

std::vector<uint32_t> World::Draw(const ScenarioEvent& event, uint32_t number) {
  std::vector<uint32_t> drawn;
  for (uint32_t index = 0; index < fleet_.hosts.size(); ++index) {
    const bool lot = Rng(seed_, "event lot", (static_cast<uint64_t>(number) << 32) | index).Coin(event.share);
    if (lot && fleet_.Matches(event.match, fleet_.hosts[index])) drawn.push_back(index);
  }
  return drawn;
}

void World::Exclude(const ScenarioEvent& event) {
  for (const auto& [key, value] : event.labels_after) {
    NoteServer(server_->ExcludeAndResume(first_stopped_.first, first_stopped_.second,
                                         absl::StrCat(key, "=", value)));
    excluded_.all_of.push_back({key, {value}});
  }
  ledger_.excluded_at = now_;
}

void World::StartOsUpgrade(const ScenarioEvent& event, uint32_t number) {
  for (const uint32_t index : Draw(event, number)) {
    const Micros start = event.spread.Sample(event_rng_);
    if (event.announces_pending > 0) Push(start, Kind::kOsPending, index, number);
    Push(start + std::max(event.reboots_after, event.announces_pending), Kind::kOsApply, index, number);
  }
}

void World::OnOsPending(uint32_t index, uint32_t number) {
  Host& host = fleet_.hosts[index];
  LabelPairs pairs = fleet_.label_sets[host.labels].labels.pairs();
  for (const auto& [key, value] : scenario_.events[number].labels_after)
    pairs.emplace_back("pending." + key, value);
  if (auto labels = policy::Labels::Make(std::move(pairs)); labels.ok()) {
    host.labels = fleet_.Intern(*std::move(labels));
    host.send_labels = true;
  }
  if (host.armed) NoteEarlySign();
  NotePending(index, number);
}

LabelPairs World::LabelsAfter(const Host& host, const ScenarioEvent& event) const {
  const auto is_replaced = [&](const std::string& key) {
    return std::any_of(event.labels_after.begin(), event.labels_after.end(), [&](const auto& after) {
      return key == after.first || key == "pending." + after.first;
    });
  };
  LabelPairs pairs;
  for (const auto& pair : fleet_.label_sets[host.labels].labels.pairs()) {
    if (!is_replaced(pair.first)) pairs.push_back(pair);
  }
  pairs.insert(pairs.end(), event.labels_after.begin(), event.labels_after.end());
  return pairs;
}

void World::NotePending(uint32_t index, uint32_t number) {
  Host host = fleet_.hosts[index];
  if (!CanTalk(host)) return;
  const ScenarioEvent& event = scenario_.events[number];
  absl::StatusOr<policy::Labels> labels = policy::Labels::Make(LabelsAfter(host, event));
  if (!labels.ok()) return;
  const Host before = host;
  host.labels = fleet_.Intern(*std::move(labels));
  const bool leaves = std::any_of(std::begin(host.running), std::end(host.running), [&](uint16_t running) {
    if (running == kNoIndex || ledger_.versions[running].release < 0) return false;
    return IsTargetedAndQualified(before, ledger_.versions[running]) &&
           !IsTargetedAndQualified(host, ledger_.versions[running]);
  });
  const Micros reboots_at = now_ + std::max(event.reboots_after, event.announces_pending);
  if (leaves) ledger_.pending_notices.push_back({now_, reboots_at, index, number});
}

void World::OnOsApply(uint32_t index, uint32_t number) {
  const ScenarioEvent& event = scenario_.events[number];
  Host& host = fleet_.hosts[index];
  if (!host.powered && event.reboots) {
    // Asleep: it reboots when somebody wakes it. An hour is soon enough.
    return Push(kHour, Kind::kOsApply, index, number);
  }
  if (auto labels = policy::Labels::Make(LabelsAfter(host, event)); labels.ok()) {
    host.labels = fleet_.Intern(*std::move(labels));
    host.send_labels = true;
  }
  if (event.reboots && !host.down) GoDownBriefly(index, /*clean=*/true);
  OsChangeTriggers(index);
}

void World::StartOutage(const ScenarioEvent& event, uint32_t number) {
  for (const uint32_t index : Draw(event, number)) {
    const Micros start = event.spread.Sample(event_rng_);
    Push(start, Kind::kOutageStart, index);
    Push(start + event.duration, Kind::kOutageEnd, index);
  }
}

void World::OnOutage(uint32_t index, bool starts) {
  Host& host = fleet_.hosts[index];
  host.cut_off = starts;
  if (!starts) ScheduleCheckIn(index, FromSeconds(3 * event_rng_.Unit()));
}

void World::StartBackgroundCrashes(const ScenarioEvent& event) {
  if (event.rate_per_host_day <= 0) return;
  for (uint32_t index = 0; index < fleet_.hosts.size(); ++index) {
    if (!fleet_.Matches(event.match, fleet_.hosts[index])) continue;
    double at = 0;
    while (true) {
      at += event_rng_.Exponential(86400 / event.rate_per_host_day);
      if (FromSeconds(at) >= event.duration) break;
      Push(FromSeconds(at), Kind::kExtraCrash, index);
    }
  }
}

// Real crashes of a few hosts, each report sent many times under the same id: they are still a few hosts.
// Exposed hosts first, where the copies would do most harm if they counted.
void World::StartDuplicates(const ScenarioEvent& event) {
  int64_t left = event.hosts;
  for (const bool exposed : {true, false}) {
    for (uint32_t index = 0; index < fleet_.hosts.size() && left > 0; ++index) {
      Host& host = fleet_.hosts[index];
      const bool runs_release =
          std::any_of(std::begin(host.running), std::end(host.running),
                      [&](uint16_t version) { return ledger_.versions[version].release >= 0; });
      if (runs_release != exposed || fleet_.TenantOf(host) != event.tenant || !CanTalk(host)) continue;
      --left;
      app::AgentEvent report;
      report.kind = app::EventKind::kCrash;
      report.detail = "unrelated";
      AddEvent(index, std::move(report));
      const std::vector<app::AgentEvent> copies = events_[index];
      for (int64_t copy = 0; copy < event.copies_each; ++copy) {
        events_[index] = copies;
        host.has_events = true;
        CheckIn(index, /*goodbye=*/false);
      }
    }
  }
}

void World::OnServerDown(uint32_t number) {
  if (!server_up_) return;
  server_->Stop();
  server_up_ = false;
  ++incarnation_;
  ledger_.restarts.push_back({kNever, kNever});
  Push(scenario_.events[number].duration, Kind::kServerUp, 0);
}

void World::OnServerUp() {
  const absl::Status started = server_->Start();
  NoteServer(started);
  if (!started.ok()) return;
  server_up_ = true;
  ledger_.restarts.back().up_at = now_;
  std::fill(served_.begin(), served_.end(), 0);
  const auto callers = std::count_if(fleet_.hosts.begin(), fleet_.hosts.end(),
                                     [&](const Host& host) { return CanTalk(host); });
  to_serve_ = static_cast<int64_t>(kServedShare * static_cast<double>(callers));
}

}  // namespace ringfence::replay
