// The numbers of our advisory locks: "RINGFENC" in ASCII, then counted. They share one space per database
// with whatever else uses it.
#pragma once

#include <cstdint>

namespace ringfence::storage {

inline constexpr int64_t kMigrationLockKey = 0x52494E4746454E43;
inline constexpr int64_t kLeaderLockKey = kMigrationLockKey + 1;

// The gates before the brakes: this number, and one below kBrakeGates. Few, because a batch over hundreds of
// tenants must not fill the server's lock table; enough that changes of different brakes seldom meet. Pairs
// of 32-bit numbers are a space of their own.
inline constexpr int32_t kBrakeGateClass = 0x52494E47;
inline constexpr uint64_t kBrakeGates = 64;

}  // namespace ringfence::storage
