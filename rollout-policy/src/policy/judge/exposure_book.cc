#include "ringfence/policy/judge/exposure_book.h"

#include <algorithm>
#include <utility>

namespace ringfence::policy {
namespace {

void Count(Budget& budget, Standing standing, int64_t by) {
  switch (standing) {
    case Standing::kUnproven:
      budget.unproven += by;
      return;
    case Standing::kProven:
      budget.healthy += by;
      return;
    case Standing::kNone:
    case Standing::kFailed:
    case Standing::kFree:
      return;
  }
}

}  // namespace

ExposureBook::ExposureBook(int64_t release_b0, std::vector<int64_t> stage_b0) {
  release_.b0 = release_b0;
  for (const int64_t b0 : stage_b0) stages_.push_back({.b0 = b0});
}

bool ExposureBook::Move(HostIndex host, size_t stage, CellSpan cells, Standing from, Standing to) {
  if (Of(host) != from) return false;
  if (host >= standing_.size()) {
    standing_.resize(std::max<size_t>(size_t{host} + 1, 2 * standing_.size()), Standing::kNone);
  }
  standing_[host] = to;
  const auto move = [&](Budget& budget) {
    Count(budget, from, -1);
    Count(budget, to, +1);
  };
  move(release_);
  move(stages_[stage]);
  for (const CellIndex cell : cells) {
    if (cell >= cells_.size()) cells_.resize(size_t{cell} + 1);
    move(cells_[cell]);
  }
  return true;
}

bool ExposureBook::Expose(HostIndex host, size_t stage, CellSpan cells) {
  const bool moved = Move(host, stage, cells, Standing::kNone, Standing::kUnproven);
  exposed_ += moved ? 1 : 0;
  return moved;
}

bool ExposureBook::Prove(HostIndex host, size_t stage, CellSpan cells) {
  return Move(host, stage, cells, Standing::kUnproven, Standing::kProven) ||
         Move(host, stage, cells, Standing::kFailed, Standing::kProven);
}

bool ExposureBook::Fail(HostIndex host, size_t stage, CellSpan cells) {
  return Move(host, stage, cells, Standing::kUnproven, Standing::kFailed);
}

bool ExposureBook::TakeBack(HostIndex host, size_t stage, CellSpan cells) {
  return Move(host, stage, cells, Standing::kProven, Standing::kUnproven);
}

bool ExposureBook::Free(HostIndex host, size_t stage, CellSpan cells) {
  const Standing from = Of(host);
  if (from == Standing::kNone || from == Standing::kFree) return false;
  return Move(host, stage, cells, from, Standing::kFree);
}

bool ExposureBook::CellsOpen(size_t stage, CellSpan cells) const {
  return std::all_of(cells.begin(), cells.end(), [&](CellIndex cell) {
    const Budget budget = Cell(cell);
    return CellIsOpen(budget.unproven, stages_[stage].b0, budget.healthy);
  });
}

}  // namespace ringfence::policy
