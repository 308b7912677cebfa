#include "server/simulate/distribution.h"

#include <algorithm>
#include <cmath>

namespace ringfence::replay {

Micros Distribution::Sample(Rng& rng) const {
  double seconds = 0;
  switch (kind) {
    case Kind::kFixed:
      seconds = a;
      break;
    case Kind::kUniform:
      seconds = rng.Uniform(a, b);
      break;
    case Kind::kExponential:
      seconds = rng.Exponential(a);
      break;
    case Kind::kLognormal:
      seconds = a * std::exp(b * rng.Normal());
      break;
  }
  // A thousand years stand for "never": a wide lognormal must not overflow the count of microseconds.
  return FromSeconds(std::clamp(seconds, 0.0, 3.2e10));
}

}  // namespace ringfence::replay
