// How many hosts may be exposed now: unproven exposures never exceed a budget that proven hosts pay for.
// health-analysis.md, section 9; invariant 6.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace ringfence::policy {

inline constexpr double kGamma = 1.0;

// clamp(ceil(0.02·size), 1, 4)
int64_t StartBudget(int64_t size);

// One of the nested budgets: the release over all tenants, or a stage.
struct Budget {
  int64_t b0 = 1;
  int64_t healthy = 0;   // H: proven and not taken back
  int64_t unproven = 0;  // U: exposed, and not known yet to be proven, bad, reverted or unused (standing.h)
  int64_t failed = 0;    // matured and not proven
  bool waived = false;   // a person let it go on although its first hosts failed
};

// What of the release's budget is in use: U, and while nobody has proven the release the failed hosts too. A
// first canary that fails lets in nobody else; once it is known that some bear with it, who failed is known
// to be bad, and no exposure of which nothing is known.
int64_t InUse(const Budget& release);
// So that nobody can be let in any more, and nothing but failures is known. That is for a person to look at.
bool FirstHostsFailed(const Budget& release);
// After so many probations D in which none of them proved itself after all.
inline constexpr int kProbationsToMend = 2;

// max(b0, (b0 + gamma·H) / max(1, M_R/10))
double Cap(int64_t b0, int64_t healthy, double m_r);

// Whole exposures that may start now: the least over both budgets (cap - InUse, cap - U), the wave's room and
// this replica's grant; never negative.
int64_t Tokens(const Budget& release, const Budget& stage, double m_r, std::optional<int64_t> wave_room,
               std::optional<int64_t> grant);

// May another host of a cell be exposed? U_c < b0 + gamma·H_c, with b0 of the stage.
bool CellIsOpen(int64_t unproven, int64_t b0, int64_t healthy);

// Hosts that an ordered rollback may reach in a minute: max(10, 10 % of the set), rounded up.
int64_t RollbackPerMinute(int64_t set_size);

// In an ordered rollback hosts go back in the order of their places (PlaceOf): RollbackPerMinute(set_size) in
// its first minute, as many more in each later one. Is it the turn of the host at `place`, `since` the order?
// Places are uniform, so the set need not be sorted, and a host that sleeps holds up nobody.
bool IsItsTurnBack(uint64_t place, int64_t set_size, absl::Duration since);

}  // namespace ringfence::policy
