#include "ringfence/base/clock.h"

#include "absl/time/clock.h"

namespace ringfence {
namespace {

// Returns the larger of `candidate` and what `last` held, and stores it.
int64_t ClampForward(std::atomic<int64_t>& last, int64_t candidate) {
  int64_t seen = last.load(std::memory_order_relaxed);
  while (candidate > seen && !last.compare_exchange_weak(seen, candidate, std::memory_order_relaxed)) {
  }
  return candidate > seen ? candidate : seen;
}

}  // namespace

SystemClock::SystemClock(double scale) : SystemClock(scale, absl::Now()) {}

SystemClock::SystemClock(double scale, absl::Time anchor)
    : scale_(scale), start_(anchor), last_nanos_(absl::ToUnixNanos(anchor)) {}

absl::Time SystemClock::Now() {
  const absl::Time wall = absl::Now();
  const absl::Time scaled = scale_ == 1.0 ? wall : start_ + (wall - start_) * scale_;
  return absl::FromUnixNanos(ClampForward(last_nanos_, absl::ToUnixNanos(scaled)));
}

void ManualClock::Set(absl::Time now) {
  ClampForward(nanos_, absl::ToUnixNanos(now));
}

}  // namespace ringfence
