#include "ringfence/policy/judge/cell_slots.h"

#include <algorithm>
#include <limits>

#include "ringfence/policy/evidence.h"

namespace ringfence::policy {
namespace {

constexpr CellIndex kNone = std::numeric_limits<CellIndex>::max();

}  // namespace

CellSlots::CellSlots(int64_t cells_at_start) : k_max_(KMax(std::max<int64_t>(0, cells_at_start))) {}

CellSlots CellSlots::WithSlots(int64_t k_max) {
  CellSlots slots(0);
  slots.k_max_ = std::max<int64_t>(1, k_max);
  return slots;
}

CellIndex CellSlots::SlotOf(uint32_t cell) {
  if (cell >= slot_of_.size()) slot_of_.resize(size_t{cell} + 1, kNone);
  CellIndex& slot = slot_of_[cell];
  if (slot != kNone) return slot;
  if (used_ + 1 < static_cast<CellIndex>(k_max_)) return slot = used_++;
  // The last slot belongs to whoever comes first, and to all who come after.
  shared_ = used_ + 1 > static_cast<CellIndex>(k_max_);
  used_ = static_cast<CellIndex>(k_max_);
  return slot = used_ - 1;
}

std::vector<CellIndex> CellSlots::SlotsOf(absl::Span<const uint32_t> cells) {
  std::vector<CellIndex> slots;
  slots.reserve(std::min(cells.size(), kMaxCellsPerHost));
  for (const uint32_t cell : cells) {
    const CellIndex slot = SlotOf(cell);
    if (std::find(slots.begin(), slots.end(), slot) != slots.end()) continue;
    if (slots.size() == kMaxCellsPerHost) break;
    slots.push_back(slot);
  }
  std::sort(slots.begin(), slots.end());
  return slots;
}

}  // namespace ringfence::policy
