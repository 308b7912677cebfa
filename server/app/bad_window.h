// Distinct hosts with a bad event within a rolling window, for a release and for each of its cells, kept
// incrementally: O(cells of the host) per event.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/app/cells.h"
#include "server/app/fleet_index.h"

namespace ringfence::app {

// Not thread-safe.
class BadWindow {
 public:
  explicit BadWindow(FleetNanos length) : length_(length) {}

  // A bad event of a host that is now in `cells`. A later event of the same host only renews it; what
  // explained the earlier one explains the later only when it is the `same` (a silence that goes on).
  void Add(HostRef host, const CellList& cells, FleetNanos now, bool same = false) {
    const auto [it, added] = hosts_.try_emplace(host);
    if (!added) Count(it->second, -1);
    it->second = {now, cells, same ? it->second.explained : 0};
    Count(it->second, +1);
    queue_.push_back({now, host});
  }

  // The same events in a window of another length. Let the older ones go (Expire) before it is read.
  BadWindow WithLength(FleetNanos length) const {
    BadWindow other = *this;
    other.length_ = length;
    return other;
  }

  // The host's labels changed: it counts where it is now.
  void Move(HostRef host, const CellList& cells) {
    const auto it = hosts_.find(host);
    if (it == hosts_.end()) return;
    Count(it->second, -1);
    it->second.cells = cells;
    Count(it->second, +1);
  }

  // `share` of the host's event is explained by an outage; what is explained stays so until a new event.
  void Explain(HostRef host, double share) {
    const auto it = hosts_.find(host);
    if (it == hosts_.end() || it->second.explained >= share) return;
    Count(it->second, -1);
    it->second.explained = share;
    Count(it->second, +1);
  }

  // Lets go of events older than the window.
  void Expire(FleetNanos now) {
    while (!queue_.empty() && queue_.front().first <= now - length_) {
      const auto it = hosts_.find(queue_.front().second);
      if (it != hosts_.end() && it->second.at == queue_.front().first) {
        Count(it->second, -1);
        hosts_.erase(it);
      }
      queue_.pop_front();
    }
    // A host that goes bad again and again has one entry that counts.
    if (queue_.size() <= 2 * hosts_.size() + 64) return;
    std::deque<std::pair<FleetNanos, HostRef>> newest;
    for (const auto& [at, host] : queue_) {
      const auto it = hosts_.find(host);
      if (it != hosts_.end() && it->second.at == at) newest.push_back({at, host});
    }
    queue_ = std::move(newest);
  }

  // The host's event counts no more.
  void Remove(HostRef host) {
    const auto it = hosts_.find(host);
    if (it == hosts_.end()) return;
    Count(it->second, -1);
    hosts_.erase(it);
  }

  // The window restarts: at an operator's resume.
  void Clear() {
    hosts_.clear();
    queue_.clear();
    by_cell_.clear();
    explained_ = 0;
  }

  // Distinct hosts with a bad event after `from`, and the explained ones of them; `cell` -1: in all. Looks at
  // every host of the window.
  std::pair<int64_t, double> After(FleetNanos from, int64_t cell) const {
    Sum sum;
    for (const auto& [host, entry] : hosts_) {
      if (entry.at <= from) continue;
      if (cell >= 0 &&
          std::find(entry.cells.begin(), entry.cells.end(), static_cast<CellId>(cell)) == entry.cells.end())
        continue;
      ++sum.bad;
      sum.explained += entry.explained;
    }
    return {sum.bad, sum.explained};
  }

  int64_t all() const { return static_cast<int64_t>(hosts_.size()); }
  int64_t in(CellId cell) const { return cell < by_cell_.size() ? by_cell_[cell].bad : 0; }
  // Of these, the explained ones.
  double explained() const { return hosts_.empty() ? 0 : explained_; }
  double explained_in(CellId cell) const { return in(cell) > 0 ? by_cell_[cell].explained : 0; }
  FleetNanos length() const { return length_; }

 private:
  struct Entry {
    FleetNanos at = 0;
    CellList cells;
    double explained = 0;
  };
  struct Sum {
    int64_t bad = 0;
    double explained = 0;
  };

  void Count(const Entry& entry, int64_t by) {
    explained_ += static_cast<double>(by) * entry.explained;
    for (const CellId cell : entry.cells) {
      if (cell >= by_cell_.size()) by_cell_.resize(cell + 1);
      by_cell_[cell].bad += by;
      by_cell_[cell].explained += static_cast<double>(by) * entry.explained;
    }
  }

  FleetNanos length_;
  absl::flat_hash_map<HostRef, Entry> hosts_;
  std::deque<std::pair<FleetNanos, HostRef>> queue_;
  double explained_ = 0;
  std::vector<Sum> by_cell_;
};

}  // namespace ringfence::app
