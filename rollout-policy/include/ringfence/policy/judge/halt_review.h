// Before a halt for everyone: is it one tenant that silences its own hosts, or one cell that can be blocked
// while the others go on? health-analysis.md, section 11.
#pragma once

#include <cstdint>
#include <vector>

#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/health_record.h"

namespace ringfence::policy {

inline constexpr size_t kMostBlockedCells = 3;

struct HaltQuestion {
  const RecordLog* log = nullptr;  // all records of this test
  int64_t k_max = 64;
  double rho0 = 1.0;
  // Cells that are tenants; the internal one is not among them: its harm halts.
  std::vector<CellIndex> tenants;
  std::vector<CellIndex> never_block;  // the internal tenant's: if it has the most evidence, halt
  std::vector<CellIndex> blocked;      // already
  size_t excluded = 0;                 // of those, by people: they do not count against kMostBlockedCells
  std::vector<int64_t> hosts_of_cell = {};  // by slot, for ties; a missing one counts 0
};

enum class HaltAnswer : uint8_t {
  kHalt = 1,             // for the release
  kBlockTenantHold = 2,  // block `cell`, a tenant, and hold the others
  kBlockGoOn = 3,        // block `cell` and go on
  kBlockHold = 4,        // block `cell` and hold the rest
};

struct HaltReview {
  HaltAnswer answer = HaltAnswer::kHalt;
  CellIndex cell = 0;
  double residual = 0.0;  // M_R in draw order without the hosts of `cell`
};

// What the review looks at, in figures: enough to answer again without the records.
struct HaltFacts {
  struct Cell {
    CellIndex cell = 0;
    double residual = 0.0;  // M_R without its hosts; of a named cell only if it is the one with most evidence
    double mean = 0.0;      // its own evidence over all channels; of named cells
    int64_t hosts = 0;
    bool may_block = true;
  };
  double m_r = 1.0;           // in draw order, without those blocked already
  std::vector<Cell> tenants;  // with bad T; not the internal one, none blocked already
  std::vector<Cell> named;    // at the proven level; none blocked already
  size_t blocked = 0;         // cells that the judge, not people, blocked before
};
HaltFacts FactsOf(const HaltQuestion& question);
// Its hosts and those blocked already left out.
EvidenceTable TableWithout(const HaltQuestion& question, CellIndex cell);

// Called when M_R in draw order has reached the level of a halt.
HaltReview ReviewHalt(const HaltFacts& facts);
inline HaltReview ReviewHalt(const HaltQuestion& question) {
  return ReviewHalt(FactsOf(question));
}

const char* Name(HaltAnswer answer);  // "halt", "block_tenant_hold", "block_go_on", "block_hold"

}  // namespace ringfence::policy
