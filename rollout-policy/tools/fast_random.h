// Chance for simulations: a small fast generator (xoshiro256**), and hashes that give the traits of a host
// without storing them. Not for the product's draw, which is an HMAC.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

namespace ringfence::tools {

// A bijective mix of 64 bits (splitmix64's finalizer).
inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

inline double ToUniform(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

class FastRandom {
 public:
  using result_type = uint64_t;
  explicit FastRandom(uint64_t seed) {
    for (uint64_t& word : state_) word = seed = Mix(seed);
  }
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return std::numeric_limits<uint64_t>::max(); }

  uint64_t operator()() {
    const uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }
  double Uniform() { return ToUniform((*this)()); }
  bool Chance(double p) { return Uniform() < p; }
  // Uniform below n < 2^32, n > 0; the bias of about n/2^64 does not matter here.
  uint32_t Below(uint32_t n) {
    return static_cast<uint32_t>((static_cast<unsigned __int128>((*this)()) * n) >> 64);
  }

 private:
  static uint64_t Rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
  std::array<uint64_t, 4> state_{};
};

}  // namespace ringfence::tools
