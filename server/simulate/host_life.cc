// What happens to hosts whether or not there is a release: lids close, people go home, machines reboot and
// crash.
#include <algorithm>
#include <cmath>

#include "server/simulate/world.h"

namespace ringfence::replay {
namespace {

constexpr Micros kRebootTakes = kMinute;
constexpr double kTwoPi = 6.283185307179586476925;
constexpr double kSecondsPerDay = 86400;
// A host that returns calls at once, but for the time that the network takes.
constexpr double kWakeSeconds = 3;

struct Share {
  double value;
  double slope;  // per second
};

Share ShareAt(const OnlineModel& online, double seconds) {
  const double phase = kTwoPi * seconds / kSecondsPerDay;
  const double value = online.at_start + online.amplitude * std::sin(phase);
  if (value <= 0.001 || value >= 0.999) return {std::clamp(value, 0.001, 0.999), 0};
  return {value, online.amplitude * kTwoPi / kSecondsPerDay * std::cos(phase)};
}

// The rate at which offline hosts return that keeps the online share on the sine.
double OnRate(const OnlineModel& online, double seconds) {
  const Share share = ShareAt(online, seconds);
  return std::max(0.0, (share.slope + share.value / online.mean_session_seconds) / (1 - share.value));
}

}  // namespace

void World::StartHosts() {
  served_.assign(fleet_.hosts.size(), 0);
  for (int minute = 0; minute < 24 * 60; minute += 5) {
    on_rate_max_ = std::max(on_rate_max_, 1.02 * OnRate(scenario_.fleet.online, minute * 60));
  }
  for (uint32_t index = 0; index < fleet_.hosts.size(); ++index) {
    Host& host = fleet_.hosts[index];
    if (host.powered) {
      ScheduleCheckIn(index, FromSeconds(agent_rng_.Unit() * scenario_.fleet.checkin_seconds));
      Push(FromSeconds(std::min(1e9, session_rng_.Exponential(scenario_.fleet.online.mean_session_seconds))),
           Kind::kPower, index);
    } else {
      Push(TimeUntilReturn(), Kind::kPower, index);
    }
    ScheduleNoise(index, Kind::kNoiseCrash, scenario_.fleet.crash_per_host_day);
    ScheduleNoise(index, Kind::kNoiseReboot, scenario_.fleet.reboot_per_host_day);
  }
}

// By thinning: candidates at the highest rate, each kept with the share that the rate of its time has of it.
Micros World::TimeUntilReturn() {
  if (on_rate_max_ <= 0) return kNever;
  const double start = static_cast<double>(now_) / kSecond;
  double wait = 0;
  do {
    wait += session_rng_.Exponential(1 / on_rate_max_);
    if (start + wait > static_cast<double>(scenario_.horizon) / kSecond) return kNever;
  } while (!session_rng_.Coin(OnRate(scenario_.fleet.online, start + wait) / on_rate_max_));
  return FromSeconds(wait);
}

void World::OnPower(uint32_t index) {
  Host& host = fleet_.hosts[index];
  if (host.powered) {
    if (host.says_goodbye && CanTalk(host)) CheckIn(index, /*goodbye=*/true);
    host.powered = false;
    ++host.checkin_generation;
    Push(TimeUntilReturn(), Kind::kPower, index);
    return;
  }
  host.powered = true;
  Push(FromSeconds(std::min(1e9, session_rng_.Exponential(scenario_.fleet.online.mean_session_seconds))),
       Kind::kPower, index);
  ScheduleCheckIn(index, FromSeconds(kWakeSeconds * agent_rng_.Unit()));
  if (const auto owed = owed_.find(index); owed != owed_.end()) {
    Push(FromSeconds(session_rng_.Uniform(5, 60)), Kind::kStrike, index, owed->second,
         host.version_generation);
    owed_.erase(owed);
  }
}

void World::GoDownBriefly(uint32_t index, bool clean) {
  Host& host = fleet_.hosts[index];
  host.down = true;
  ++host.checkin_generation;
  Push(kRebootTakes, Kind::kBootDone, index, clean ? 1 : 0, ++host.down_generation);
}

void World::OnBootDone(uint32_t index, bool clean) {
  Host& host = fleet_.hosts[index];
  host.down = false;
  ++host.boot;
  host.last_shutdown_clean = clean;
  ScheduleCheckIn(index, FromSeconds(kWakeSeconds * agent_rng_.Unit()));
  RebootTriggers(index);
}

void World::ScheduleNoise(uint32_t index, Kind kind, double per_day) {
  if (per_day <= 0) return;
  const double seconds = noise_rng_.Exponential(kSecondsPerDay / per_day);
  if (seconds < static_cast<double>(scenario_.horizon) / kSecond) Push(FromSeconds(seconds), kind, index);
}

void World::OnNoise(uint32_t index, Kind kind) {
  Host& host = fleet_.hosts[index];
  if (kind == Kind::kNoiseCrash) ScheduleNoise(index, kind, scenario_.fleet.crash_per_host_day);
  if (kind == Kind::kNoiseReboot) ScheduleNoise(index, kind, scenario_.fleet.reboot_per_host_day);
  if (!host.powered || host.down) return;
  const bool clean = kind == Kind::kNoiseReboot;
  if (!clean) {
    app::AgentEvent event;
    event.kind = app::EventKind::kCrash;
    event.detail = "unrelated";
    AddEvent(index, std::move(event));
  }
  GoDownBriefly(index, clean);
}

}  // namespace ringfence::replay
