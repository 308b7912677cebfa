#include "ringfence/policy/judge/halt_review.h"

#include <algorithm>
#include <optional>

#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

double Residual(const HaltQuestion& question, CellIndex cell) {
  std::vector<CellIndex> without = question.blocked;
  without.push_back(cell);
  return Replay(*question.log, question.k_max, question.rho0, Lateness::kInOrderOnly, without).M();
}

std::vector<CellIndex> TenantsWithBadT(const HaltQuestion& question) {
  std::vector<CellIndex> found;
  const auto look = [&](const BadEvent& event) {
    if (!event.treated) return;
    for (const CellIndex cell : event.cells) {
      if (HasAnyOf({&cell, 1}, question.tenants) && !HasAnyOf({&cell, 1}, question.blocked) &&
          !HasAnyOf({&cell, 1}, found)) {
        found.push_back(cell);
      }
    }
  };
  for (const StratumRecord& stratum : question.log->strata) {
    if (!stratum.late) std::for_each(stratum.bad.begin(), stratum.bad.end(), look);
  }
  std::for_each(question.log->soak.begin(), question.log->soak.end(), look);
  std::sort(found.begin(), found.end());
  return found;
}

int64_t HostsOf(const HaltQuestion& question, CellIndex cell) {
  return cell < question.hosts_of_cell.size() ? question.hosts_of_cell[cell] : 0;
}

}  // namespace

HaltReview ReviewHalt(const HaltQuestion& question) {
  RF_CHECK(question.log != nullptr);
  EvidenceTable now =
      Replay(*question.log, question.k_max, question.rho0, Lateness::kInOrderOnly, question.blocked);

  // 1. Leave one tenant out. If several would do, the one without which least is left.
  std::optional<HaltReview> tenant;
  for (const CellIndex cell : TenantsWithBadT(question)) {
    const double residual = Residual(question, cell);
    if (residual < kBrakeAt && (!tenant.has_value() || residual < tenant->residual)) {
      tenant = HaltReview{HaltAnswer::kBlockTenantHold, cell, residual};
    }
  }
  if (tenant.has_value()) return *tenant;

  // 2. Block a cell: the named one with the most evidence, the smaller one among equals.
  const HaltReview halt{HaltAnswer::kHalt, 0, now.M()};
  if (question.blocked.size() - std::min(question.excluded, question.blocked.size()) >= kMostBlockedCells)
    return halt;
  std::optional<CellIndex> worst;
  for (const CellIndex cell : now.Named()) {
    if (HasAnyOf({&cell, 1}, question.blocked)) continue;
    if (worst.has_value()) {
      const double more = now.CellMean(cell) - now.CellMean(*worst);
      if (more < 0 || (more == 0 && HostsOf(question, cell) >= HostsOf(question, *worst))) continue;
    }
    worst = cell;
  }
  if (!worst.has_value() || HasAnyOf({&*worst, 1}, question.never_block)) return halt;
  const double residual = Residual(question, *worst);
  if (residual < kBrakeAt) return {HaltAnswer::kBlockGoOn, *worst, residual};
  if (residual < kHoldAt) return {HaltAnswer::kBlockHold, *worst, residual};
  return {HaltAnswer::kHalt, *worst, residual};
}

}  // namespace ringfence::policy
