// Cells by small numbers. A cell is one value of tenant, ring or a plan's cohort keys; its evidence has a
// slot of its own, and K_max slots are fixed before the first draw (health-analysis.md, section 1).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace ringfence::policy {

// A slot, below K_max.
using CellIndex = uint32_t;
// The cells of one host, without repeats, frozen when the rollout started.
using CellSpan = absl::Span<const CellIndex>;

inline constexpr size_t kMaxCellsPerHost = 16;

// Gives slots to the caller's own numbers of cells, in the order in which they are first seen. When only one
// slot is left every further cell shares it ("other"), so that the weights never move. Not thread-safe.
class CellSlots {
 public:
  explicit CellSlots(int64_t cells_at_start);
  // As they were fixed before: `k_max` slots, at least 1.
  static CellSlots WithSlots(int64_t k_max);

  int64_t k_max() const { return k_max_; }
  // The slots of a host's cells: at most kMaxCellsPerHost, sorted, without repeats (two cells may share
  // "other").
  std::vector<CellIndex> SlotsOf(absl::Span<const uint32_t> cells);
  // Is the last slot shared?
  bool IsOther(CellIndex slot) const { return shared_ && slot + 1 == static_cast<CellIndex>(k_max_); }

 private:
  CellIndex SlotOf(uint32_t cell);

  int64_t k_max_;
  std::vector<CellIndex> slot_of_;  // by the caller's number; kNone: not seen yet
  CellIndex used_ = 0;
  bool shared_ = false;
};

}  // namespace ringfence::policy
