#include "ringfence/policy/slo_gate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ringfence::policy {
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
  return excess > gate.max_excess.AsShare() && ChanceOfSoMany(counts) < kChance;
}

double ChanceOfSoMany(const SilenceCounts& counts) {
  const double k = static_cast<double>(counts.silent);
  const double c = static_cast<double>(counts.control_silent);
  if (k <= 0 || !(counts.control_host_hours > 0)) return 1.0;
  if (!(counts.exposed_host_hours > 0)) return 0.0;
  const double n = k + c;
  const double p = counts.exposed_host_hours / (counts.exposed_host_hours + counts.control_host_hours);
  if (k <= n * p) return 1.0;  // no more than expected: not asked for the exact number
  double term = std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(c + 1) + k * std::log(p) +
                         c * std::log1p(-p));
  double tail = term;
  for (double i = k; i < n && term > tail * 1e-17; ++i) {
    term *= (n - i) / (i + 1) * p / (1 - p);
    tail += term;
  }
  return std::min(tail, 1.0);
}

}  // namespace ringfence::policy
