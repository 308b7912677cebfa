// Test R and gauge B over all channels, for the release and every cell: M_R, the named cells, the suspected
// one. health-analysis.md, sections 3, 5 and 6.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/scope_table.h"

namespace ringfence::policy {

// Six numbers per cell and channel, whatever the number of hosts. K_max and rho0 are frozen before the first
// draw. Not thread-safe, reading M included.
class EvidenceTable {
 public:
  EvidenceTable(int64_t k_max, double rho0) : k_max_(k_max), rho0_(rho0) {}

  // One bad event of a spell that was drawn with probability `pi` of T. Not for the gauge.
  void AddBad(HealthChannel channel, CellSpan cells, bool treated, double pi);
  // The gauge of one spell, x in [0,1], compared with `c` that was fixed before the draw.
  void AddGauge(CellSpan cells, bool treated, double pi, double x, double c);
  // What was gathered elsewhere for one scope (no cell: the release). Not for the gauge.
  void Add(HealthChannel channel, std::optional<CellIndex> cell, const RVector& vector);
  void AddGauge(std::optional<CellIndex> cell, const GaugeVector& vector);
  // Vectors add; exp and mean come after. Tables of one release only: same K_max and rho0.
  void Merge(const EvidenceTable& other);

  // M_R: the fixed-weight mean over channels of half release, half cells. 1 for a fresh release.
  double M();
  // sum over channels of w_s·E_s,c; 1 for a cell without events.
  double CellMean(CellIndex cell);
  // At the proven level: an unharmed cell is ever named with probability at most 0.001.
  bool IsNamed(CellIndex cell);
  std::vector<CellIndex> Named();
  // The cell with the largest mean above 1, the lowest slot among equals; none if there is no such cell.
  std::optional<CellIndex> Suspected();

  int64_t k_max() const { return k_max_; }
  double rho0() const { return rho0_; }
  const ScopeTable<RVector>& r(HealthChannel channel) const { return r_[static_cast<size_t>(channel)]; }
  const ScopeTable<GaugeVector>& gauge() const { return gauge_; }

 private:
  static constexpr size_t kRChannels = 4;  // all but the gauge

  // The increments of one event. The bad events of a bucket share arm and pi, so the logs are taken once.
  const RVector& Step(bool treated, double pi);
  CellIndex Cells() const;

  int64_t k_max_;
  double rho0_;
  std::array<ScopeTable<RVector>, kRChannels> r_;
  ScopeTable<GaugeVector> gauge_;

  struct CachedStep {
    double pi = 0.0;
    RVector step;
  };
  std::array<CachedStep, 2> steps_;  // by arm
};

}  // namespace ringfence::policy
