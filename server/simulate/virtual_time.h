// The replay's time: whole microseconds since the start of the scenario.
#pragma once

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace ringfence::replay {

using Micros = int64_t;

inline constexpr Micros kSecond = 1'000'000;
inline constexpr Micros kMinute = 60 * kSecond;
inline constexpr Micros kHour = 60 * kMinute;
inline constexpr Micros kDay = 24 * kHour;
inline constexpr Micros kNever = std::numeric_limits<Micros>::max();

inline Micros FromSeconds(double seconds) {
  return static_cast<Micros>(seconds * 1e6);
}
inline absl::Duration ToDuration(Micros t) {
  return absl::Microseconds(t);
}
inline Micros FromDuration(absl::Duration d) {
  return absl::ToInt64Microseconds(d);
}

// What the server's clock shows at t = 0: a Monday, so that plans with calendars see a working week.
inline absl::Time WallAtStart() {
  return absl::FromUnixSeconds(1767571200);  // 2026-01-05T00:00:00Z
}
inline absl::Time ToWall(Micros t) {
  return WallAtStart() + ToDuration(t);
}
inline Micros FromWall(absl::Time t) {
  return FromDuration(t - WallAtStart());
}

}  // namespace ringfence::replay
