// Shares and rates as integers, so that no floating point decides who is in a wave.
#pragma once

#include <compare>
#include <cstdint>

namespace ringfence::policy {

// Parts per million; 1'000'000 is the whole.
struct Ppm {
  int64_t value = 0;
  static constexpr int64_t kWhole = 1'000'000;

  constexpr Ppm() = default;
  constexpr explicit Ppm(int64_t parts) : value(parts) {}
  constexpr double AsShare() const { return static_cast<double>(value) / kWhole; }
  // ceil(share × count), for count up to 9e12.
  constexpr int64_t CeilOf(int64_t count) const { return (value * count + kWhole - 1) / kWhole; }

  friend constexpr auto operator<=>(const Ppm&, const Ppm&) = default;
};

}  // namespace ringfence::policy
