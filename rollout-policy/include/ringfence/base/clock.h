// Time is handed in. Nothing in this project reads the wall clock except through a Clock made in a main().
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace ringfence {

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes backwards within one process. Thread-safe.
  virtual absl::Time Now() = 0;
};

// The wall clock, clamped so that it never goes backwards. With a scale above 1 time runs faster from the
// moment of construction: every duration of the product shrinks by the same factor. Thread-safe.
class SystemClock final : public Clock {
 public:
  explicit SystemClock(double scale = 1.0);
  // Scaled from `anchor` instead: a later process with the same anchor and scale goes on where an earlier one
  // was.
  SystemClock(double scale, absl::Time anchor);
  absl::Time Now() override;
  double scale() const { return scale_; }

 private:
  const double scale_;
  const absl::Time start_;
  std::atomic<int64_t> last_nanos_;
};

// Stands still until told to move. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(absl::Time now) : nanos_(absl::ToUnixNanos(now)) {}
  absl::Time Now() override { return absl::FromUnixNanos(nanos_.load()); }
  // Moves forward only; an earlier time is ignored.
  void Set(absl::Time now);
  void Advance(absl::Duration by) { Set(Now() + by); }

 private:
  std::atomic<int64_t> nanos_;
};

}  // namespace ringfence
