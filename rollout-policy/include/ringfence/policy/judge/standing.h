// Where an exposed host stands in the budgets, and what moves it: the one definition of U and H. The server
// keeps it for each exposure, the benchmark in an ExposureBook. health-analysis.md, section 9; invariant 6.
#pragma once

#include <cstdint>

#include "ringfence/policy/governor.h"

namespace ringfence::policy {

enum class Standing : uint8_t {
  kNone = 0,       // never exposed
  kUnproven = 1,   // in U: what becomes of it is not known yet
  kProven = 2,     // in H: matured and confirmed
  kFailed = 3,     // matured and not confirmed: known to be bad, in neither
  kTakenBack = 4,  // in U: it was proven and went bad
  kFree = 5,       // reverted, or the lease was never used: in neither
};

enum class News : uint8_t {
  kExposed = 1,   // got the lease, or was heard to run the release after all
  kProved = 2,    // its probation ended: heard, running it, nothing bad
  kMatured = 3,   // its spell, or its first probation, ended without that
  kWentBad = 4,   // fell silent, crashed, ...
  kReleased = 5,  // went back, or never used the lease
};

// The same standing where the news move nothing: repeated news of a host count once.
//
// A host that matured bad leaves U. What is bounded are exposures of which nothing is known; this one is
// known to be bad, it is in the evidence and in the gates, and it is harmed whether or not it fills the
// budget. Were it to stay, the first b0 bricks would use the budget up for good: no T spell could follow, no
// evidence could reach a level, and the rollout would stand still without a stop. A proven host that goes bad
// returns to U for as long as it is neither reverted nor proven again: harm that comes late slows the release
// at once.
Standing After(Standing standing, News news);

// Adds `by` to what the standing counts in.
void Count(Budget& budget, Standing standing, int64_t by);

// Exposed, and neither proven nor free: its next probation may prove it.
inline bool IsUnconfirmed(Standing standing) {
  return standing == Standing::kUnproven || standing == Standing::kFailed || standing == Standing::kTakenBack;
}

}  // namespace ringfence::policy
