#include "ringfence/policy/judge/pacing.h"

#include <algorithm>
#include <cmath>

#include "ringfence/policy/draw.h"

namespace ringfence::policy {

void AskerForecast::EndBucket(int64_t asked, int64_t enrolled) {
  left_over_ = std::max<int64_t>(0, asked - enrolled);
  seen_ = true;
}

double AskerForecast::Next(int64_t returning) const {
  return static_cast<double>(left_over_ + std::max<int64_t>(0, returning));
}

double PhantomPlan::PerT(int64_t exposed, int64_t members, int64_t locked) const {
  const auto whole = static_cast<double>(members);
  if (steps.empty() || static_cast<double>(locked) > lock_max * whole) return 0.0;
  for (const Step& step : steps) {
    if (static_cast<double>(exposed) < step.until_exposed * whole) return step.per_t;
  }
  return steps.back().per_t;
}

double PhantomPlan::MostPerT(int64_t members, int64_t locked, int64_t tokens) const {
  if (tokens <= 0 || members < least_members) return 0.0;
  const double room = lock_max * static_cast<double>(members) - static_cast<double>(locked);
  return std::max(0.0, room) / static_cast<double>(tokens);
}

double PiMaxOf(int64_t healthy, int64_t members) {
  constexpr double kMost = 1.0 - kPiMax;
  if (members <= 0) return kPiMax;
  return std::clamp(static_cast<double>(healthy) / static_cast<double>(members), kPiMax, kMost);
}

int64_t WaveCap(double share, int64_t members, int64_t at_least) {
  // A share such as 0.07 is not exact in binary: 0.07 of 100 hosts is 7, not 8.
  constexpr double kRounding = 1e-9;
  const double wanted = std::ceil(share * static_cast<double>(members) - kRounding);
  return std::clamp<int64_t>(static_cast<int64_t>(wanted), std::min(at_least, members), members);
}

}  // namespace ringfence::policy
