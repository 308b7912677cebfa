// The event list of a simulation with many short timers: a ring of one-second slots, so that pushing a
// check-in costs an append. Far events wait in a heap until the ring reaches them. Equal times come out in
// the order of (kind, subject, arg), so that a run depends on its seed only. Not thread-safe.
#pragma once

#include <cstdint>
#include <queue>
#include <tuple>
#include <vector>

#include "server/simulate/virtual_time.h"

namespace ringfence::replay {

struct Event {
  Micros at = 0;
  uint32_t subject = 0;  // a host, or the index of whatever the kind speaks of
  uint32_t arg = 0;
  uint16_t generation = 0;  // lets a timer be cancelled by raising the subject's counter
  uint8_t kind = 0;
};

inline bool Earlier(const Event& x, const Event& y) {
  return std::tie(x.at, x.kind, x.subject, x.arg, x.generation) <
         std::tie(y.at, y.kind, y.subject, y.arg, y.generation);
}

class CalendarQueue {
 public:
  CalendarQueue() : ring_(kSlots) {}

  // An event in the past comes out next.
  void Push(const Event& event);
  // The earliest event; false when there is none.
  bool Pop(Event* event);
  size_t size() const { return size_; }

 private:
  static constexpr int64_t kSlots = 4096;

  struct LaterFirst {
    bool operator()(const Event& x, const Event& y) const { return Earlier(y, x); }
  };

  void NextSlot();

  int64_t slot_ = -1;           // the one being emptied
  std::vector<Event> current_;  // its events, latest first
  std::vector<std::vector<Event>> ring_;
  std::priority_queue<Event, std::vector<Event>, LaterFirst> far_;
  size_t size_ = 0;
};

}  // namespace ringfence::replay
