// Who was exposed and where each stands: the counts U and H of the release, of each stage and of each cell,
// from which the governor makes tokens. health-analysis.md, section 9; invariants 6 and 8.
#pragma once

#include <cstdint>
#include <vector>

#include "ringfence/policy/governor.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/health_record.h"
#include "ringfence/policy/judge/standing.h"

namespace ringfence::policy {

// Each move is made once (standing.h): repeated news of a host changes nothing. The cells of a host must be
// the same in every call (they are frozen at the draw). Not thread-safe.
class ExposureBook {
 public:
  // `release_b0` and one b0 per stage: StartBudget of their sizes.
  ExposureBook(int64_t release_b0, std::vector<int64_t> stage_b0);

  // False if the news moved nothing.
  bool Hear(News news, HostIndex host, size_t stage, CellSpan cells);

  Standing Of(HostIndex host) const { return host < standing_.size() ? standing_[host] : Standing::kNone; }
  const Budget& release() const { return release_; }
  const Budget& stage(size_t stage) const { return stages_[stage]; }
  // U and H of a cell over the whole release.
  const Budget& Cell(CellIndex cell) const { return cell < cells_.size() ? cells_[cell] : kNobody; }
  // The novelty cap: U_c < b0 + gamma·H_c for every cell of the host, with b0 of the stage.
  bool CellsOpen(size_t stage, CellSpan cells) const;
  // Hosts ever exposed, whatever became of them: denominators are frozen.
  int64_t exposed() const { return exposed_; }

 private:
  static constexpr Budget kNobody = {};

  std::vector<Standing> standing_;
  Budget release_;
  std::vector<Budget> stages_;
  std::vector<Budget> cells_;
  int64_t exposed_ = 0;
};

}  // namespace ringfence::policy
