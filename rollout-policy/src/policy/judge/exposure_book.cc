#include "ringfence/policy/judge/exposure_book.h"

#include <algorithm>
#include <utility>

namespace ringfence::policy {
ExposureBook::ExposureBook(int64_t release_b0, std::vector<int64_t> stage_b0) {
  release_.b0 = release_b0;
  for (const int64_t b0 : stage_b0) stages_.push_back({.b0 = b0});
}

bool ExposureBook::Hear(News news, HostIndex host, size_t stage, CellSpan cells) {
  const Standing from = Of(host);
  const Standing to = After(from, news);
  if (from == to) return false;
  if (host >= standing_.size()) {
    standing_.resize(std::max<size_t>(size_t{host} + 1, 2 * standing_.size()), Standing::kNone);
  }
  standing_[host] = to;
  exposed_ += from == Standing::kNone ? 1 : 0;
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

bool ExposureBook::CellsOpen(size_t stage, CellSpan cells) const {
  const int64_t b0 = stages_[stage].b0;
  for (const CellIndex cell : cells) {
    const Budget& budget = Cell(cell);
    if (!CellIsOpen(budget.unproven, b0, budget.healthy)) return false;
  }
  return true;
}

}  // namespace ringfence::policy
