#include "ringfence/policy/judge/evidence_table.h"

#include <algorithm>

#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

double WeightOf(HealthChannel channel) {
  return kChannelWeights[static_cast<size_t>(channel)];
}

}  // namespace

const RVector& EvidenceTable::Step(bool treated, double pi) {
  CachedStep& cached = steps_[treated ? 1 : 0];
  if (cached.pi != pi) {
    cached.pi = pi;
    cached.step = {};
    cached.step.AddBad(treated, pi, rho0_);
  }
  return cached.step;
}

void EvidenceTable::AddBad(HealthChannel channel, CellSpan cells, bool treated, double pi) {
  RF_CHECK(channel != HealthChannel::kGauge);
  // Without a coin the increment is exactly 0.
  if (!(pi > 0.0 && pi < 1.0)) return;
  const RVector& step = Step(treated, pi);
  ScopeTable<RVector>& table = r_[static_cast<size_t>(channel)];
  table.Release().Merge(step);
  for (const CellIndex cell : cells) table.Cell(cell).Merge(step);
}

void EvidenceTable::AddGauge(CellSpan cells, bool treated, double pi, double x, double c) {
  GaugeVector step;
  step.AddValue(treated, pi, x, c);
  gauge_.Release().Merge(step);
  for (const CellIndex cell : cells) gauge_.Cell(cell).Merge(step);
}

void EvidenceTable::Add(HealthChannel channel, std::optional<CellIndex> cell, const RVector& vector) {
  RF_CHECK(channel != HealthChannel::kGauge);
  ScopeTable<RVector>& table = r_[static_cast<size_t>(channel)];
  (cell.has_value() ? table.Cell(*cell) : table.Release()).Merge(vector);
}

void EvidenceTable::AddGauge(std::optional<CellIndex> cell, const GaugeVector& vector) {
  (cell.has_value() ? gauge_.Cell(*cell) : gauge_.Release()).Merge(vector);
}

void EvidenceTable::Merge(const EvidenceTable& other) {
  RF_CHECK(k_max_ == other.k_max_ && rho0_ == other.rho0_);
  for (size_t i = 0; i < r_.size(); ++i) r_[i].Merge(other.r_[i]);
  gauge_.Merge(other.gauge_);
}

double EvidenceTable::M() {
  double m = WeightOf(HealthChannel::kGauge) * gauge_.Value(k_max_);
  for (size_t i = 0; i < r_.size(); ++i) m += kChannelWeights[i] * r_[i].Value(k_max_);
  return m;
}

double EvidenceTable::CellMean(CellIndex cell) {
  double mean = WeightOf(HealthChannel::kGauge) * gauge_.CellE(cell);
  for (size_t i = 0; i < r_.size(); ++i) mean += kChannelWeights[i] * r_[i].CellE(cell);
  return mean;
}

bool EvidenceTable::IsNamed(CellIndex cell) {
  return 0.5 / static_cast<double>(k_max_) * CellMean(cell) >= kHaltAt;
}

CellIndex EvidenceTable::Cells() const {
  size_t cells = gauge_.cells().size();
  for (const auto& table : r_) cells = std::max(cells, table.cells().size());
  return static_cast<CellIndex>(cells);
}

std::vector<CellIndex> EvidenceTable::Named() {
  std::vector<CellIndex> named;
  for (CellIndex cell = 0; cell < Cells(); ++cell) {
    if (IsNamed(cell)) named.push_back(cell);
  }
  return named;
}

std::optional<CellIndex> EvidenceTable::Suspected() {
  std::optional<CellIndex> suspected;
  double largest = 1.0;  // a cell without evidence
  for (CellIndex cell = 0; cell < Cells(); ++cell) {
    const double mean = CellMean(cell);
    if (!(mean > largest)) continue;
    suspected = cell;
    largest = mean;
  }
  return suspected;
}

}  // namespace ringfence::policy
