#include "server/app/release_judgement.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "server/app/background.h"

namespace ringfence::app {
namespace {

using policy::Arm;
using policy::CellIndex;
using policy::CellSpan;
using policy::HealthChannel;

constexpr char kOther[] = "other";
constexpr char kTenantCell[] = "tenant ";
constexpr char kRingCell[] = "ring ";
// A cell is pointed at when the bad share of its treated hosts is more than so many times the others'.
constexpr double kClearlyWorse = 3.0;
constexpr int64_t kLeastBad = 2;

SpellCounts& operator-=(SpellCounts& from, const SpellCounts& less) {
  from.bad_treated -= less.bad_treated;
  from.all_treated -= less.all_treated;
  from.bad_control -= less.bad_control;
  from.all_control -= less.all_control;
  return from;
}

SpellCounts& operator+=(SpellCounts& to, const SpellCounts& more) {
  to.bad_treated += more.bad_treated;
  to.all_treated += more.all_treated;
  to.bad_control += more.bad_control;
  to.all_control += more.all_control;
  return to;
}

const char* WhatHappened(HealthChannel channel) {
  switch (channel) {
    case HealthChannel::kSilence:
      return "fell silent";
    case HealthChannel::kCrash:
      return "crashed";
    case HealthChannel::kSilenceSoak:
      return "fell silent during the soak";
    case HealthChannel::kCrashSoak:
      return "crashed during the soak";
    case HealthChannel::kGauge:
      return "";
  }
  return "";
}

}  // namespace

std::string CellOfTenant(absl::string_view tenant) {
  return absl::StrCat(kTenantCell, tenant);
}

bool IsTenantCell(absl::string_view cell) {
  return absl::StartsWith(cell, kTenantCell);
}

std::string CellOfRing(absl::string_view ring) {
  return absl::StrCat(kRingCell, ring);
}

std::string OfCell(absl::string_view cell) {
  const bool is_part = absl::StartsWith(cell, kTenantCell) || absl::StartsWith(cell, kRingCell);
  return absl::StrCat(is_part ? "of " : "with ", cell);
}

ReleaseJudgement::ReleaseJudgement(double rho0) : slots_(0), judge_({}) {
  row_.rho0 = rho0;
  judge_ = policy::ReleaseJudge(Setup());
}

policy::JudgeSetup ReleaseJudgement::Setup() const {
  policy::JudgeSetup setup;
  setup.k_max = row_.k_max;
  setup.rho0 = row_.rho0;
  setup.p_hist = Background().At(absl::UnixEpoch());  // as many classes; the rates come with each Read
  return setup;
}

// ---- cells

void ReleaseJudgement::Start(int64_t cells_at_start) {
  if (started_) return;
  started_ = row_changed_ = true;
  row_.k_max = policy::KMax(cells_at_start);
  slots_ = policy::CellSlots::WithSlots(row_.k_max);
  judge_ = policy::ReleaseJudge(Setup());
}

CellIndex ReleaseJudgement::SlotOf(const std::string& name) {
  const auto [it, added] = slot_of_.try_emplace(name, 0);
  if (!added) return it->second;
  const auto number = static_cast<uint32_t>(slot_of_.size() - 1);
  const CellIndex slot = slots_.SlotsOf({number}).front();
  it->second = slot;
  if (slot >= names_.size()) names_.resize(size_t{slot} + 1);
  names_[slot] = slots_.IsOther(slot) ? kOther : name;
  if (row_.cells.size() < static_cast<size_t>(row_.k_max)) {
    row_.cells.push_back(name);
    row_changed_ = true;
  }
  return slot;
}

std::vector<CellIndex> ReleaseJudgement::SlotsOf(absl::Span<const std::string> names) {
  std::vector<CellIndex> slots;
  for (const std::string& name : names) {
    const CellIndex slot = SlotOf(name);
    if (slots.size() == policy::kMaxCellsPerHost) break;
    if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
  }
  std::sort(slots.begin(), slots.end());
  return slots;
}

uint32_t ReleaseJudgement::SetOf(std::vector<std::string> names) {
  const auto it = set_ids_.find(names);
  if (it != set_ids_.end()) return it->second;
  sets_.push_back(SlotsOf(names));
  const auto set = static_cast<uint32_t>(sets_.size() - 1);
  set_ids_.emplace(std::move(names), set);
  return set;
}

CellSpan ReleaseJudgement::Freeze(HostRef host, const Place& place, NamesOf names) {
  RF_CHECK(started_);
  const policy::HostIndex index = IndexOf(host);
  if (index >= set_of_host_.size()) {
    set_of_host_.resize(std::max<size_t>(size_t{index} + 1, 2 * set_of_host_.size()), 0);
  }
  uint32_t& set = set_of_host_[index];
  if (set == 0) {
    const auto known = set_of_place_.find(place.id);
    if (known != set_of_place_.end()) {
      set = known->second + 1;
    } else {
      const uint32_t made = SetOf(names(place));
      set_of_place_[place.id] = made;
      set_of_host_[index] = made + 1;
    }
  }
  return sets_[set_of_host_[index] - 1];
}

void ReleaseJudgement::Freeze(HostRef host, std::vector<std::string> names) {
  const policy::HostIndex index = IndexOf(host);
  if (index >= set_of_host_.size()) {
    set_of_host_.resize(std::max<size_t>(size_t{index} + 1, 2 * set_of_host_.size()), 0);
  }
  if (set_of_host_[index] == 0) set_of_host_[index] = SetOf(std::move(names)) + 1;
}

CellSpan ReleaseJudgement::CellsOf(HostRef host) const {
  const policy::HostIndex index = IndexOf(host);
  if (index >= set_of_host_.size() || set_of_host_[index] == 0) return {};
  return sets_[set_of_host_[index] - 1];
}

bool ReleaseJudgement::IsBlocked(CellSpan cells) const {
  return !blocked_.empty() && policy::HasAnyOf(cells, blocked_);
}

std::string ReleaseJudgement::BlockedOf(HostRef host) const {
  for (const CellIndex cell : CellsOf(host)) {
    if (IsBlocked({&cell, 1})) return names_[cell];
  }
  return "";
}

// ---- spells

policy::StratumNumber ReleaseJudgement::OpenStratum(uint64_t bucket, double rho, FleetNanos closes) {
  const policy::StratumNumber stratum = judge_.OpenStratum(bucket, rho);
  open_strata_.emplace_back(closes, stratum);
  return stratum;
}

bool ReleaseJudgement::TakesDraws(policy::StratumNumber stratum) const {
  return std::any_of(open_strata_.begin(), open_strata_.end(),
                     [&](const auto& open) { return open.second == stratum; });
}

void ReleaseJudgement::Open(policy::StratumNumber stratum, HostRef host, policy::HostClass host_class,
                            const policy::Bucket::Answer& drawn) {
  RF_CHECK(judge_.Open(stratum, IndexOf(host), host_class, CellsOf(host), drawn).ok());
  CountSoak(host, drawn.arm);
}

void ReleaseJudgement::Count(HealthChannel channel, CellSpan cells, Arm arm, bool bad) {
  const auto count = [&](size_t scope) {
    if (scope >= counts_.size()) counts_.resize(scope + 1);
    SpellCounts& in = counts_[scope][static_cast<size_t>(channel)];
    if (arm == Arm::kTreatment) {
      ++in.all_treated;
      in.bad_treated += bad ? 1 : 0;
    } else {
      ++in.all_control;
      in.bad_control += bad ? 1 : 0;
    }
  };
  count(0);
  for (const CellIndex cell : cells) count(size_t{1} + cell);
  dirty_ = true;
}

Arm ReleaseJudgement::Mature(HostRef host, const policy::SpellOutcome& outcome) {
  const std::optional<policy::OpenSpell> spell = judge_.Find(IndexOf(host));
  if (!spell.has_value()) return Arm::kNone;
  RF_CHECK(judge_.Mature(spell->id, outcome).ok());
  const Arm arm = spell->drawn.arm;
  const CellSpan cells = CellsOf(host);
  Count(HealthChannel::kSilence, cells, arm, outcome.silent);
  Count(HealthChannel::kCrash, cells, arm, outcome.crashed);
  return arm;
}

void ReleaseJudgement::VoidOpen() {
  judge_.VoidOpen();
  open_strata_.clear();
}

// ---- reading

const policy::HealthReading& ReleaseJudgement::Read(FleetNanos fleet_now, absl::Time now,
                                                    const policy::BackgroundRates& p_hist) {
  while (!open_strata_.empty() && open_strata_.front().first <= fleet_now) {
    judge_.CloseStratum(open_strata_.front().second);
    open_strata_.pop_front();
  }
  judge_.SetHistory(p_hist);
  reading_ = judge_.Read();
  policy::RecordLog taken = judge_.TakeRecords();
  // Strata in which nothing went bad change nothing: their numbers are in the counts.
  std::erase_if(taken.strata, [](const policy::StratumRecord& stratum) {
    return stratum.bad.empty() && stratum.gauges.empty();
  });
  for (const policy::StratumRecord& stratum : taken.strata) {
    new_records_.push_back({stratum, std::nullopt, now, row_.test});
  }
  for (const policy::BadEvent& event : taken.soak) new_records_.push_back({{}, event, now, row_.test});
  if (!taken.strata.empty() || !taken.soak.empty()) dirty_ = true;
  log_.Append(std::move(taken));
  return reading_;
}

SpellCounts ReleaseJudgement::Counts(HealthChannel channel, std::optional<CellIndex> cell) const {
  const size_t scope = cell.has_value() ? size_t{1} + *cell : 0;
  const auto c = static_cast<size_t>(channel);
  SpellCounts counts;
  if (scope < counts_.size()) counts += counts_[scope][c];
  if (const auto it = earlier_.find({c, scope}); it != earlier_.end()) counts += it->second.counts;
  return counts;
}

SpellCounts ReleaseJudgement::CountsOfRest(HealthChannel channel) const {
  SpellCounts rest = Counts(channel, std::nullopt);
  for (const CellIndex cell : blocked_) rest -= Counts(channel, cell);
  // A host of two blocked cells was taken off twice.
  rest.bad_treated = std::max<int64_t>(0, rest.bad_treated);
  rest.all_treated = std::max(rest.bad_treated, rest.all_treated);
  rest.bad_control = std::max<int64_t>(0, rest.bad_control);
  rest.all_control = std::max(rest.bad_control, rest.all_control);
  return rest;
}

bool ReleaseJudgement::TellsMore(CellIndex cell) const {
  for (size_t c = 0; c < kCountedChannels; ++c) {
    const auto channel = static_cast<HealthChannel>(c);
    const SpellCounts in = Counts(channel, cell);
    const SpellCounts all = CountsOfRest(channel);
    if (in.bad_treated < kLeastBad) continue;
    const auto others = static_cast<double>(all.all_treated - in.all_treated);
    const auto bad_others = static_cast<double>(std::max<int64_t>(0, all.bad_treated - in.bad_treated));
    if (others < 1) continue;
    const double share = static_cast<double>(in.bad_treated) / static_cast<double>(in.all_treated);
    if (share > kClearlyWorse * (bad_others + 0.5) / (others + 1)) return true;
  }
  return false;
}

std::optional<CellIndex> ReleaseJudgement::Suspected(bool by_guard) {
  std::optional<CellIndex> suspected;
  double largest = 1.0;
  int64_t hosts = 0;
  for (CellIndex cell = 0; cell < names_.size(); ++cell) {
    const double mean = by_guard ? judge_.MeanByGuard(cell) : judge_.MeanByR(cell);
    const int64_t treated = Counts(HealthChannel::kSilence, cell).all_treated;
    // Of those with equal evidence the one that says most: with the fewest hosts.
    const bool better = mean > largest || (suspected.has_value() && mean == largest && treated < hosts);
    // Customers do not hear of each other.
    if (!better || IsBlocked({&cell, 1}) || absl::StartsWith(names_[cell], kTenantCell)) continue;
    if (!TellsMore(cell)) continue;
    suspected = cell;
    largest = mean;
    hosts = treated;
  }
  return suspected;
}

bool ReleaseJudgement::MayYetBeNamed(CellIndex cell) const {
  const std::string& name = names_[cell];
  const bool part = IsTenantCell(name) || absl::StartsWith(name, kRingCell) || slots_.IsOther(cell);
  if (part || IsBlocked({&cell, 1})) return false;
  if (blocked_.size() - BlockedByPeople() >= policy::kMostBlockedCells) return false;
  return judge_.MayBeNamed(cell) && judge_.Without(cell, log_) < policy::kBrakeAt;
}

std::optional<CellIndex> ReleaseJudgement::MayYetBeNamed() const {
  for (CellIndex cell = 0; cell < names_.size(); ++cell) {
    if (TellsMore(cell) && MayYetBeNamed(cell)) return cell;
  }
  return std::nullopt;
}

std::optional<CellIndex> ReleaseJudgement::SlotNamed(absl::string_view name) const {
  const auto it = slot_of_.find(name);
  if (it == slot_of_.end()) return std::nullopt;
  return it->second;
}

std::string ReleaseJudgement::InWords(std::optional<CellIndex> cell) const {
  if (!cell.has_value()) {
    const SpellCounts silence = CountsOfRest(HealthChannel::kSilence);
    const SpellCounts crash = CountsOfRest(HealthChannel::kCrash);
    return absl::StrCat(silence.bad_treated, " of ", silence.all_treated, " updated hosts fell silent and ",
                        crash.bad_treated, " crashed; of the controls of the same minutes ",
                        silence.bad_control, " and ", crash.bad_control, " of ", silence.all_control);
  }
  auto worst = HealthChannel::kSilence;
  for (size_t c = 1; c < kCountedChannels; ++c) {
    const auto channel = static_cast<HealthChannel>(c);
    if (Counts(channel, cell).bad_treated > Counts(worst, cell).bad_treated) worst = channel;
  }
  const SpellCounts in = Counts(worst, cell);
  // As long as its hosts are part of the test.
  const SpellCounts all = IsBlocked({&*cell, 1}) ? Counts(worst, std::nullopt) : CountsOfRest(worst);
  const std::string of = OfCell(names_[*cell]);
  return absl::StrCat(in.bad_treated, " of ", in.all_treated, " hosts ", of, " ", WhatHappened(worst), "; ",
                      std::max<int64_t>(0, all.bad_treated - in.bad_treated), " of ",
                      std::max<int64_t>(0, all.all_treated - in.all_treated),
                      absl::StartsWith(of, "with") ? " without" : " others");
}

std::vector<std::string> ReleaseJudgement::NamesForAll() const {
  // Decisions are everybody's to read, and customers do not hear of each other.
  std::vector<std::string> names = names_;
  for (size_t slot = 0; slot < names.size(); ++slot) {
    if (absl::StartsWith(names[slot], kTenantCell)) names[slot] = absl::StrCat(kTenantCell, "#", slot);
  }
  return names;
}

record::MethodEvidence ReleaseJudgement::Look(uint32_t replica) const {
  record::MethodEvidence method = record::Look(judge_, NamesForAll());
  method.test = row_.test;
  method.records = earlier_seq_;
  const auto unsaved = static_cast<int64_t>(new_records_.size());
  if (seq_ + unsaved > 0) method.records[replica] = seq_ + unsaved;
  return method;
}

// ---- before a halt

policy::HaltReview ReleaseJudgement::Review(const std::string& internal,
                                            record::ReviewEvidence* evidence) const {
  policy::HaltQuestion question;
  question.log = &log_;
  question.k_max = row_.k_max;
  question.rho0 = row_.rho0;
  question.blocked = blocked_;
  question.excluded = BlockedByPeople();
  const std::string own = CellOfTenant(internal);
  for (CellIndex cell = 0; cell < names_.size(); ++cell) {
    // A ring is not a kind of host that a release could go on without.
    const bool ring = absl::StartsWith(names_[cell], kRingCell);
    const bool tenant = absl::StartsWith(names_[cell], kTenantCell);
    if (ring || (!internal.empty() && names_[cell] == own)) {
      question.never_block.push_back(cell);
    } else if (tenant) {
      question.tenants.push_back(cell);
    }
    // Among cells with equal evidence the one with fewer treated hosts says more.
    question.hosts_of_cell.push_back(Counts(HealthChannel::kSilence, cell).all_treated);
  }
  const policy::HaltFacts facts = policy::FactsOf(question);
  const policy::HaltReview review = policy::ReviewHalt(facts);
  *evidence = record::Look(facts, review, policy::TableWithout(question, review.cell), NamesForAll());
  return review;
}

void ReleaseJudgement::Block(CellIndex cell) {
  judge_.Block(cell, log_);
  blocked_.push_back(cell);
  row_.blocked.push_back(names_[cell]);
  row_changed_ = dirty_ = true;
  reading_ = judge_.Read();
}

size_t ReleaseJudgement::BlockedByPeople() const {
  return static_cast<size_t>(
      std::count_if(row_.blocked.begin(), row_.blocked.end(), [&](const std::string& cell) {
        return std::find(row_.excluded.begin(), row_.excluded.end(), cell) != row_.excluded.end();
      }));
}

void ReleaseJudgement::Exclude(const std::string& cohort) {
  RF_CHECK(started_);
  row_.excluded.push_back(cohort);
  row_changed_ = true;
  std::optional<CellIndex> slot = SlotNamed(cohort);
  // The last slot is shared: hosts of a value that has none are refused, and judged with the others.
  if (!slot.has_value() && static_cast<int64_t>(slot_of_.size()) < row_.k_max - 1) slot = SlotOf(cohort);
  if (slot.has_value() && !slots_.IsOther(*slot) && !IsBlocked({&*slot, 1})) Block(*slot);
}

void ReleaseJudgement::Unblock(const std::string& cohort, absl::Time at) {
  std::erase(row_.excluded, cohort);
  std::erase(row_.blocked, cohort);
  row_.unblocked.push_back({cohort, at});
  row_changed_ = dirty_ = true;
  const std::optional<CellIndex> slot = SlotNamed(cohort);
  if (!slot.has_value() || !IsBlocked({&*slot, 1})) return;
  const auto is_of_it = [&](const auto& event) { return policy::HasAnyOf(event.cells, {&*slot, 1}); };
  for (policy::StratumRecord& stratum : log_.strata) {
    std::erase_if(stratum.bad, is_of_it);
    std::erase_if(stratum.gauges, is_of_it);
  }
  std::erase_if(log_.soak, is_of_it);
  std::erase(blocked_, *slot);
  judge_.Unblock(*slot);
  reading_ = judge_.Read();
}

bool ReleaseJudgement::IsForgotten(const storage::JudgementRow& row, absl::Time at,
                                   absl::Span<const std::string> cells) {
  return std::any_of(row.unblocked.begin(), row.unblocked.end(), [&](const auto& one) {
    return at <= one.at && std::find(cells.begin(), cells.end(), one.cell) != cells.end();
  });
}

void ReleaseJudgement::Restart() {
  judge_.Restart();
  log_ = {};
  ++row_.test;
  for (auto& [key, vectors] : earlier_) {
    vectors.r = {};
    vectors.guard = {};
  }
  ++version_;  // above what the resume wrote
  written_.clear();
  row_changed_ = dirty_ = true;
  reading_ = judge_.Read();
}

// ---- what is durable

storage::EvidenceRow ReleaseJudgement::RowOf(HealthChannel channel, size_t scope) const {
  const auto c = static_cast<size_t>(channel);
  storage::EvidenceRow row;
  row.health_channel = channel;
  if (scope > 0) row.cell = names_[scope - 1];
  const policy::ScopeTable<policy::RVector>& r = judge_.in_order().r(channel);
  if (scope == 0) {
    row.r = r.release().l;
  } else if (scope - 1 < r.cells().size()) {
    row.r = r.cells()[scope - 1].l;
  }
  if (c < policy::kGuardChannels) {
    const policy::ScopeTable<policy::GuardVector>& guard = judge_.guard().guard(channel);
    if (scope == 0) {
      row.guard = guard.release().l;
    } else if (scope - 1 < guard.cells().size()) {
      row.guard = guard.cells()[scope - 1].l;
    }
  }
  if (const auto it = earlier_.find({c, scope}); it != earlier_.end()) {
    for (size_t i = 0; i < row.r.size(); ++i) row.r[i] -= it->second.r.l[i];
    for (size_t i = 0; i < row.guard.size(); ++i) row.guard[i] -= it->second.guard.l[i];
  }
  if (scope < counts_.size()) {
    const SpellCounts& counts = counts_[scope][c];
    row.bad_treated = counts.bad_treated;
    row.all_treated = counts.all_treated;
    row.bad_control = counts.bad_control;
    row.all_control = counts.all_control;
  }
  return row;
}

storage::EvidenceRecordRow ReleaseJudgement::RowOf(const Record& record,
                                                   absl::FunctionRef<AgentId(HostRef)> agent_of) const {
  storage::EvidenceRecordRow row;
  row.at = record.at;
  row.test = record.test;
  const auto add = [&](const policy::HostIndex host, const policy::CellList& cells, HealthChannel channel,
                       bool treated, double pi) -> storage::EvidenceEvent& {
    storage::EvidenceEvent& event = row.events.emplace_back();
    event.agent = agent_of(RefOf(host));
    event.health_channel = channel;
    event.treated = treated;
    event.pi = pi;
    for (const CellIndex cell : cells) event.cells.push_back(names_[cell]);
    return event;
  };
  if (record.soak.has_value()) {
    row.soak = true;
    add(record.soak->host, record.soak->cells, record.soak->channel, record.soak->treated, record.soak->pi);
    return row;
  }
  const policy::StratumRecord& stratum = record.stratum;
  row.bucket = stratum.bucket;
  row.rho = stratum.rho;
  row.treated = stratum.treated;
  row.controls = stratum.controls;
  row.phantoms = stratum.phantoms;
  row.late = stratum.late;
  for (const policy::BadEvent& bad : stratum.bad) add(bad.host, bad.cells, bad.channel, bad.treated, bad.pi);
  for (const policy::GaugeReading& gauge : stratum.gauges) {
    storage::EvidenceEvent& event =
        add(gauge.host, gauge.cells, HealthChannel::kGauge, gauge.treated, gauge.pi);
    event.x = gauge.x;
    event.c = gauge.c;
  }
  return row;
}

ReleaseJudgement::Unsaved ReleaseJudgement::TakeUnsaved(const std::string& channel, uint64_t serial,
                                                        uint32_t replica,
                                                        absl::FunctionRef<AgentId(HostRef)> agent_of) {
  Unsaved unsaved;
  if (row_changed_) {
    row_changed_ = false;
    unsaved.judgement = row_;
    unsaved.judgement->channel = channel;
    unsaved.judgement->serial = serial;
  }
  for (const Record& record : new_records_) {
    storage::EvidenceRecordRow row = RowOf(record, agent_of);
    row.channel = channel;
    row.serial = serial;
    row.replica = replica;
    row.seq = ++seq_;
    unsaved_records_.push_back(std::move(row));
  }
  new_records_.clear();
  unsaved.records.swap(unsaved_records_);
  if (!dirty_) return unsaved;
  dirty_ = false;
  ++version_;
  for (size_t scope = 0; scope < std::max<size_t>(1, counts_.size()); ++scope) {
    for (size_t c = 0; c < kCountedChannels; ++c) {
      storage::EvidenceRow row = RowOf(static_cast<HealthChannel>(c), scope);
      storage::EvidenceRow& written = written_[{c, scope}];
      row.version = written.version;
      row.channel = channel;
      row.serial = serial;
      row.replica = replica;
      if (row == written || (written.version == 0 && row.all_treated + row.all_control == 0 &&
                             row.r == decltype(row.r){} && row.guard == decltype(row.guard){})) {
        continue;
      }
      row.version = version_;
      written = row;
      unsaved.vectors.push_back(std::move(row));
    }
  }
  return unsaved;
}

void ReleaseJudgement::GiveBack(Unsaved unsaved) {
  row_changed_ = row_changed_ || unsaved.judgement.has_value();
  unsaved_records_.insert(unsaved_records_.begin(), std::make_move_iterator(unsaved.records.begin()),
                          std::make_move_iterator(unsaved.records.end()));
  if (unsaved.vectors.empty()) return;
  written_.clear();
  dirty_ = true;
}

void ReleaseJudgement::Restore(const storage::JudgementRow& row,
                               absl::Span<const storage::EvidenceRecordRow> records,
                               std::vector<storage::EvidenceRow> vectors) {
  RF_CHECK(!started_);
  started_ = true;
  row_ = row;
  slots_ = policy::CellSlots::WithSlots(row.k_max);
  for (const std::string& cell : row.cells) SlotOf(cell);
  for (const std::string& cell : row.blocked) blocked_.push_back(SlotOf(cell));
  for (const storage::EvidenceRecordRow& record : records) {
    int64_t& last = earlier_seq_[record.replica];
    last = std::max(last, record.seq);
    if (record.test != row.test) continue;
    policy::StratumRecord stratum;
    stratum.bucket = record.bucket;
    stratum.rho = record.rho;
    stratum.treated = record.treated;
    stratum.controls = record.controls;
    stratum.phantoms = record.phantoms;
    stratum.late = record.late;
    for (const storage::EvidenceEvent& event : record.events) {
      if (IsForgotten(row, record.at, event.cells)) continue;
      const std::vector<CellIndex> slots = SlotsOf(event.cells);
      const policy::CellList cells(slots.begin(), slots.end());
      if (event.health_channel == HealthChannel::kGauge) {
        stratum.gauges.push_back({0, cells, event.treated, event.pi, event.x, event.c});
      } else {
        auto& events = record.soak ? log_.soak : stratum.bad;
        events.push_back({0, cells, event.health_channel, event.treated, event.pi});
      }
    }
    if (!record.soak) log_.strata.push_back(std::move(stratum));
  }
  judge_ = policy::ReleaseJudge(Setup());
  judge_.Restore(log_, blocked_);
  for (const storage::EvidenceRow& vector : vectors) {
    const auto channel = static_cast<size_t>(vector.health_channel);
    std::optional<CellIndex> cell;
    if (!vector.cell.empty()) cell = SlotOf(vector.cell);
    Vectors& sum = earlier_[{channel, cell.has_value() ? size_t{1} + *cell : 0}];
    sum.r.Merge({vector.r});
    sum.guard.Merge({vector.guard});
    sum.counts += {vector.bad_treated, vector.all_treated, vector.bad_control, vector.all_control};
    if (channel < policy::kGuardChannels) {
      judge_.guard_to_restore().Add(vector.health_channel, cell, {vector.guard});
    }
  }
  row_changed_ = false;
  reading_ = judge_.Read();
}

}  // namespace ringfence::app
