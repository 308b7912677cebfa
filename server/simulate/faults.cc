// The scenario's faults: who is vulnerable, when it strikes, what the host can still say, and what heals it.
#include <algorithm>

#include "server/simulate/plan_builder.h"
#include "server/simulate/world.h"

namespace ringfence::replay {
namespace {

constexpr Micros kDegradedEvery = kHour;  // a good agent says again that it is still unwell

}  // namespace

bool World::IsVulnerable(uint32_t index, size_t fault) const {
  return Rng(seed_, "vulnerable", (static_cast<uint64_t>(fault) << 32) | index)
      .Coin(scenario_.faults[fault].probability);
}

void World::Arm(uint32_t index, uint16_t version) {
  Host& host = fleet_.hosts[index];
  if (!ledger_.versions[version].harmful || host.fault != 0xff) return;
  for (size_t f = 0; f < scenario_.faults.size(); ++f) {
    const FaultSpec& fault = scenario_.faults[f];
    if (!fleet_.Matches(fault.match, host) || !IsVulnerable(index, f)) continue;
    host.armed = true;
    const auto strike = [&] {
      Push(fault.delay.Sample(fault_rng_), Kind::kStrike, index, static_cast<uint32_t>(f),
           host.version_generation);
    };
    switch (fault.trigger) {
      case Trigger::kActivation:
        strike();
        break;
      case Trigger::kReboot:
        armed_by_[index] = static_cast<uint8_t>(f);
        if (!fault.metric.empty()) {
          Push(h_ + kSecond, Kind::kEarlyMetric, index, static_cast<uint32_t>(f), host.version_generation);
        }
        break;
      case Trigger::kOsChange:
        if (HasAll(fleet_.label_sets[host.labels].labels, fault.to_labels)) {
          strike();
        } else {
          armed_by_[index] = static_cast<uint8_t>(f);
        }
        break;
    }
  }
}

void World::Disarm(uint32_t index) {
  Host& host = fleet_.hosts[index];
  armed_by_.erase(index);
  owed_.erase(index);
  if (!host.armed) return;
  host.armed = false;
  ledger_.rescued.push_back(index);
}

void World::RebootTriggers(uint32_t index) {
  const auto armed = armed_by_.find(index);
  if (armed == armed_by_.end() || scenario_.faults[armed->second].trigger != Trigger::kReboot) return;
  Push(scenario_.faults[armed->second].delay.Sample(fault_rng_), Kind::kStrike, index, armed->second,
       fleet_.hosts[index].version_generation);
  armed_by_.erase(armed);
}

void World::OsChangeTriggers(uint32_t index) {
  const Host& host = fleet_.hosts[index];
  const auto armed = armed_by_.find(index);
  if (armed == armed_by_.end()) return;
  const FaultSpec& fault = scenario_.faults[armed->second];
  if (fault.trigger != Trigger::kOsChange || !HasAll(fleet_.label_sets[host.labels].labels, fault.to_labels))
    return;
  Push(fault.delay.Sample(fault_rng_), Kind::kStrike, index, armed->second, host.version_generation);
  armed_by_.erase(armed);
}

void World::OnStrike(uint32_t index, uint8_t number) {
  Host& host = fleet_.hosts[index];
  if (host.fault != 0xff) return;
  if (!host.powered) {
    owed_[index] = number;
    return;
  }
  const FaultSpec& fault = scenario_.faults[number];
  host.armed = false;
  host.fault = number;
  ++host.version_generation;  // no other fault, and no repair of an earlier one, reaches it
  const uint16_t generation = host.version_generation;
  uint16_t version = kNoIndex;
  for (const uint16_t running : host.running) {
    if (ledger_.versions[running].harmful) version = running;
  }
  open_harm_[index] = ledger_.harms.size();
  ledger_.harms.push_back({now_, index, version, number, kNever});
  if (fault.manual_repair.has_value()) {
    Push(fault.manual_repair->Sample(fault_rng_), Kind::kRepair, index, 0, generation);
  }
  const auto go_dark = [&] {
    host.down = true;
    ++host.down_generation;
    ++host.checkin_generation;
  };
  switch (fault.effect) {
    case Effect::kBootLoop:
      go_dark();
      if (fault.brief_checkins_per_hour > 0) {
        Push(FromSeconds(fault_rng_.Exponential(3600 / fault.brief_checkins_per_hour)), Kind::kBrief, index,
             0, generation);
      }
      if (fault_rng_.Coin(fault.crash_report))
        Push(fault.report_delay, Kind::kCrashReport, index, 0, generation);
      break;
    case Effect::kSilent:
      go_dark();
      if (fault_rng_.Coin(fault.crash_report))
        Push(fault.report_delay, Kind::kCrashReport, index, 0, generation);
      break;
    case Effect::kCrashOnce:
      go_dark();
      Push(fault.report_delay, Kind::kCrashReport, index, 0, generation);
      break;
    case Effect::kDegraded:
      host.checkin_factor = static_cast<float>(fault.checkin_slowdown);
      OnDegradedAgain(index);
      break;
    case Effect::kUpdaterDead:
      host.ignores_reverts = true;
      OnDegradedAgain(index);
      break;
    case Effect::kDestructive:
      OnDegradedAgain(index);
      break;
  }
}

void World::ReportMetric(uint32_t index, uint8_t number) {
  app::AgentEvent event;
  event.kind = app::EventKind::kDegraded;
  event.metric = scenario_.faults[number].metric;
  AddEvent(index, std::move(event));
  NoteEarlySign();
}

void World::OnDegradedAgain(uint32_t index) {
  const Host& host = fleet_.hosts[index];
  if (host.fault == 0xff || scenario_.faults[host.fault].metric.empty()) return;
  ReportMetric(index, host.fault);
  Push(kDegradedEvery, Kind::kDegradedAgain, index, 0, host.version_generation);
}

void World::OnBrief(uint32_t index) {
  const Host& host = fleet_.hosts[index];
  Push(FromSeconds(fault_rng_.Exponential(3600 / scenario_.faults[host.fault].brief_checkins_per_hour)),
       Kind::kBrief, index, 0, host.version_generation);
  BriefCheckIn(index);
}

void World::OnCrashReport(uint32_t index) {
  const FaultSpec& fault = scenario_.faults[fleet_.hosts[index].fault];
  const bool once = fault.effect == Effect::kCrashOnce;
  if (!once || fault_rng_.Coin(fault.crash_report)) {
    app::AgentEvent event;
    event.kind = app::EventKind::kCrash;
    event.detail = "stop error";
    AddEvent(index, std::move(event));
  }
  if (!once) return BriefCheckIn(index);
  // Back again, on the same version: it crashed once.
  Host& host = fleet_.hosts[index];
  ++host.boot;
  host.last_shutdown_clean = false;
  Heal(index);
}

void World::OnRepair(uint32_t index) {
  Host& host = fleet_.hosts[index];
  if (host.fault == 0xff) return;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const uint16_t bad = host.running[slot];
    if (!ledger_.versions[bad].harmful || host.previous[slot] == kNoIndex) continue;
    host.running[slot] = host.previous[slot];
    host.previous[slot] = kNoIndex;
    app::AgentEvent event;
    event.kind = app::EventKind::kReverted;
    event.channel = slot == kContentSlot ? kContentChannel : kSensorChannel;
    event.digest = ledger_.versions[bad].digest;
    event.detail = "by hand";
    AddEvent(index, std::move(event));
  }
  Heal(index);
}

void World::Heal(uint32_t index) {
  Host& host = fleet_.hosts[index];
  if (host.down) {
    if (scenario_.faults[host.fault].effect != Effect::kCrashOnce) {
      ++host.boot;
      host.last_shutdown_clean = false;
    }
    host.down = false;
  }
  host.fault = 0xff;
  host.ignores_reverts = false;
  host.checkin_factor = 1;
  ++host.version_generation;
  ledger_.harms[open_harm_[index]].healed_at = now_;
  ScheduleCheckIn(index, FromSeconds(3 * agent_rng_.Unit()));
}

}  // namespace ringfence::replay
