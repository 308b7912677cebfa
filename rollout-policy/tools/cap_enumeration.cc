#include "rollout-policy/tools/cap_enumeration.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "ringfence/policy/evidence.h"

namespace ringfence::tools {
namespace {

double Continue(const CappedBucket& bucket, const std::function<double(const Arms&)>& value, Arms& arms,
                int treated, double probability) {
  if (static_cast<int>(arms.size()) == bucket.hosts || treated >= bucket.cell_cap)
    return probability * value(arms);
  double sum = 0.0;
  for (const bool arm : {false, true}) {
    arms.push_back(arm);
    sum += Continue(bucket, value, arms, treated + (arm ? 1 : 0),
                    probability * (arm ? bucket.pi : 1 - bucket.pi));
    arms.pop_back();
  }
  return sum;
}

}  // namespace

double MeanOver(const CappedBucket& bucket, const std::function<double(const Arms&)>& value) {
  Arms arms;
  return Continue(bucket, value, arms, 0, 1.0);
}

double CoinFactor(const CappedBucket& bucket, const Arms& arms, double theta) {
  double log_factor = 0.0;
  for (size_t i = static_cast<size_t>(bucket.bad_from); i < arms.size(); ++i) {
    log_factor += policy::RIncrement(arms[i], bucket.pi, 1.0, theta);
  }
  return std::exp(log_factor);
}

double DecrementFactor(const CappedBucket& bucket, const Arms& arms, double theta) {
  double treated = static_cast<double>(std::count(arms.begin(), arms.end(), true));
  double controls = static_cast<double>(arms.size()) - treated;
  double factor = 1.0;
  for (size_t i = static_cast<size_t>(bucket.bad_from); i < arms.size(); ++i) {
    if (treated > 0 && controls > 0) {
      factor *= (arms[i] ? theta : 1.0) * (treated + controls) / (theta * treated + controls);
    }
    (arms[i] ? treated : controls) -= 1;
  }
  return factor;
}

}  // namespace ringfence::tools
