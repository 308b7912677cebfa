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

// Called when M_R in draw order has reached the level of a halt.
HaltReview ReviewHalt(const HaltQuestion& question);

}  // namespace ringfence::policy
