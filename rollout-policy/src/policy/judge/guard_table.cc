#include "ringfence/policy/judge/guard_table.h"

#include <algorithm>
#include <utility>

#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

// health-analysis.md, section 4: no history.
constexpr double kNoHistory = 0.02;

ControlCounts ChannelOf(const GuardTally::Counts& counts, size_t channel) {
  return {.bad = static_cast<double>(counts.bad[channel]), .all = static_cast<double>(counts.all)};
}

// `times` treated spells with one bound and one outcome.
void ResolveMany(GuardVector& guard, std::optional<double> bound, bool bad, int64_t times) {
  if (times == 0) return;
  GuardVector one;
  one.Resolve(bound, bad);
  for (size_t i = 0; i < guard.l.size(); ++i) guard.l[i] += static_cast<double>(times) * one.l[i];
}

}  // namespace

void GuardTally::Add(CellSpan cells, size_t column, const SpellOutcome& outcome) {
  const size_t width = stride();
  const auto count = [&](size_t scope) {
    if (rows_.size() <= scope * width) rows_.resize((scope + 1) * width, 0);
    uint32_t* row = &rows_[scope * width + column * kWidth];
    ++row[0];
    row[1] += outcome.silent ? 1 : 0;
    row[2] += outcome.crashed ? 1 : 0;
  };
  count(0);
  for (const CellIndex cell : cells) count(size_t{1} + cell);
}

void GuardTally::AddControl(CellSpan cells, const SpellOutcome& outcome) {
  Add(cells, 0, outcome);
}

void GuardTally::AddTreated(CellSpan cells, HostClass host_class, const SpellOutcome& outcome) {
  RF_CHECK(host_class < classes_);
  Add(cells, size_t{1} + host_class, outcome);
  any_treated_ = true;
}

void GuardTally::Clear() {
  std::fill(rows_.begin(), rows_.end(), 0);
  any_treated_ = false;
}

GuardTally::Counts GuardTally::At(size_t scope, size_t column) const {
  if (scope >= scopes()) return {};
  const uint32_t* row = &rows_[scope * stride() + column * kWidth];
  return {.all = row[0], .bad = {row[1], row[2]}};
}

GuardTable::GuardTable(int64_t k_max, BackgroundRates rates) : k_max_(k_max), rates_(std::move(rates)) {
  if (rates_.empty()) rates_.push_back({kNoHistory, kNoHistory});
}

GuardTable::Histories GuardTable::HistoryOf(size_t scope) const {
  return scope < history_.size() ? history_[scope] : Histories{};
}

std::optional<double> GuardTable::Bound(const GuardTally& tally, size_t scope, size_t channel,
                                        size_t host_class) const {
  GuardInput input;
  input.p_hist = rates_[host_class < rates_.size() ? host_class : 0][channel];
  input.history = HistoryOf(0)[channel];
  input.bucket = ChannelOf(tally.Control(0), channel);
  if (scope > 0) {
    input.cell_history = HistoryOf(scope)[channel];
    input.cell_bucket = ChannelOf(tally.Control(scope), channel);
  }
  return GuardBound(input);
}

void GuardTable::Absorb(const GuardTally& tally) {
  if (tally.any_treated()) {
    for (size_t scope = 0; scope < tally.scopes(); ++scope) {
      for (size_t host_class = 0; host_class < tally.classes(); ++host_class) {
        const GuardTally::Counts treated = tally.Treated(scope, host_class);
        if (treated.all == 0) continue;
        for (size_t channel = 0; channel < kGuardChannels; ++channel) {
          const std::optional<double> bound = Bound(tally, scope, channel, host_class);
          if (!bound.has_value()) continue;
          GuardVector& guard = scope == 0 ? guards_[channel].Release()
                                          : guards_[channel].Cell(static_cast<CellIndex>(scope - 1));
          ResolveMany(guard, bound, true, treated.bad[channel]);
          ResolveMany(guard, bound, false, treated.all - treated.bad[channel]);
        }
      }
    }
  }
  if (history_.size() < tally.scopes()) history_.resize(tally.scopes());
  for (size_t scope = 0; scope < history_.size(); ++scope) {
    const GuardTally::Counts control = tally.Control(scope);
    for (size_t channel = 0; channel < kGuardChannels; ++channel) {
      ControlCounts& history = history_[scope][channel];
      history = Decay(history, ChannelOf(control, channel));
    }
  }
}

void GuardTable::Merge(const GuardTable& other) {
  for (size_t i = 0; i < guards_.size(); ++i) guards_[i].Merge(other.guards_[i]);
}

void GuardTable::Add(HealthChannel channel, std::optional<CellIndex> cell, const GuardVector& earlier) {
  RF_CHECK(static_cast<size_t>(channel) < kGuardChannels);
  ScopeTable<GuardVector>& guard = guards_[static_cast<size_t>(channel)];
  (cell.has_value() ? guard.Cell(*cell) : guard.Release()).Merge(earlier);
}

void GuardTable::SetHistory(BackgroundRates rates) {
  if (!rates.empty()) rates_ = std::move(rates);
}

void GuardTable::Restart() {
  guards_ = {};
}

double GuardTable::M() {
  double m = 1.0;
  for (size_t i = 0; i < guards_.size(); ++i) m += kChannelWeights[i] * (guards_[i].Value(k_max_) - 1.0);
  return m;
}

double GuardTable::CellMean(CellIndex cell) {
  double mean = 1.0;
  for (size_t i = 0; i < guards_.size(); ++i) mean += kChannelWeights[i] * (guards_[i].CellE(cell) - 1.0);
  return mean;
}

std::optional<CellIndex> GuardTable::Suspected() {
  std::optional<CellIndex> suspected;
  double largest = 1.0;
  size_t cells = 0;
  for (const auto& guard : guards_) cells = std::max(cells, guard.cells().size());
  for (CellIndex cell = 0; cell < cells; ++cell) {
    const double mean = CellMean(cell);
    if (!(mean > largest)) continue;
    suspected = cell;
    largest = mean;
  }
  return suspected;
}

}  // namespace ringfence::policy
