#include "rollout-policy/tools/benchmark_rollout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/check.h"
#include "ringfence/policy/decide.h"
#include "ringfence/policy/governor.h"
#include "ringfence/policy/judge/exposure_book.h"
#include "ringfence/policy/judge/pacing.h"
#include "ringfence/policy/judge/release_judge.h"
#include "ringfence/policy/judge/stage_draw.h"
#include "ringfence/policy/judge/stop_state.h"
#include "rollout-policy/tools/benchmark_fleet.h"
#include "rollout-policy/tools/fast_random.h"
#include "rollout-policy/tools/host_set.h"

namespace ringfence::tools {
namespace {

using policy::Arm;
using policy::CellIndex;
using policy::CellSpan;
using policy::HealthChannel;
using policy::News;
using policy::Standing;

constexpr double kComplete = 0.98;
constexpr double kHistorySpread = 0.2;  // of log p_hist around the truth
constexpr CellIndex kCohortCell = 0;    // value 0 of dimension 0
constexpr size_t kStage = 0;
// From here on hosts ask in turn rather than in random order.
constexpr int64_t kLargePool = 50'000;
constexpr double kLargeShare = 0.25;

class Rollout {
 public:
  Rollout(const BenchmarkScenario& scenario, uint64_t seed);
  RolloutResult Run();

 private:
  struct Spell {
    uint32_t host = 0;
    Arm arm = Arm::kNone;
    bool silent = false;
    bool crashed = false;
  };
  // What one tick drew, in the order of its stratum.
  struct Batch {
    Tick t0 = 0;
    policy::StratumNumber stratum = 0;
    std::vector<Spell> spells;
  };

  absl::Time At(Tick tick) const { return absl::UnixEpoch() + tick * tick_length_; }
  int64_t Binomial(int64_t n, double p);
  CellSpan Cells(uint32_t host);
  Batch& BatchOf(Tick t0) { return batches_[static_cast<size_t>(t0) % batches_.size()]; }

  // The parts of a tick, in this order.
  void CheckIns(Tick now);
  void Maturities(Tick now);
  void Evaluate(Tick now);
  void Reverts(Tick now);
  void Waves(Tick now);
  void Draws(Tick now);
  // One host asks. False when the bucket is closed.
  bool Ask(uint32_t host, Tick now);
  // A share of the eligible asks, in random order; or, where many of a large fleet do, in turn from a random
  // place on: traits are hashes of the host's number, so that no order tells anything, and memory likes this
  // one. False when the bucket was closed before the end.
  bool AskAll(Tick now, double share);
  bool IsOver() const;

  void OnEvent(const FleetEvent& event, Tick now);
  void StartProbation(uint32_t host, Tick from);
  void Prove(uint32_t host);
  void BecomeEligible(uint32_t host);
  int64_t EligibleOnline(Tick now) const;
  bool IsUnconfirmed(uint32_t host) const { return policy::IsUnconfirmed(book_.Of(host)); }
  bool has_timeline() const { return std::holds_alternative<TimelineNoise>(spec_.background.noise); }
  bool has_phantoms() const { return spec_.policy.phantoms.has_value(); }

  const BenchmarkScenario& spec_;
  FastRandom random_;
  BenchmarkFleet fleet_;
  absl::Duration tick_length_;
  Tick max_ticks_;
  uint32_t hosts_;

  policy::ReleaseJudge judge_;
  policy::ExposureBook book_;
  policy::StageDraw draw_;
  policy::AskerForecast forecast_;
  policy::StopState stop_;
  policy::PhantomPlan phantoms_;

  HostSet eligible_;  // no spell, not exposed; online or not
  std::vector<uint32_t> order_;
  std::vector<Batch> batches_;                     // ring, by tick
  std::vector<std::vector<uint32_t>> probations_;  // ring, by the tick of their end
  std::vector<std::vector<uint32_t>> soak_ends_;   // ring, by tick
  std::vector<FleetEvent> events_;
  std::array<CellIndex, 16> cells_{};
  int64_t asked_ = 0;      // this tick, of those who could be enrolled
  int64_t returning_ = 0;  // hosts whose lock ended this tick
  int64_t open_spells_ = 0;
  int64_t locked_ = 0;  // phantoms
  int64_t eligible_special_ = 0;
  bool counts_special_;

  // Waves.
  size_t wave_ = 0;
  bool passed_ = false;
  Tick wave_opened_ = 0;
  std::vector<uint8_t> wave_of_;
  std::vector<int64_t> wave_exposed_, wave_confirmed_;

  std::vector<uint32_t> to_revert_;
  std::vector<uint32_t> exposed_;  // delayed faults only
  int64_t revert_pace_ = 0;
  double m_r_ = 1.0;
  std::optional<Tick> first_failed_since_;
  RolloutResult result_;
};

policy::JudgeSetup SetupOf(const BenchmarkScenario& scenario, const BenchmarkFleet& fleet,
                           FastRandom& random) {
  policy::JudgeSetup setup;
  setup.k_max = policy::KMax(fleet.cells());
  setup.rho0 = scenario.policy.rho0;
  setup.keep_records = false;
  setup.p_hist = fleet.TrueRates();
  // A history is never exactly right.
  std::normal_distribution<double> normal;
  for (size_t channel = 0; channel < policy::kGuardChannels; ++channel) {
    const double error = std::exp(kHistorySpread * normal(random));
    for (auto& rates : setup.p_hist) rates[channel] *= error;
  }
  return setup;
}

Rollout::Rollout(const BenchmarkScenario& scenario, uint64_t seed)
    : spec_(scenario),
      random_(seed),
      fleet_(scenario, random_),
      tick_length_(absl::Seconds(scenario.timing.tick_s)),
      max_ticks_(static_cast<Tick>(scenario.timing.max_ticks)),
      hosts_(static_cast<uint32_t>(scenario.fleet.hosts)),
      judge_(SetupOf(scenario, fleet_, random_)),
      book_(policy::StartBudget(hosts_), {policy::StartBudget(hosts_)}),
      draw_(judge_, book_, kStage),
      eligible_(hosts_),
      batches_(static_cast<size_t>(fleet_.maturity_ticks()) + 1),
      probations_(static_cast<size_t>(fleet_.maturity_ticks()) + 1),
      counts_special_(!fleet_.tracked() && fleet_.has_offline()) {
  if (counts_special_) {
    for (uint32_t host = 0; host < hosts_; ++host) eligible_special_ += fleet_.IsSpecial(host) ? 1 : 0;
  }
  if (has_phantoms()) {
    const PhantomSpec& spec = *spec_.policy.phantoms;
    phantoms_.lock_max = spec.lock_max;
    phantoms_.steps.clear();
    for (size_t i = 0; i < spec.ratios.size(); ++i) {
      phantoms_.steps.push_back({spec.until_exposed[i], spec.ratios[i]});
    }
    soak_ends_.resize(static_cast<size_t>(std::min<int64_t>(spec.soak_ticks, max_ticks_)) + 1);
  }
  if (spec_.policy.waves.has_value()) {
    wave_of_.assign(hosts_, 0);
    wave_exposed_.assign(spec_.policy.waves->shares.size(), 0);
    wave_confirmed_.assign(spec_.policy.waves->shares.size(), 0);
  }
}

int64_t Rollout::Binomial(int64_t n, double p) {
  if (n <= 0 || p <= 0) return 0;
  if (p >= 1) return n;
  return std::binomial_distribution<int64_t>(n, p)(random_);
}

CellSpan Rollout::Cells(uint32_t host) {
  fleet_.CellsOf(host, cells_.data());
  return {cells_.data(), static_cast<size_t>(spec_.fleet.label_dims)};
}

// ---- check-ins

void Rollout::StartProbation(uint32_t host, Tick from) {
  probations_[static_cast<size_t>(from + fleet_.maturity_ticks()) % probations_.size()].push_back(host);
}

void Rollout::Prove(uint32_t host) {
  if (!book_.Hear(News::kProved, host, kStage, Cells(host))) return;
  if (!wave_of_.empty()) ++wave_confirmed_[wave_of_[host]];
}

void Rollout::OnEvent(const FleetEvent& event, Tick now) {
  const bool exposed = book_.Of(event.host) != Standing::kNone;
  const auto relapse = [&] {
    if (book_.Hear(News::kWentBad, event.host, kStage, Cells(event.host)) && !wave_of_.empty()) {
      --wave_confirmed_[wave_of_[event.host]];
    }
  };
  switch (event.kind) {
    case FleetEvent::Kind::kGap:
      judge_.SoakBad(event.host, HealthChannel::kSilenceSoak);
      if (exposed) relapse();
      return;
    case FleetEvent::Kind::kCrash:
      judge_.SoakBad(event.host, HealthChannel::kCrashSoak);
      // A spell that is open is judged at its maturity, and proves nothing then.
      if (book_.Of(event.host) == Standing::kProven) {
        relapse();
        StartProbation(event.host, now);
      }
      return;
    case FleetEvent::Kind::kReturn:
      // Heard again: exposed hosts that are unproven prove themselves anew.
      if (IsUnconfirmed(event.host) && !judge_.HasOpenSpell(event.host)) {
        StartProbation(event.host, now);
      }
      return;
  }
}

void Rollout::CheckIns(Tick now) {
  returning_ = 0;
  if (has_phantoms()) {
    std::vector<uint32_t>& ends = soak_ends_[static_cast<size_t>(now) % soak_ends_.size()];
    for (const uint32_t host : ends) {
      judge_.EndSoak(host);
      if (book_.Of(host) != Standing::kNone) continue;
      --locked_;
      ++returning_;
      BecomeEligible(host);
    }
    ends.clear();
  }
  fleet_.Step(now, events_);
  for (const FleetEvent& event : events_) OnEvent(event, now);

  // The window of the spells drawn so many ticks ago ends with this tick's check-ins.
  const Tick t0 = now - fleet_.last_window_tick();
  if (t0 < 0) return;
  Batch& batch = BatchOf(t0);
  if (batch.t0 != t0) return;
  for (Spell& spell : batch.spells) {
    const policy::SpellOutcome outcome = fleet_.Outcome(spell.host, t0, spell.arm == Arm::kTreatment);
    spell.silent = outcome.silent;
    spell.crashed = outcome.crashed;
  }
}

// ---- maturities

void Rollout::BecomeEligible(uint32_t host) {
  eligible_.Insert(host);
  if (counts_special_ && fleet_.IsSpecial(host)) ++eligible_special_;
}

void Rollout::Maturities(Tick now) {
  std::vector<uint32_t>& due = probations_[static_cast<size_t>(now) % probations_.size()];
  const std::vector<uint32_t> ended = std::exchange(due, {});
  for (const uint32_t host : ended) {
    if (!IsUnconfirmed(host)) continue;
    if (fleet_.IsCleanProbation(host, now - fleet_.maturity_ticks())) {
      Prove(host);
    } else if (!fleet_.IsHarmed(host)) {
      StartProbation(host, now);
    }
  }

  const Tick t0 = now - fleet_.maturity_ticks();
  if (t0 < 0 || BatchOf(t0).t0 != t0) return;
  Batch& batch = BatchOf(t0);
  for (uint32_t index = 0; index < batch.spells.size(); ++index) {
    const Spell& spell = batch.spells[index];
    const absl::Status matured =
        judge_.Mature({batch.stratum, index}, {.silent = spell.silent, .crashed = spell.crashed});
    RF_CHECK(matured.ok());
    const bool clean = !spell.silent && !spell.crashed;
    // Noise that is drawn per spell has no ticks of its own.
    if (spell.crashed && !has_timeline()) judge_.SoakBad(spell.host, HealthChannel::kCrashSoak);
    switch (spell.arm) {
      case Arm::kControl:
        ++returning_;
        BecomeEligible(spell.host);
        break;
      case Arm::kTreatment:
        if (clean) {
          Prove(spell.host);
        } else {
          book_.Hear(News::kMatured, spell.host, kStage, Cells(spell.host));
          if (!fleet_.IsHarmed(spell.host)) StartProbation(spell.host, now);
        }
        break;
      case Arm::kPhantom:  // waits for S
      case Arm::kNone:
        break;
    }
  }
  open_spells_ -= static_cast<int64_t>(batch.spells.size());
  batch.spells.clear();
}

// ---- evaluation

void Rollout::Evaluate(Tick now) {
  const policy::HealthReading reading = judge_.Read();
  m_r_ = reading.m_r;
  policy::StopInput input;
  input.reading = reading;
  input.hold_revert_after = spec_.policy.hold_revert_ticks * tick_length_;
  if (!policy::FirstHostsFailed(book_.release())) {
    first_failed_since_.reset();
  } else if (!first_failed_since_.has_value()) {
    first_failed_since_ = now;
  }
  input.first_hosts_failed =
      first_failed_since_.has_value() &&
      now - *first_failed_since_ >= policy::kProbationsToMend * fleet_.maturity_ticks();
  const policy::StopChange change = policy::Judge(stop_, input, At(now));
  if (!change.changed || !stop_.stopped()) return;
  result_.halted = stop_.action == policy::HealthAction::kHalt;
  // Of a hold that becomes a halt the first stop was the hold.
  if (result_.stop_tick.has_value()) return;
  result_.stop_tick = now;
  result_.first_was_hold = !result_.halted;
  result_.rule = change.rule;
  const std::optional<CellIndex> suspected =
      change.rule == "guard_a" ? judge_.SuspectedByGuard() : judge_.SuspectedByR();
  result_.cohort_suspected = suspected == kCohortCell;
}

// ---- rollback

void Rollout::Reverts(Tick now) {
  if (!stop_.stopped() || spec_.fault.kind != FaultKind::kBrickDelayed) return;
  // A halt orders back from the next tick on.
  if (!stop_.reverting(At(now) -
                       (stop_.action == policy::HealthAction::kHalt ? tick_length_ : absl::ZeroDuration()))) {
    return;
  }
  if (revert_pace_ == 0) {
    to_revert_ = exposed_;
    revert_pace_ = policy::RollbackPerMinute(static_cast<int64_t>(to_revert_.size()));
  }
  std::shuffle(to_revert_.begin(), to_revert_.end(), random_);
  int64_t left = revert_pace_;
  const auto kept = std::remove_if(to_revert_.begin(), to_revert_.end(), [&](uint32_t host) {
    if (left == 0 || !fleet_.IsReachable(host, now)) return false;
    --left;
    fleet_.Revert(host);
    book_.Hear(News::kReleased, host, kStage, Cells(host));
    return true;
  });
  to_revert_.erase(kept, to_revert_.end());
}

// ---- waves and draws

int64_t Rollout::EligibleOnline(Tick now) const {
  int64_t online = eligible_.size();
  if (!fleet_.has_offline()) return online;
  if (fleet_.tracked()) {
    eligible_.WalkFrom(0, [&](uint32_t host) {
      online -= fleet_.IsOnline(host, now) ? 0 : 1;
      return true;
    });
    return online;
  }
  // Only hosts with the special value are ever offline, all together: one of them tells.
  for (uint32_t host = 0; host < hosts_ && eligible_special_ > 0; ++host) {
    if (!fleet_.IsSpecial(host)) continue;
    return fleet_.IsOnline(host, now) ? online : online - eligible_special_;
  }
  return online;
}

void Rollout::Waves(Tick now) {
  if (!spec_.policy.waves.has_value() || passed_) return;
  const WaveSpec& spec = *spec_.policy.waves;
  policy::StageView view;
  view.state = policy::StageState::kOpen;
  view.braked = stop_.stopped();
  view.wave = static_cast<int>(wave_);
  view.waves = static_cast<int>(spec.shares.size());
  view.members = hosts_;
  view.cap = policy::WaveCap(spec.shares[wave_], hosts_, wave_ == 0 ? spec.min_first : 0);
  view.exposed = book_.exposed();
  view.wave_exposed = wave_exposed_[wave_];
  view.wave_confirmed = wave_confirmed_[wave_];
  view.confirmed = book_.release().healthy;
  view.askers_left = EligibleOnline(now) + open_spells_;
  view.soaked = (now - wave_opened_) * tick_length_;
  view.soak = spec.floor_ticks * tick_length_;
  view.m_r = m_r_;
  switch (policy::Decide(view, At(now)).step) {
    case policy::Step::kNextWave:
      ++wave_;
      wave_opened_ = now;
      return;
    case policy::Step::kPassRing:
      passed_ = true;
      return;
    case policy::Step::kNone:
    case policy::Step::kOpen:
    case policy::Step::kFindVacant:
      return;
  }
}

bool Rollout::Ask(uint32_t host, Tick now) {
  if (fleet_.has_offline() && !fleet_.IsOnline(host, now)) return true;
  ++asked_;
  const policy::DrawAnswer answer =
      draw_.Ask(host, fleet_.ClassOf(host), Cells(host), 0.0, random_.Uniform());
  if (answer.arm == Arm::kNone) return answer.refusal != policy::DrawRefusal::kBucketClosed;
  eligible_.Erase(host);
  if (counts_special_ && fleet_.IsSpecial(host)) --eligible_special_;
  Batch& batch = BatchOf(now);
  batch.stratum = answer.spell.stratum;
  RF_CHECK(answer.spell.index == batch.spells.size());
  batch.spells.push_back({host, answer.arm});
  if (answer.arm == Arm::kTreatment) {
    fleet_.Activate(host, now);
    if (spec_.fault.kind == FaultKind::kBrickDelayed) exposed_.push_back(host);
    if (!wave_of_.empty()) {
      wave_of_[host] = static_cast<uint8_t>(wave_);
      ++wave_exposed_[wave_];
    }
  }
  if (answer.arm == Arm::kPhantom) ++locked_;
  if (has_phantoms() && judge_.HasOpenSoak(host)) {
    const auto end = static_cast<int64_t>(now) + spec_.policy.phantoms->soak_ticks;
    if (end <= max_ticks_) soak_ends_[static_cast<size_t>(end) % soak_ends_.size()].push_back(host);
  }
  return true;
}

bool Rollout::AskAll(Tick now, double share) {
  const int64_t pool = eligible_.size();
  if (pool >= kLargePool && share >= kLargeShare) {
    return eligible_.WalkFrom(random_.Below(static_cast<uint32_t>(eligible_.words())),
                              [&](uint32_t host) { return !random_.Chance(share) || Ask(host, now); });
  }
  int64_t left = Binomial(pool, share);
  if (pool >= kLargePool) {
    // Who was refused may be picked again, and is refused again.
    while (left > 0) {
      const uint32_t host = random_.Below(hosts_);
      if (!eligible_.Contains(host)) continue;
      --left;
      if (!Ask(host, now)) return false;
    }
    return true;
  }
  order_.clear();
  eligible_.WalkFrom(0, [&](uint32_t host) {
    order_.push_back(host);
    return true;
  });
  for (int64_t i = 0; i < left; ++i) {
    const auto at = static_cast<size_t>(i);
    std::swap(order_[at], order_[at + random_.Below(static_cast<uint32_t>(pool - i))]);
    if (!Ask(order_[at], now)) return false;
  }
  return true;
}

void Rollout::Draws(Tick now) {
  if (stop_.stopped()) return;
  const int64_t online = EligibleOnline(now);
  const double q = spec_.fleet.request_probability;
  if (!forecast_.has_seen_a_bucket()) {
    forecast_.EndBucket(Binomial(online, q), 0);
    return;
  }

  std::optional<int64_t> room;
  if (spec_.policy.waves.has_value() && !passed_) {
    const WaveSpec& spec = *spec_.policy.waves;
    room = policy::WaveCap(spec.shares[wave_], hosts_, wave_ == 0 ? spec.min_first : 0) - book_.exposed();
  }
  policy::BucketPlan plan;
  plan.bucket = static_cast<uint64_t>(now);
  plan.tokens = policy::TokensFor(book_, kStage, m_r_, room, std::nullopt, false);
  plan.forecast = forecast_.Next(returning_);
  if (has_phantoms()) plan.phantoms_per_t = phantoms_.PerT(book_.exposed(), hosts_, locked_);
  draw_.OpenBucket(plan);

  // Who asks and has v < rho is a uniform sample; nobody else could be enrolled, and only their number
  // matters.
  const double rho = draw_.bucket().rates().rho;
  BatchOf(now).t0 = now;
  asked_ = 0;
  const bool open = AskAll(now, q * rho);
  // Of those who could not have been enrolled the rest asked as well.
  const double others = rho < 1 ? q * (1 - rho) / (1 - q * rho) : 0.0;
  const int64_t asked = open ? asked_ + Binomial(online - asked_, others) : Binomial(online, q);
  const int64_t enrolled = draw_.enrolled();
  draw_.CloseBucket();
  open_spells_ += enrolled;
  result_.spells += enrolled;
  forecast_.EndBucket(asked, enrolled);
  if (!result_.complete_tick.has_value() &&
      static_cast<double>(book_.exposed()) >= kComplete * static_cast<double>(hosts_)) {
    result_.complete_tick = now;
  }
}

// Nothing can change the result any more.
bool Rollout::IsOver() const {
  if (open_spells_ > 0) return false;
  if (spec_.fault.kind == FaultKind::kBrickDelayed) {
    if (fleet_.awaiting_harm() > 0) return false;
    return stop_.stopped() || (book_.exposed() == static_cast<int64_t>(hosts_) && judge_.open_soaks() == 0);
  }
  if (stop_.stopped()) return stop_.action == policy::HealthAction::kHalt || judge_.open_soaks() == 0;
  return book_.exposed() == static_cast<int64_t>(hosts_) && judge_.open_soaks() == 0;
}

RolloutResult Rollout::Run() {
  for (Tick now = 0; now < max_ticks_; ++now) {
    CheckIns(now);
    Maturities(now);
    Evaluate(now);
    Reverts(now);
    if (IsOver()) break;
    Waves(now);
    Draws(now);
  }
  result_.harmed = fleet_.harmed();
  return result_;
}

}  // namespace

RolloutResult RunRollout(const BenchmarkScenario& scenario, uint64_t seed) {
  return Rollout(scenario, seed).Run();
}

}  // namespace ringfence::tools
