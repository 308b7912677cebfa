// How many hosts are online, for how long in sum, and how often one fell silent or crashed: in all and per
// cell, over rolling windows. Kept twice: for the whole fleet, and for the hosts exposed to a release; the
// difference is its control.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "server/app/cells.h"
#include "server/app/fleet_index.h"

namespace ringfence::app {

// Not thread-safe.
class OnsetSeries {
 public:
  struct Reading {
    double host_hours = 0;
    int64_t onsets = 0;
    int64_t unannounced = 0;  // of those, without a goodbye
    int64_t crashes = 0;
    int64_t online = 0;
  };

  void Online(const CellList& cells, int64_t by) {
    Sum(0).online += by;
    for (const CellId cell : cells) Sum(cell + 1).online += by;
  }
  void Onset(const CellList& cells, bool announced) {
    const auto count = [&](Total& total) {
      ++total.onsets;
      total.unannounced += announced ? 0 : 1;
    };
    count(Sum(0));
    for (const CellId cell : cells) count(Sum(cell + 1));
  }

  void Crash(const CellList& cells) {
    ++Sum(0).crashes;
    for (const CellId cell : cells) ++Sum(cell + 1).crashes;
  }

  // Time passes; once a minute of it a mark is kept, for as long as `keep`.
  void Advance(FleetNanos now, FleetNanos keep) {
    if (last_ != 0) {
      const double hours = static_cast<double>(now - last_) / kHourNanos;
      for (Total& total : totals_) total.host_hours += static_cast<double>(total.online) * hours;
    }
    last_ = now;
    if (marks_.empty() || now - marks_.back().at >= kMarkNanos) {
      marks_.push_back({now, totals_});
      while (marks_.size() > 2 && marks_[1].at <= now - keep) marks_.pop_front();
    }
  }

  // Since the mark at or before now - window, or the oldest there is. `cell` -1: in all.
  Reading Since(FleetNanos from, int64_t cell) const {
    const size_t slot = static_cast<size_t>(cell + 1);
    if (slot >= totals_.size()) return {};
    const Total& end = totals_[slot];
    Reading reading{end.host_hours, end.onsets, end.unannounced, end.crashes, end.online};
    const auto after = std::upper_bound(marks_.begin(), marks_.end(), from,
                                        [](FleetNanos at, const Mark& mark) { return at < mark.at; });
    if (!marks_.empty()) {
      const Mark& mark = after == marks_.begin() ? marks_.front() : *std::prev(after);
      if (slot < mark.totals.size()) {
        reading.host_hours -= mark.totals[slot].host_hours;
        reading.onsets -= mark.totals[slot].onsets;
        reading.unannounced -= mark.totals[slot].unannounced;
        reading.crashes -= mark.totals[slot].crashes;
      }
    }
    return reading;
  }

 private:
  struct Total {
    int64_t online = 0;
    double host_hours = 0;
    int64_t onsets = 0;
    int64_t unannounced = 0;
    int64_t crashes = 0;
  };
  struct Mark {
    FleetNanos at = 0;
    std::vector<Total> totals;
  };
  static constexpr double kHourNanos = 3600e9;
  static constexpr FleetNanos kMarkNanos = 60'000'000'000;

  Total& Sum(size_t slot) {
    if (slot >= totals_.size()) totals_.resize(slot + 1);
    return totals_[slot];
  }

  FleetNanos last_ = 0;
  std::vector<Total> totals_{1};  // 0: in all; cell c at c + 1
  std::deque<Mark> marks_;
};

}  // namespace ringfence::app
