// The vectors of one channel: of the release and of each cell, with E = exp of their log mean kept beside
// them, so that an event costs as much as the host has labels, and a look at M costs the cells that changed
// since the last.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "ringfence/policy/judge/cell_slots.h"

namespace ringfence::policy {

// Logs above this are capped before exp: far above every level and far below overflow (section 5).
inline constexpr double kLargestLogE = 60.0;

// Vector is RVector, GuardVector or GaugeVector. Not thread-safe, reading E included.
template <typename Vector>
class ScopeTable {
 public:
  // To be changed by the caller: counts as changed.
  Vector& Release() {
    release_changed_ = true;
    return release_;
  }
  Vector& Cell(CellIndex cell) {
    if (cell >= cells_.size()) {
      cells_.resize(size_t{cell} + 1);
      e_cells_.resize(size_t{cell} + 1, 1.0);
      is_changed_.resize(size_t{cell} + 1, 0);
    }
    if (is_changed_[cell] == 0) {
      is_changed_[cell] = 1;
      changed_.push_back(cell);
    }
    return cells_[cell];
  }

  const Vector& release() const { return release_; }
  // By slot; a slot beyond the end is empty.
  const std::vector<Vector>& cells() const { return cells_; }

  double E() {
    if (release_changed_) e_release_ = std::exp(std::min(kLargestLogE, release_.LogE()));
    release_changed_ = false;
    return e_release_;
  }
  double CellE(CellIndex cell) {
    Refresh();
    return cell < e_cells_.size() ? e_cells_[cell] : 1.0;
  }

  // V: half the release, half the mean over K_max slots, of which the empty ones count 1.
  double Value(int64_t k_max) {
    Refresh();
    const auto slots = static_cast<double>(std::max<int64_t>(k_max, static_cast<int64_t>(cells_.size())));
    return 0.5 * E() + 0.5 * (sum_cells_ + slots - static_cast<double>(cells_.size())) / slots;
  }

  // Vectors of replicas add.
  void Merge(const ScopeTable& other) {
    Release().Merge(other.release_);
    for (size_t i = 0; i < other.cells_.size(); ++i) Cell(static_cast<CellIndex>(i)).Merge(other.cells_[i]);
  }

 private:
  void Refresh() {
    if (changed_.empty()) return;
    for (const CellIndex cell : changed_) {
      e_cells_[cell] = std::exp(std::min(kLargestLogE, cells_[cell].LogE()));
      is_changed_[cell] = 0;
    }
    changed_.clear();
    // Summed anew rather than corrected: beside an E of 1e26 a difference would lose all the others.
    sum_cells_ = 0.0;
    for (const double e : e_cells_) sum_cells_ += e;
  }

  Vector release_;
  std::vector<Vector> cells_;
  double e_release_ = 1.0;
  std::vector<double> e_cells_;
  double sum_cells_ = 0.0;
  bool release_changed_ = false;
  std::vector<uint8_t> is_changed_;
  std::vector<CellIndex> changed_;
};

}  // namespace ringfence::policy
