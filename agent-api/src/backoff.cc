#include "ringfence/agent/backoff.h"

#include <algorithm>

namespace ringfence::agent {

uint64_t Chance::Next() {
  state_ += 0x9e3779b97f4a7c15ull;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

double Chance::Share() {
  return static_cast<double>(Next() >> 11) * 0x1.0p-53;
}

absl::Duration Chance::Below(absl::Duration most) {
  return most * Share();
}

absl::Duration Backoff::Delay(int failures, Chance& chance) const {
  absl::Duration most = base;
  for (int i = 1; i < failures && most < cap; ++i) most *= 2;
  return std::max(least, chance.Below(std::min(most, cap)));
}

}  // namespace ringfence::agent
