// Chance, from one seed: every purpose gets its own stream, so that drawing more for one purpose never shifts
// another. Not the standard library's distributions, whose numbers differ between libraries. Golden values in
// tests/replay/rng_test.cc.
#pragma once

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace ringfence::replay {

// xoshiro256++ seeded by splitmix64 over (seed, purpose, index). Not thread-safe.
class Rng {
 public:
  Rng(uint64_t seed, absl::string_view purpose, uint64_t index = 0);

  uint64_t Next();
  double Unit();               // [0, 1), 53 bits
  uint64_t Below(uint64_t n);  // [0, n); n > 0
  bool Coin(double probability) { return Unit() < probability; }
  double Uniform(double min, double max) { return min + (max - min) * Unit(); }
  double Exponential(double mean);
  double Normal();  // mean 0, standard deviation 1

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace ringfence::replay
