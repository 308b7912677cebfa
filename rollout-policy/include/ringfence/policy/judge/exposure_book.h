// Who was exposed and where each stands: the counts U and H of the release, of each stage and of each cell,
// from which the governor makes tokens. health-analysis.md, section 9; invariants 6 and 8.
#pragma once

#include <cstdint>
#include <vector>

#include "ringfence/policy/governor.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/health_record.h"

namespace ringfence::policy {

enum class Standing : uint8_t {
  kNone = 0,      // never exposed
  kUnproven = 1,  // in U: its probation runs, or it was proven and went bad
  kProven = 2,    // in H: matured and confirmed
  kFailed = 3,    // matured and not confirmed: in neither, until it proves itself after all
  kFree = 4,      // reverted or unused: in neither
};

// Each move is made once: repeated news of a host changes nothing. The cells of a host must be the same in
// every call (they are frozen at the draw). Not thread-safe.
//
// A host that matured bad leaves U. Were it to stay there, the first b0 bricks would use up the budget for
// good: no T spell could follow, the evidence could never reach a level, and the rollout would stand still
// without a stop. What is harmed before the stop is at most the matured harmed, plus U.
class ExposureBook {
 public:
  // `release_b0` and one b0 per stage: StartBudget of their sizes.
  ExposureBook(int64_t release_b0, std::vector<int64_t> stage_b0);

  // A host got the lease. False if it is exposed already.
  bool Expose(HostIndex host, size_t stage, CellSpan cells);
  // Confirmed at the end of a probation: from U or the failed to H. False for all others.
  bool Prove(HostIndex host, size_t stage, CellSpan cells);
  // Its spell matured and it is not confirmed: out of U. False unless it was in U.
  bool Fail(HostIndex host, size_t stage, CellSpan cells);
  // A proven host went bad: H to U. False unless it was proven, so that a second relapse before the next
  // proof counts nothing.
  bool TakeBack(HostIndex host, size_t stage, CellSpan cells);
  // Reverted, or the lease was never used. False if it was never exposed or is free already.
  bool Free(HostIndex host, size_t stage, CellSpan cells);

  Standing Of(HostIndex host) const { return host < standing_.size() ? standing_[host] : Standing::kNone; }
  const Budget& release() const { return release_; }
  const Budget& stage(size_t stage) const { return stages_[stage]; }
  // U and H of a cell over the whole release.
  Budget Cell(CellIndex cell) const { return cell < cells_.size() ? cells_[cell] : Budget{}; }
  // The novelty cap: U_c < b0 + gamma·H_c for every cell of the host, with b0 of the stage.
  bool CellsOpen(size_t stage, CellSpan cells) const;
  // Hosts ever exposed, whatever became of them: denominators are frozen.
  int64_t exposed() const { return exposed_; }

 private:
  bool Move(HostIndex host, size_t stage, CellSpan cells, Standing from, Standing to);

  std::vector<Standing> standing_;
  Budget release_;
  std::vector<Budget> stages_;
  std::vector<Budget> cells_;
  int64_t exposed_ = 0;
};

}  // namespace ringfence::policy
