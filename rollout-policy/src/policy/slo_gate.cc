#include "ringfence/policy/slo_gate.h"

#include <cmath>
#include <limits>

namespace ringfence::policy {
namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;

// Beyond this the sums below would take too many steps, and the first term of the expansion is exact to 1e-9.
constexpr double kHuge = 1e9;

// log(n!) minus its Stirling approximation, n >= 1. Loader, "Fast and accurate computation of binomial
// probabilities".
double StirlingError(double n) {
  if (n > 15) {
    const double n2 = n * n;
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / n2) / n2) / n2) / n2) / n;
  }
  double factorial = 1.0;
  for (double i = 2; i <= n; ++i) factorial *= i;
  return std::log(factorial) - 0.5 * std::log(kTwoPi * n) - n * std::log(n) + n;
}

// x·log(x/mean) + mean - x, without the cancellation when the two are close.
double Deviance(double x, double mean) {
  const double v = (x - mean) / (x + mean);
  if (std::abs(v) >= 0.1) return x * std::log(x / mean) + mean - x;
  double sum = (x - mean) * v;
  double term = 2 * x * v;
  for (int j = 1; j < 1000; ++j) {
    term *= v * v;
    const double next = sum + term / (2 * j + 1);
    if (next == sum) break;
    sum = next;
  }
  return sum;
}

// P(X = k). The large logarithms of the textbook formula never meet, so that it keeps its digits for large
// means.
double PoissonMass(double k, double mean) {
  if (k == 0) return std::exp(-mean);
  return std::exp(-StirlingError(k) - Deviance(k, mean)) / std::sqrt(kTwoPi * k);
}

// P(X >= k) for k > mean: the terms fall from the first on.
double UpperSum(double k, double mean) {
  double term = 1.0;
  double sum = 1.0;
  for (double i = k + 1; term > sum * 1e-17; ++i) {
    term *= mean / i;
    sum += term;
  }
  return PoissonMass(k, mean) * sum;
}

// P(X < k) for k <= mean, summed downwards.
double LowerSum(double k, double mean) {
  double term = 1.0;
  double sum = 1.0;
  for (double i = k - 1; i > 0 && term > sum * 1e-17; --i) {
    term *= i / mean;
    sum += term;
  }
  return PoissonMass(k - 1, mean) * sum;
}

// P(X >= k) for huge k: the uniform expansion of the incomplete gamma function (Temme), to first order in
// 1/k.
double TailOfHuge(double k, double mean) {
  const double deviance = Deviance(k, mean) / k;  // lambda - 1 - log(lambda), lambda = mean/k
  const double eta = std::copysign(std::sqrt(2 * deviance), mean - k);
  const double c0 =
      std::abs(eta) < 1e-3 ? -1.0 / 3 + eta / 12 - eta * eta * 2 / 135 : 1 / (mean / k - 1) - 1 / eta;
  return 0.5 * std::erfc(-eta * std::sqrt(k / 2)) - c0 * std::exp(-k * deviance) / std::sqrt(kTwoPi * k);
}

}  // namespace

const char* Name(GateKind kind) {
  switch (kind) {
    case GateKind::kCrash:
      return "crash";
    case GateKind::kSilence:
      return "silence";
    case GateKind::kDegraded:
      return "degraded";
  }
  return "unknown";
}

bool IsBreached(const RateGate& gate, const RateCounts& counts) {
  if (counts.exposed <= 0 || counts.bad < gate.min_count) return false;
  // Integers, wide enough for any counts: the limit itself is not over the limit.
  using Wide = __int128;
  return Wide{counts.bad} * Ppm::kWhole > Wide{gate.max_rate.value} * counts.exposed;
}

double ExpectedSilent(const SilenceCounts& counts) {
  if (!(counts.control_host_hours > 0)) return std::numeric_limits<double>::infinity();
  const double rate = (static_cast<double>(counts.control_silent) + 1) / counts.control_host_hours;
  // 0 × infinity: a rate that cannot be told cannot be judged by.
  const double expected = rate * counts.exposed_host_hours;
  return std::isnan(expected) ? std::numeric_limits<double>::infinity() : expected;
}

bool IsBreached(const SilenceGate& gate, const SilenceCounts& counts) {
  if (counts.exposed <= 0 || counts.silent < gate.min_count) return false;
  const double expected = ExpectedSilent(counts);
  const double excess = (static_cast<double>(counts.silent) - expected) / static_cast<double>(counts.exposed);
  return excess > gate.max_excess.AsShare() && PoissonTail(counts.silent, expected) < kChance;
}

double PoissonTail(int64_t k, double mean) {
  if (k <= 0) return 1.0;
  if (std::isnan(mean)) return 1.0;  // unknown expectation: nothing is beyond chance
  if (mean <= 0) return 0.0;
  if (std::isinf(mean)) return 1.0;
  const double n = static_cast<double>(k);
  double tail;
  if (n >= kHuge) {
    tail = TailOfHuge(n, mean);
  } else {
    tail = n > mean ? UpperSum(n, mean) : 1.0 - LowerSum(n, mean);
  }
  return tail < 0.0 ? 0.0 : (tail > 1.0 ? 1.0 : tail);
}

}  // namespace ringfence::policy
