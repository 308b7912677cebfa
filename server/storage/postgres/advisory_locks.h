// The numbers of our advisory locks: "RINGFENC" in ASCII, then counted. They share one space per database
// with whatever else uses it.
#pragma once

#include <cstdint>

namespace ringfence::storage {

inline constexpr int64_t kMigrationLockKey = 0x52494E4746454E43;
inline constexpr int64_t kLeaderLockKey = kMigrationLockKey + 1;

}  // namespace ringfence::storage
