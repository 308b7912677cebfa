// Guard A for the release and every cell, channels silence and crash: M_A. It takes in whole strata, so that
// the outcomes of C settle the bound before any outcome of T is looked at. health-analysis.md, section 4.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/scope_table.h"
#include "ringfence/policy/judge/spell.h"

namespace ringfence::policy {

inline constexpr size_t kGuardChannels = 2;  // silence, crash

// A kind of host with a background of its own ("server", "laptop"), by the caller's small number.
using HostClass = uint8_t;

// p_hist per class and channel: rates of control spells in the past.
using BackgroundRates = std::vector<std::array<double, kGuardChannels>>;

// How the spells of one stratum ended, counted by scope. C and P are controls alike.
class GuardTally {
 public:
  explicit GuardTally(size_t classes) : classes_(classes) {}

  struct Counts {
    int64_t all = 0;
    std::array<int64_t, kGuardChannels> bad{};
  };
  void AddControl(CellSpan cells, const SpellOutcome& outcome);
  void AddTreated(CellSpan cells, HostClass host_class, const SpellOutcome& outcome);
  // Forgets all, and keeps the memory.
  void Clear();

  // Scope 0 is the release, 1 + slot a cell.
  size_t scopes() const { return rows_.size() / stride(); }
  Counts Control(size_t scope) const { return At(scope, 0); }
  Counts Treated(size_t scope, size_t host_class) const { return At(scope, 1 + host_class); }
  size_t classes() const { return classes_; }
  bool any_treated() const { return any_treated_; }

 private:
  static constexpr size_t kWidth = 1 + kGuardChannels;
  size_t stride() const { return kWidth * (1 + classes_); }
  Counts At(size_t scope, size_t column) const;
  void Add(CellSpan cells, size_t column, const SpellOutcome& outcome);

  size_t classes_;
  // Per scope: all, bad per channel, of the controls; then the same of T for each class.
  std::vector<uint32_t> rows_;
  bool any_treated_ = false;
};

// Not thread-safe, reading M included.
class GuardTable {
 public:
  // A class that `rates` does not have is judged by the first.
  GuardTable(int64_t k_max, BackgroundRates rates);

  // Strata in the order of their completion. Controls first; then T, each against the bound of its class.
  void Absorb(const GuardTally& tally);
  void Merge(const GuardTable& other);
  // What an earlier life of the server gathered for one scope (no cell: the release). Silence and crash only.
  void Add(HealthChannel channel, std::optional<CellIndex> cell, const GuardVector& earlier);
  // Better known rates of the past, for strata that come from now on.
  void SetHistory(BackgroundRates rates);
  // After a cell was blocked: the vectors start again, what is known of the controls stays.
  void Restart();

  // M_A: the mean as in M_R; the weights of the other channels count 1.
  double M();
  double CellMean(CellIndex cell);
  std::optional<CellIndex> Suspected();

  const ScopeTable<GuardVector>& guard(HealthChannel channel) const {
    return guards_[static_cast<size_t>(channel)];
  }
  // The bounds that a stratum's controls give for a scope (0: release), before any outcome of T.
  std::optional<double> Bound(const GuardTally& tally, size_t scope, size_t channel, size_t host_class) const;

 private:
  using Histories = std::array<ControlCounts, kGuardChannels>;
  Histories HistoryOf(size_t scope) const;

  int64_t k_max_;
  BackgroundRates rates_;
  std::vector<Histories> history_;  // decayed controls by scope
  std::array<ScopeTable<GuardVector>, kGuardChannels> guards_;
};

}  // namespace ringfence::policy
