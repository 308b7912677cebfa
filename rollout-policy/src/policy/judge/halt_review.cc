#include "ringfence/policy/judge/halt_review.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

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

// The named cell with the most evidence, the smaller one among equals; null: none is named.
const HaltFacts::Cell* Worst(const std::vector<HaltFacts::Cell>& named) {
  const HaltFacts::Cell* worst = nullptr;
  for (const HaltFacts::Cell& cell : named) {
    if (worst != nullptr) {
      const double more = cell.mean - worst->mean;
      if (more < 0 || (more == 0 && cell.hosts >= worst->hosts)) continue;
    }
    worst = &cell;
  }
  return worst;
}

}  // namespace

EvidenceTable TableWithout(const HaltQuestion& question, CellIndex cell) {
  std::vector<CellIndex> without = question.blocked;
  without.push_back(cell);
  return Replay(*question.log, question.k_max, question.rho0, Lateness::kInOrderOnly, without);
}

HaltFacts FactsOf(const HaltQuestion& question) {
  RF_CHECK(question.log != nullptr);
  EvidenceTable now =
      Replay(*question.log, question.k_max, question.rho0, Lateness::kInOrderOnly, question.blocked);
  HaltFacts facts;
  facts.m_r = now.M();
  facts.blocked = question.blocked.size() - std::min(question.excluded, question.blocked.size());
  for (const CellIndex cell : TenantsWithBadT(question)) {
    facts.tenants.push_back({.cell = cell, .residual = TableWithout(question, cell).M()});
  }
  for (const CellIndex cell : now.Named()) {
    if (HasAnyOf({&cell, 1}, question.blocked)) continue;
    facts.named.push_back({.cell = cell,
                           .residual = std::numeric_limits<double>::quiet_NaN(),
                           .mean = now.CellMean(cell),
                           .hosts = HostsOf(question, cell),
                           .may_block = !HasAnyOf({&cell, 1}, question.never_block)});
  }
  if (const HaltFacts::Cell* worst = Worst(facts.named)) {
    facts.named[static_cast<size_t>(worst - facts.named.data())].residual =
        TableWithout(question, worst->cell).M();
  }
  return facts;
}

HaltReview ReviewHalt(const HaltFacts& facts) {
  // 1. Leave one tenant out. If several would do, the one without which least is left.
  std::optional<HaltReview> tenant;
  for (const HaltFacts::Cell& one : facts.tenants) {
    if (one.residual < kBrakeAt && (!tenant.has_value() || one.residual < tenant->residual)) {
      tenant = HaltReview{HaltAnswer::kBlockTenantHold, one.cell, one.residual};
    }
  }
  if (tenant.has_value()) return *tenant;

  // 2. Block a cell.
  const HaltReview halt{HaltAnswer::kHalt, 0, facts.m_r};
  const HaltFacts::Cell* worst = Worst(facts.named);
  if (facts.blocked >= kMostBlockedCells || worst == nullptr || !worst->may_block) return halt;
  if (worst->residual < kBrakeAt) return {HaltAnswer::kBlockGoOn, worst->cell, worst->residual};
  if (worst->residual < kHoldAt) return {HaltAnswer::kBlockHold, worst->cell, worst->residual};
  return {HaltAnswer::kHalt, worst->cell, worst->residual};
}

const char* Name(HaltAnswer answer) {
  switch (answer) {
    case HaltAnswer::kHalt:
      return "halt";
    case HaltAnswer::kBlockTenantHold:
      return "block_tenant_hold";
    case HaltAnswer::kBlockGoOn:
      return "block_go_on";
    case HaltAnswer::kBlockHold:
      return "block_hold";
  }
  return "unknown";
}

}  // namespace ringfence::policy
