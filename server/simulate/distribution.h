// The four distributions of the scenario format, in seconds.
#pragma once

#include <cstdint>

#include "server/simulate/rng.h"
#include "server/simulate/virtual_time.h"

namespace ringfence::replay {

struct Distribution {
  enum class Kind : uint8_t { kFixed, kUniform, kExponential, kLognormal };
  Kind kind = Kind::kFixed;
  double a = 0;  // value; min; mean; median: seconds
  double b = 0;  // -; max (seconds); -; sigma of the natural logarithm

  // Never negative.
  Micros Sample(Rng& rng) const;
};

}  // namespace ringfence::replay
