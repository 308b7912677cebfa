// How long to wait after an error: full jitter over an interval that doubles up to a cap, so that a fleet
// that lost its server does not come back in step.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace ringfence::agent {

// SplitMix64: a small seeded generator whose state is a value, so that a whole agent replays from one seed.
// Chance only; never for secrets.
class Chance {
 public:
  explicit Chance(uint64_t seed = 0) : state_(seed) {}
  uint64_t Next();
  // Uniform in [0, 1).
  double Share();
  // Uniform in [0, most).
  absl::Duration Below(absl::Duration most);

  friend bool operator==(const Chance&, const Chance&) = default;

 private:
  uint64_t state_;
};

struct Backoff {
  absl::Duration least = absl::Seconds(1);  // never shorter
  absl::Duration base = absl::Seconds(2);
  absl::Duration cap = absl::Minutes(5);

  // Before retry number `failures` (from 1): uniform between `least` and min(cap, base × 2^(failures-1)).
  absl::Duration Delay(int failures, Chance& chance) const;
};

}  // namespace ringfence::agent
