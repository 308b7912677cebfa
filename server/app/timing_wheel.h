// Silence is watched by a timing wheel: each watched host sits in one slot; when the slot comes up the host
// is asked whether it was heard since, and is put back for later if so. A check-in itself never touches the
// wheel.
#pragma once

#include <cstdint>
#include <vector>

#include "server/app/fleet_index.h"

namespace ringfence::app {

// Not thread-safe.
class TimingWheel {
 public:
  explicit TimingWheel(FleetNanos now) : tick_(now / kSlotNanos), slots_(kSlots) {}

  // `due` may lie further away than the wheel is long: the host is then asked earlier, harmlessly.
  void Arm(HostRef host, FleetNanos due) {
    int64_t tick = due / kSlotNanos + 1;  // not before it is due
    if (tick <= tick_) tick = tick_ + 1;
    if (tick > tick_ + kSlots - 1) tick = tick_ + kSlots - 1;
    slots_[static_cast<size_t>(tick % kSlots)].push_back(host);
  }

  // Calls due(host) for each host whose slot has come; it returns when to ask again, or kNever to stop
  // watching.
  template <typename Due>
  void Advance(FleetNanos now, Due due) {
    const int64_t target = now / kSlotNanos;
    while (tick_ < target) {
      ++tick_;
      scratch_.swap(slots_[static_cast<size_t>(tick_ % kSlots)]);
      for (const HostRef host : scratch_) {
        const FleetNanos next = due(host);
        if (next != kNever) Arm(host, next);
      }
      scratch_.clear();
    }
  }

 private:
  static constexpr FleetNanos kSlotNanos = 1'000'000'000;
  static constexpr int64_t kSlots = 4096;

  int64_t tick_;
  std::vector<std::vector<HostRef>> slots_;
  std::vector<HostRef> scratch_;
};

}  // namespace ringfence::app
