// How often hosts without a release look as if it had harmed them: the shares of control spells that ended
// silent or crashed, by kind of host and hour of the week. docs/health-analysis.md, section 4 (p_hist).
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/policy/judge/guard_table.h"
#include "server/storage/rows.h"

namespace ringfence::app {

// Older weeks fade: a spell of a week ago counts three quarters of one of today, so that all of them together
// weigh as much as the last four weeks. Not thread-safe.
class Background {
 public:
  // Kinds of hosts: the first that are seen, and the last for all others.
  static constexpr size_t kClasses = 6;
  static constexpr int kHours = 168;  // of a week, in UTC, from Monday 0:00
  static constexpr double kPrior = 0.02;
  static constexpr double kPriorSpells = 50;
  static constexpr double kWeekly = 0.75;

  policy::HostClass ClassOf(absl::string_view name);

  // A control spell that ended at `at`.
  void Count(policy::HostClass host_class, absl::Time at,
             const std::array<bool, policy::kGuardChannels>& bad);

  // p_hist of this hour, by class: its share shrunk to that of the class with 50 spells, and the class's
  // to 2 % with as many.
  policy::BackgroundRates At(absl::Time now) const;

  // What changed since the last call.
  std::vector<storage::BackgroundRow> TakeUnsaved();
  // It could not be written: the next TakeUnsaved has it again.
  void GiveBack(absl::Span<const storage::BackgroundRow> rows);
  // Before the first Count.
  void Restore(absl::Span<const storage::BackgroundRow> rows);

 private:
  struct Hour {
    int64_t week = 0;  // of the last spell; the sums are as of then
    double spells = 0;
    std::array<double, policy::kGuardChannels> bad{};
    bool unsaved = false;

    void FadeTo(int64_t later);
  };
  // Week since 1970 and hour in it.
  static std::pair<int64_t, int> WeekAndHour(absl::Time at);

  std::vector<std::string> names_;  // by class
  std::map<std::pair<policy::HostClass, int>, Hour> hours_;
};

}  // namespace ringfence::app
