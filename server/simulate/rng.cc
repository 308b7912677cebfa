#include "server/simulate/rng.h"

#include <cmath>

namespace ringfence::replay {
namespace {

uint64_t SplitMix(uint64_t& state) {
  state += 0x9e3779b97f4a7c15ull;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

uint64_t Fnv1a(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash;
}

uint64_t RotateLeft(uint64_t x, int by) {
  return (x << by) | (x >> (64 - by));
}

}  // namespace

Rng::Rng(uint64_t seed, absl::string_view purpose, uint64_t index) {
  uint64_t mix = seed;
  mix = SplitMix(mix) ^ Fnv1a(purpose);
  mix = SplitMix(mix) ^ index;
  for (uint64_t& word : state_) word = SplitMix(mix);
}

uint64_t Rng::Next() {
  const uint64_t result = RotateLeft(state_[0] + state_[3], 23) + state_[0];
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

double Rng::Unit() {
  return static_cast<double>(Next() >> 11) * 0x1p-53;
}

uint64_t Rng::Below(uint64_t n) {
  // Rejection keeps it exactly uniform.
  const uint64_t limit = n * (UINT64_MAX / n);
  uint64_t x = Next();
  while (x >= limit) x = Next();
  return x % n;
}

double Rng::Exponential(double mean) {
  return -mean * std::log1p(-Unit());
}

double Rng::Normal() {
  constexpr double kTwoPi = 6.283185307179586476925;
  const double radius = std::sqrt(-2 * std::log1p(-Unit()));
  return radius * std::cos(kTwoPi * Unit());
}

}  // namespace ringfence::replay
