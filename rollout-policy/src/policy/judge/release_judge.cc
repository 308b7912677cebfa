#include "ringfence/policy/judge/release_judge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"

namespace ringfence::policy {

HealthAction HealthReading::Action(bool activation_failures) const {
  if (m_r_in_order >= kHaltAt) return HealthAction::kHalt;
  // What is late or still incomplete may hold; it does not halt.
  const double most = std::nextafter(kHaltAt, 0.0);
  return ActionFor(std::isnan(m_r_in_order) ? m_r_in_order : std::min(m_r, most), m_a, activation_failures);
}

ReleaseJudge::ReleaseJudge(JudgeSetup setup)
    : setup_(std::move(setup)),
      all_(setup_.k_max, setup_.rho0),
      in_order_(setup_.k_max, setup_.rho0),
      late_(setup_.k_max, setup_.rho0),
      guard_(setup_.k_max, setup_.p_hist) {}

std::unique_ptr<ReleaseJudge::Stratum> ReleaseJudge::NewStratum() {
  if (free_.empty()) return std::make_unique<Stratum>(std::max<size_t>(1, setup_.p_hist.size()));
  std::unique_ptr<Stratum> stratum = std::move(free_.back());
  free_.pop_back();
  stratum->closed = stratum->late = false;
  stratum->open_spells = 0;
  stratum->by_arm = {};
  stratum->spells.clear();
  stratum->cells.clear();
  stratum->coins.clear();
  stratum->bad.clear();
  stratum->gauges.clear();
  stratum->tally.Clear();
  return stratum;
}

StratumNumber ReleaseJudge::OpenStratum(uint64_t bucket, double rho, double gauge_c) {
  std::unique_ptr<Stratum> stratum = NewStratum();
  stratum->number = next_++;
  stratum->bucket = bucket;
  stratum->rho = rho;
  stratum->gauge_c = gauge_c;
  strata_.push_back(std::move(stratum));
  return strata_.back()->number;
}

const ReleaseJudge::Stratum* ReleaseJudge::FindStratum(StratumNumber number) const {
  if (!strata_.empty() && number >= strata_.front()->number) {
    const size_t at = number - strata_.front()->number;
    return at < strata_.size() ? strata_[at].get() : nullptr;
  }
  const auto it = late_strata_.find(number);
  return it == late_strata_.end() ? nullptr : it->second.get();
}

ReleaseJudge::Stratum* ReleaseJudge::FindStratum(StratumNumber number) {
  return const_cast<Stratum*>(std::as_const(*this).FindStratum(number));
}

void ReleaseJudge::CloseStratum(StratumNumber number) {
  if (Stratum* stratum = FindStratum(number)) stratum->closed = true;
}

absl::StatusOr<SpellId> ReleaseJudge::Open(StratumNumber number, HostIndex host, HostClass host_class,
                                           CellSpan cells, const Bucket::Answer& drawn) {
  Stratum* stratum = FindStratum(number);
  if (stratum == nullptr || stratum->closed) {
    return absl::FailedPreconditionError(absl::StrCat("stratum ", number, " takes no draws"));
  }
  if (HasOpenSpell(host)) {
    return absl::FailedPreconditionError(absl::StrCat("host ", host, " has an open spell"));
  }
  if (drawn.arm == Arm::kNone) return absl::InvalidArgumentError("a host that was not drawn has no spell");
  RF_CHECK(cells.size() <= kMaxCellsPerHost);

  // A bucket has few: with tokens and without, with phantoms and, for some hosts, without.
  std::vector<Coin>& coins = stratum->coins;
  size_t coin = coins.size();
  for (size_t i = coins.size(); i > 0 && coin == coins.size(); --i) {
    if (coins[i - 1].pi == drawn.pi && coins[i - 1].phi == drawn.phi) coin = i - 1;
  }
  if (coin == coins.size()) {
    RF_CHECK(coins.size() < std::numeric_limits<uint16_t>::max());
    coins.push_back({drawn.pi, drawn.phi});
  }
  const SpellId id{number, static_cast<uint32_t>(stratum->spells.size())};
  stratum->spells.push_back({.host = host,
                             .cells_at = static_cast<uint32_t>(stratum->cells.size()),
                             .cells = static_cast<uint8_t>(cells.size()),
                             .arm = drawn.arm,
                             .host_class = host_class < stratum->tally.classes() ? host_class : HostClass{0},
                             .coin = static_cast<uint16_t>(coin)});
  stratum->cells.insert(stratum->cells.end(), cells.begin(), cells.end());
  ++stratum->open_spells;
  ++stratum->by_arm[static_cast<size_t>(drawn.arm)];
  if (host >= has_open_.size()) {
    has_open_.resize(std::max<size_t>(size_t{host} + 1, 2 * has_open_.size()));
    open_of_host_.resize(has_open_.size());
  }
  has_open_[host] = true;
  open_of_host_[host] = id;

  if (drawn.arm != Arm::kControl) {
    const double pi_soak = PiSoak(drawn.pi, drawn.phi);
    // A T where no phantom could be drawn has nothing to be compared with: its increments would be 0.
    if (pi_soak > 0.0 && pi_soak < 1.0) {
      soak_.insert_or_assign(host, SoakSpell{.cells = CellList(cells.begin(), cells.end()),
                                             .treated = drawn.arm == Arm::kTreatment,
                                             .pi_soak = pi_soak});
    }
  }
  return id;
}

std::optional<OpenSpell> ReleaseJudge::Find(HostIndex host) const {
  if (!HasOpenSpell(host)) return std::nullopt;
  const SpellId id = open_of_host_[host];
  const Stratum* stratum = FindStratum(id.stratum);
  RF_CHECK(stratum != nullptr);
  const Spell& spell = stratum->spells[id.index];
  const Coin& coin = stratum->coins[spell.coin];
  return OpenSpell{id, stratum->bucket, {spell.arm, coin.pi, coin.phi}};
}

absl::Status ReleaseJudge::Mature(SpellId id, const SpellOutcome& outcome) {
  Stratum* stratum = FindStratum(id.stratum);
  if (stratum == nullptr || id.index >= stratum->spells.size() || stratum->spells[id.index].matured) {
    return absl::FailedPreconditionError(
        absl::StrCat("spell ", id.index, " of stratum ", id.stratum, " is not open"));
  }
  Spell& spell = stratum->spells[id.index];
  spell.matured = true;
  --stratum->open_spells;
  has_open_[spell.host] = false;

  const CellSpan cells = stratum->CellsOf(spell);
  if (!IsBlocked(cells)) {
    const bool treated = spell.arm == Arm::kTreatment;
    if (treated) {
      stratum->tally.AddTreated(cells, spell.host_class, outcome);
    } else {
      stratum->tally.AddControl(cells, outcome);
    }
    const double pi = stratum->coins[spell.coin].pi;
    const auto bad = [&](HealthChannel channel) {
      stratum->bad.push_back({id.index, channel});
      all_.AddBad(channel, cells, treated, pi);
    };
    if (outcome.silent) bad(HealthChannel::kSilence);
    if (outcome.crashed) bad(HealthChannel::kCrash);
    if (outcome.gauge.has_value()) {
      stratum->gauges.push_back({id.index, *outcome.gauge});
      all_.AddGauge(cells, treated, pi, *outcome.gauge, stratum->gauge_c);
    }
  }
  if (stratum->late && stratum->open_spells == 0) {
    const auto it = late_strata_.find(id.stratum);
    if (it == late_strata_.end()) return absl::OkStatus();  // still in the queue: Read finds it
    std::unique_ptr<Stratum> complete = std::move(it->second);
    late_strata_.erase(it);
    Absorb(std::move(complete));
  }
  return absl::OkStatus();
}

bool ReleaseJudge::SoakBad(HostIndex host, HealthChannel channel) {
  RF_CHECK(channel == HealthChannel::kSilenceSoak || channel == HealthChannel::kCrashSoak);
  const auto it = soak_.find(host);
  if (it == soak_.end()) return false;
  SoakSpell& spell = it->second;
  bool& seen = spell.seen[channel == HealthChannel::kCrashSoak ? 1 : 0];
  if (seen) return false;
  seen = true;
  if (IsBlocked(spell.cells)) return false;
  all_.AddBad(channel, spell.cells, spell.treated, spell.pi_soak);
  in_order_.AddBad(channel, spell.cells, spell.treated, spell.pi_soak);
  if (setup_.keep_records) log_.soak.push_back({host, spell.cells, channel, spell.treated, spell.pi_soak});
  return true;
}

void ReleaseJudge::AddTo(EvidenceTable& table, const Stratum& stratum, CellSpan without) {
  for (const PendingBad& bad : stratum.bad) {
    const Spell& spell = stratum.spells[bad.spell];
    if (HasAnyOf(stratum.CellsOf(spell), without)) continue;
    table.AddBad(bad.channel, stratum.CellsOf(spell), spell.arm == Arm::kTreatment,
                 stratum.coins[spell.coin].pi);
  }
  for (const PendingGauge& gauge : stratum.gauges) {
    const Spell& spell = stratum.spells[gauge.spell];
    if (HasAnyOf(stratum.CellsOf(spell), without)) continue;
    table.AddGauge(stratum.CellsOf(spell), spell.arm == Arm::kTreatment, stratum.coins[spell.coin].pi,
                   gauge.x, stratum.gauge_c);
  }
}

void ReleaseJudge::Record(const Stratum& stratum) {
  StratumRecord record;
  record.number = stratum.number;
  record.bucket = stratum.bucket;
  record.rho = stratum.rho;
  record.treated = stratum.by_arm[static_cast<size_t>(Arm::kTreatment)];
  record.controls = stratum.by_arm[static_cast<size_t>(Arm::kControl)];
  record.phantoms = stratum.by_arm[static_cast<size_t>(Arm::kPhantom)];
  record.late = stratum.late;
  for (const PendingBad& bad : stratum.bad) {
    const Spell& spell = stratum.spells[bad.spell];
    const CellSpan cells = stratum.CellsOf(spell);
    record.bad.push_back({spell.host, CellList(cells.begin(), cells.end()), bad.channel,
                          spell.arm == Arm::kTreatment, stratum.coins[spell.coin].pi});
  }
  for (const PendingGauge& gauge : stratum.gauges) {
    const Spell& spell = stratum.spells[gauge.spell];
    const CellSpan cells = stratum.CellsOf(spell);
    record.gauges.push_back({spell.host, CellList(cells.begin(), cells.end()), spell.arm == Arm::kTreatment,
                             stratum.coins[spell.coin].pi, gauge.x, stratum.gauge_c});
  }
  log_.strata.push_back(std::move(record));
}

void ReleaseJudge::Absorb(std::unique_ptr<Stratum> stratum) {
  AddTo(stratum->late ? late_ : in_order_, *stratum);
  guard_.Absorb(stratum->tally);
  if (setup_.keep_records) Record(*stratum);
  free_.push_back(std::move(stratum));
}

void ReleaseJudge::MarkLate(StratumNumber number) {
  if (strata_.empty() || number < strata_.front()->number) return;
  Stratum* stratum = FindStratum(number);
  if (stratum == nullptr) return;
  stratum->late = stratum->closed = true;
}

void ReleaseJudge::VoidOpen() {
  strata_.clear();
  late_strata_.clear();
  soak_.clear();
  has_open_.assign(has_open_.size(), false);
  Rebuild();
}

HealthReading ReleaseJudge::Read() {
  while (!strata_.empty()) {
    Stratum& first = *strata_.front();
    if (first.late && first.open_spells > 0) {
      late_strata_.emplace(first.number, std::move(strata_.front()));
    } else if (first.closed && first.open_spells == 0) {
      Absorb(std::move(strata_.front()));
    } else {
      break;
    }
    strata_.pop_front();
  }
  return {.m_r = all_.M(), .m_r_in_order = in_order_.M(), .m_a = guard_.M()};
}

RecordLog ReleaseJudge::TakeRecords() {
  return std::exchange(log_, {});
}

bool ReleaseJudge::MayBeNamed(CellIndex cell) const {
  EvidenceTable table = in_order_;
  for (const auto& stratum : strata_) {
    AddTo(table, *stratum);
    for (const Spell& spell : stratum->spells) {
      const CellSpan cells = stratum->CellsOf(spell);
      if (spell.matured || spell.arm != Arm::kTreatment || IsBlocked(cells)) continue;
      if (HasAnyOf(cells, {&cell, 1})) {
        table.AddBad(HealthChannel::kSilence, cells, true, stratum->coins[spell.coin].pi);
      }
    }
  }
  return table.IsNamed(cell);
}

double ReleaseJudge::Without(CellIndex cell, const RecordLog& log) const {
  std::vector<CellIndex> without = blocked_;
  without.push_back(cell);
  EvidenceTable table = Replay(log, setup_.k_max, setup_.rho0, Lateness::kAll, without);
  for (const auto& stratum : strata_) AddTo(table, *stratum, without);
  for (const auto& [number, stratum] : late_strata_) AddTo(table, *stratum, without);
  return table.M();
}

void ReleaseJudge::Rebuild() {
  all_ = in_order_;
  all_.Merge(late_);
  for (const auto& stratum : strata_) AddTo(all_, *stratum);
  for (const auto& [number, stratum] : late_strata_) AddTo(all_, *stratum);
}

void ReleaseJudge::Restore(const RecordLog& log, std::vector<CellIndex> blocked) {
  RF_CHECK(next_ == 1);
  blocked_ = std::move(blocked);
  in_order_ = Replay(log, setup_.k_max, setup_.rho0, Lateness::kInOrderOnly, blocked_);
  late_ = Replay(log, setup_.k_max, setup_.rho0, Lateness::kLateOnly, blocked_);
  Rebuild();
}

void ReleaseJudge::Block(CellIndex cell, const RecordLog& log) {
  blocked_.push_back(cell);
  in_order_ = Replay(log, setup_.k_max, setup_.rho0, Lateness::kInOrderOnly, blocked_);
  late_ = Replay(log, setup_.k_max, setup_.rho0, Lateness::kLateOnly, blocked_);
  Rebuild();
  guard_.Restart();
}

void ReleaseJudge::Unblock(CellIndex cell) {
  std::erase(blocked_, cell);
  Rebuild();
}

void ReleaseJudge::Restart() {
  in_order_ = late_ = EvidenceTable(setup_.k_max, setup_.rho0);
  guard_.Restart();
  Rebuild();
}

}  // namespace ringfence::policy
