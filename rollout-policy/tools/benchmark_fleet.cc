#include "rollout-policy/tools/benchmark_fleet.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <utility>

namespace ringfence::tools {
namespace {

constexpr Tick kTicksOfDay = 288;
constexpr Tick kBurstTicks = 12;  // diurnal: laptops much noisier
constexpr double kBurst = 6.0;
constexpr Tick kOutagePatternTicks = 4;  // outage pattern: half of all spells silent
constexpr double kOutagePattern = 0.5;
constexpr double kMostNoise = 0.9;
constexpr Tick kDefaultGapTicks = 5;

// The classes that the diurnal pattern knows.
bool IsServer(const FleetSpec::Class& one) {
  return one.name == "server";
}

}  // namespace

BenchmarkFleet::BenchmarkFleet(const BenchmarkScenario& scenario, FastRandom& random)
    : spec_(scenario),
      random_(random),
      spell_noise_(std::get_if<SpellNoise>(&scenario.background.noise)),
      timeline_(std::get_if<TimelineNoise>(&scenario.background.noise)),
      first_window_(static_cast<Tick>(std::floor(scenario.timing.a_s / scenario.timing.tick_s)) + 1),
      last_window_(static_cast<Tick>(std::floor(scenario.timing.d_s / scenario.timing.tick_s))),
      maturity_(static_cast<Tick>(std::ceil(scenario.timing.d_s / scenario.timing.tick_s))),
      gap_ticks_(scenario.policy.phantoms.has_value() ? static_cast<Tick>(scenario.policy.phantoms->gap_ticks)
                                                      : kDefaultGapTicks),
      has_outage_(scenario.background.outage.has_value()),
      tracked_(timeline_ != nullptr || scenario.fault.kind == FaultKind::kBrickDelayed ||
               scenario.policy.phantoms.has_value()) {
  for (uint64_t& key : trait_keys_) key = random_();
  const FleetSpec& fleet = spec_.fleet;
  special_ = fleet.cohort_fraction;
  if (special_ == 0 && has_outage_) special_ = spec_.background.outage->fraction;
  if (special_ == 0 && spec_.background.noisy.has_value()) special_ = spec_.background.noisy->fraction;

  if (has_outage_) {
    const auto [first, last] = spec_.background.outage->start_tick;
    outage_start_ = static_cast<Tick>(first + random_.Below(static_cast<uint32_t>(last - first + 1)));
    outage_end_ = static_cast<Tick>(outage_start_ + spec_.background.outage->ticks);
  }
  phase_ = 2 * std::numbers::pi * random_.Uniform();
  burst_start_ = spec_.background.pattern == Pattern::kDiurnal ? static_cast<Tick>(random_.Below(121))
                                                               : static_cast<Tick>(5 + random_.Below(56));
  double until = 0.0;
  for (size_t i = 0; i < fleet.classes.size(); ++i) {
    until += fleet.classes[i].fraction;
    class_until_[i] = static_cast<uint64_t>(std::min(until, 1.0) * 0x1p53);
  }
  class_until_[fleet.classes.size() - 1] = uint64_t{1} << 53;

  const auto ticks = static_cast<size_t>(spec_.timing.max_ticks) + 1;
  if (spec_.fault.kind == FaultKind::kBootLoop) boots_.by_tick.resize(ticks);
  if (!tracked_) return;
  const auto hosts = static_cast<size_t>(fleet.hosts);
  dark_since_.assign(hosts, kNever);
  last_crash_.assign(hosts, -1);
  broken_.assign(hosts, false);
  gap_starts_.by_tick.resize(ticks);
  gap_ends_.by_tick.resize(ticks);
  gap_due_.by_tick.resize(ticks);
  onsets_.by_tick.resize(ticks);
  if (timeline_ != nullptr) {
    for (uint32_t host = 0; host < hosts; ++host) ScheduleGap(host, 0);
  }
}

uint8_t BenchmarkFleet::ClassOf(uint32_t host) const {
  const uint64_t place = Trait(host, kClassTrait) >> 11;
  uint8_t found = 0;
  while (place >= class_until_[found]) ++found;
  return found;
}

void BenchmarkFleet::CellsOf(uint32_t host, policy::CellIndex* cells) const {
  const auto dims = static_cast<uint32_t>(spec_.fleet.label_dims);
  const auto values = static_cast<uint32_t>(spec_.fleet.label_values);
  for (uint32_t dim = 0; dim < dims; ++dim) {
    double u = ToUniform(Trait(host, kLabelTrait + dim));
    uint32_t value = 0;
    if (dim > 0 || special_ == 0) {
      value = static_cast<uint32_t>(u * values);
    } else if (u >= special_ && values > 1) {
      u = (u - special_) / (1 - special_);
      value = 1 + std::min(values - 2, static_cast<uint32_t>(u * (values - 1)));
    }
    cells[dim] = dim * values + value;
  }
}

policy::BackgroundRates BenchmarkFleet::TrueRates() const {
  policy::BackgroundRates rates;
  for (size_t i = 0; i < spec_.fleet.classes.size(); ++i) {
    if (timeline_ != nullptr) {
      // A gap that covers the window began after the draw and not after the first tick of the window.
      const double online = std::pow(1 - timeline_->gap_per_tick[i], first_window_);
      rates.push_back({1 - online, 1 - std::pow(1 - timeline_->crash_per_tick, last_window_)});
      continue;
    }
    double silence = spell_noise_->silence;
    if (spec_.background.pattern == Pattern::kDiurnal)
      silence *= IsServer(spec_.fleet.classes[i]) ? 0.2 : 1.5;
    rates.push_back({silence, spell_noise_->crash});
  }
  return rates;
}

bool BenchmarkFleet::IsVulnerable(uint32_t host) const {
  if (spec_.fault.kind == FaultKind::kNone) return false;
  if (spec_.fault.cohort_only && !IsSpecial(host)) return false;
  return spec_.fault.probability >= 1 || ToUniform(Trait(host, kVulnerableTrait)) < spec_.fault.probability;
}

bool BenchmarkFleet::IsDarkByOutage(uint32_t host, Tick now) const {
  return has_outage_ && now >= outage_start_ && now < outage_end_ && IsSpecial(host);
}

bool BenchmarkFleet::IsOnline(uint32_t host, Tick now) const {
  if (tracked_ && dark_since_[host] <= now) return false;
  if (now < spec_.fleet.cohort_online_from_tick && IsSpecial(host)) return false;
  return !IsDarkByOutage(host, now);
}

double BenchmarkFleet::SilenceOfClass(size_t host_class, Tick t0) const {
  const double p = spell_noise_->silence;
  switch (spec_.background.pattern) {
    case Pattern::kFlat:
      return p;
    case Pattern::kDiurnal: {
      if (IsServer(spec_.fleet.classes[host_class])) return p * 0.2;
      const double day = 1.5 * (1 + 0.8 * std::sin(2 * std::numbers::pi * t0 / kTicksOfDay + phase_));
      const bool burst = t0 >= burst_start_ && t0 < burst_start_ + kBurstTicks;
      return p * day * (burst ? kBurst : 1.0);
    }
    case Pattern::kOutage:
      return t0 >= burst_start_ && t0 < burst_start_ + kOutagePatternTicks ? std::max(p, kOutagePattern) : p;
  }
  return p;
}

double BenchmarkFleet::SilenceOfSpell(uint32_t host, Tick t0) {
  if (silence_tick_ != t0) {
    silence_tick_ = t0;
    for (size_t i = 0; i < spec_.fleet.classes.size(); ++i) silence_of_class_[i] = SilenceOfClass(i, t0);
  }
  // Classes differ by the time of day only.
  const double p = silence_of_class_[spec_.background.pattern == Pattern::kDiurnal ? ClassOf(host) : 0];
  if (!spec_.background.noisy.has_value() || !IsSpecial(host)) return p;
  return std::min(kMostNoise, p * spec_.background.noisy->factor);
}

// ---- gaps, tick by tick

void BenchmarkFleet::ScheduleGap(uint32_t host, Tick not_before) {
  const double p = timeline_->gap_per_tick[ClassOf(host)];
  if (p <= 0) return;
  const double wait = p >= 1 ? 0.0 : std::floor(std::log1p(-random_.Uniform()) / std::log1p(-p));
  if (wait < static_cast<double>(spec_.timing.max_ticks)) {
    gap_starts_.Add(not_before + static_cast<Tick>(wait), host);
  }
}

void BenchmarkFleet::GoDark(uint32_t host, Tick now) {
  if (dark_since_[host] <= now) return;
  dark_since_[host] = now;
  // Last heard a tick ago.
  gap_due_.Add(now + gap_ticks_ - 1, {host, now});
}

void BenchmarkFleet::BreakAt(Tick now, uint32_t host, std::vector<FleetEvent>& events) {
  ++harmed_;
  onset_.erase(host);
  broken_[host] = true;
  if (dark_since_[host] > now && random_.Chance(spec_.fault.crash_report)) {
    // The report is the last that is heard of it.
    last_crash_[host] = now;
    events.push_back({host, FleetEvent::Kind::kCrash});
    GoDark(host, now + 1);
  } else {
    GoDark(host, now);
  }
}

void BenchmarkFleet::Step(Tick now, std::vector<FleetEvent>& events) {
  events.clear();
  for (const uint32_t host : boots_.Take(now)) events.push_back({host, FleetEvent::Kind::kCrash});
  if (!tracked_) return;
  for (const uint32_t host : gap_ends_.Take(now)) {
    if (broken_[host]) continue;
    dark_since_[host] = kNever;
    events.push_back({host, FleetEvent::Kind::kReturn});
    ScheduleGap(host, now + 1);
  }
  for (const uint32_t host : gap_starts_.Take(now)) {
    if (broken_[host]) continue;
    const TimelineNoise::GapLength& length = timeline_->gap_ticks[ClassOf(host)];
    const double more = -length.mean_more * std::log1p(-random_.Uniform());
    GoDark(host, now);
    gap_ends_.Add(static_cast<Tick>(std::min(now + std::max(1.0, std::ceil(length.least + more)), 2e9)),
                  host);
  }
  for (const uint32_t host : onsets_.Take(now)) {
    // Reverted before, or let in again: only the onset that stands counts.
    const auto it = onset_.find(host);
    if (it != onset_.end() && it->second == now) BreakAt(now, host, events);
  }
  if (timeline_ != nullptr && timeline_->crash_per_tick > 0) {
    std::binomial_distribution<int64_t> crashes(spec_.fleet.hosts, timeline_->crash_per_tick);
    for (int64_t left = crashes(random_); left > 0; --left) {
      const uint32_t host = random_.Below(static_cast<uint32_t>(spec_.fleet.hosts));
      if (!IsOnline(host, now)) continue;
      last_crash_[host] = now;
      events.push_back({host, FleetEvent::Kind::kCrash});
    }
  }
  for (const OpenGap& gap : gap_due_.Take(now)) {
    if (dark_since_[gap.host] == gap.since) events.push_back({gap.host, FleetEvent::Kind::kGap});
  }
}

// ---- the fault

void BenchmarkFleet::Activate(uint32_t host, Tick now) {
  if (!IsVulnerable(host)) return;
  switch (spec_.fault.kind) {
    case FaultKind::kNone:
      return;
    case FaultKind::kBrick:
      ++harmed_;
      if (!tracked_) return;
      broken_[host] = true;
      GoDark(host, now + 1);
      return;
    case FaultKind::kBrickDelayed: {
      std::normal_distribution<double> normal;
      const double delay =
          spec_.fault.onset_median_ticks * std::exp(spec_.fault.onset_sigma * normal(random_));
      const auto at = static_cast<Tick>(std::min(now + std::max(1.0, std::round(delay)), 2e9));
      onset_[host] = at;
      onsets_.Add(at, host);
      return;
    }
    case FaultKind::kBootLoop: {
      ++harmed_;
      const double first_boot = random_.Uniform() * spec_.fault.cycle_ticks;
      BootLoop loop;
      // Two days of never being heard is never.
      for (Tick k = 1; k < 2 * kTicksOfDay && (k <= last_window_ || loop.first_seen == kNever); ++k) {
        if (!random_.Chance(spec_.fault.heard_per_tick)) continue;
        if (k >= first_window_ && k <= last_window_) loop.heard_in_window = true;
        if (k >= first_boot && loop.first_seen == kNever) loop.first_seen = k;
      }
      loops_[host] = loop;
      if (loop.first_seen != kNever) boots_.Add(now + loop.first_seen, host);
      return;
    }
  }
}

void BenchmarkFleet::Revert(uint32_t host) {
  onset_.erase(host);
}

bool BenchmarkFleet::IsHarmed(uint32_t host) const {
  switch (spec_.fault.kind) {
    case FaultKind::kNone:
      return false;
    case FaultKind::kBrick:
      return IsVulnerable(host);
    case FaultKind::kBrickDelayed:
      return broken_[host];
    case FaultKind::kBootLoop:
      return loops_.contains(host);
  }
  return false;
}

// ---- spells

policy::SpellOutcome BenchmarkFleet::Outcome(uint32_t host, Tick t0, bool exposed) {
  policy::SpellOutcome outcome;
  if (exposed && spec_.fault.kind == FaultKind::kBrick && IsVulnerable(host)) {
    outcome.silent = true;
    return outcome;
  }
  if (exposed && spec_.fault.kind == FaultKind::kBootLoop) {
    if (const auto it = loops_.find(host); it != loops_.end()) {
      outcome.silent = !it->second.heard_in_window;
      outcome.crashed = it->second.first_seen <= last_window_;
      return outcome;
    }
  }
  if (tracked_) {
    outcome.silent = dark_since_[host] <= t0 + first_window_;
    outcome.crashed = last_crash_[host] > t0;
  }
  if (has_outage_ && outage_start_ <= t0 + first_window_ && t0 + last_window_ < outage_end_ &&
      IsSpecial(host)) {
    outcome.silent = true;
  }
  if (spell_noise_ != nullptr) {
    // One draw for both: 32 bits each.
    const uint64_t bits = random_();
    if (static_cast<double>(bits >> 32) < SilenceOfSpell(host, t0) * 0x1p32) outcome.silent = true;
    if (static_cast<double>(bits & 0xffffffff) < spell_noise_->crash * 0x1p32) outcome.crashed = true;
  }
  return outcome;
}

bool BenchmarkFleet::IsCleanProbation(uint32_t host, Tick from) {
  if (IsHarmed(host)) return false;
  const policy::SpellOutcome outcome = Outcome(host, from, false);
  return !outcome.silent && !outcome.crashed;
}

}  // namespace ringfence::tools
