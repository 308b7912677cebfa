#include "server/simulate/calendar_queue.h"

#include <algorithm>

namespace ringfence::replay {
namespace {

int64_t SlotOf(const Event& event) {
  return event.at / kSecond;
}

bool LaterThan(const Event& x, const Event& y) {
  return Earlier(y, x);
}

}  // namespace

void CalendarQueue::Push(const Event& event) {
  ++size_;
  const int64_t slot = SlotOf(event);
  if (slot <= slot_) {
    current_.insert(std::upper_bound(current_.begin(), current_.end(), event, LaterThan), event);
  } else if (slot - slot_ < kSlots) {
    ring_[static_cast<size_t>(slot % kSlots)].push_back(event);
  } else {
    far_.push(event);
  }
}

bool CalendarQueue::Pop(Event* event) {
  if (size_ == 0) return false;
  while (current_.empty()) NextSlot();
  *event = current_.back();
  current_.pop_back();
  --size_;
  return true;
}

void CalendarQueue::NextSlot() {
  ++slot_;
  std::swap(current_, ring_[static_cast<size_t>(slot_ % kSlots)]);
  while (!far_.empty() && SlotOf(far_.top()) - slot_ < kSlots) {
    const Event& event = far_.top();
    if (SlotOf(event) <= slot_) {
      current_.push_back(event);
    } else {
      ring_[static_cast<size_t>(SlotOf(event) % kSlots)].push_back(event);
    }
    far_.pop();
  }
  std::sort(current_.begin(), current_.end(), LaterThan);
}

}  // namespace ringfence::replay
