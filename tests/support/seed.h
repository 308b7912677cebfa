// The seed of a property test: printed always, and taken back from RINGFENCE_SEED to repeat a run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace ringfence::test {

inline uint64_t Seed(uint64_t usual) {
  const char* given = std::getenv("RINGFENCE_SEED");
  const uint64_t seed = given == nullptr ? usual : std::strtoull(given, nullptr, 10);
  std::printf("RINGFENCE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace ringfence::test
