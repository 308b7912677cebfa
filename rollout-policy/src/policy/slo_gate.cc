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

namespace {

// P(Bin(n, p) >= k), 0 < p < 1.
double BinomialTail(double n, double p, double k) {
  if (k <= n * p) return 1.0;  // no more than expected: not asked for the exact number
  double term = std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(p) +
                         (n - k) * std::log1p(-p));
  double tail = term;
  for (double i = k; i < n && term > tail * 1e-17; ++i) {
    term *= (n - i) / (i + 1) * p / (1 - p);
    tail += term;
  }
  return std::min(tail, 1.0);
}

// P(Poisson(mean) >= k).
double PoissonTail(double mean, double k) {
  if (k <= mean) return 1.0;
  if (mean <= 0) return 0.0;
  double term = std::exp(k * std::log(mean) - mean - std::lgamma(k + 1));
  double tail = term;
  for (double i = k + 1; term > tail * 1e-17; ++i) {
    term *= mean / i;
    tail += term;
  }
  return std::min(tail, 1.0);
}

// If each of exposed + control events were an exposed host's in proportion to the hours, the chance of so
// many.
double ChanceAmong(int64_t exposed, int64_t control, double exposed_hours, double control_hours) {
  if (exposed <= 0 || !(control_hours > 0)) return 1.0;
  if (!(exposed_hours > 0)) return 0.0;
  return BinomialTail(static_cast<double>(exposed + control), exposed_hours / (exposed_hours + control_hours),
                      static_cast<double>(exposed));
}

double HoursOf(const CrashCounts& counts) {
  return std::max(counts.exposed_host_hours,
                  static_cast<double>(counts.rate.bad) * absl::ToDoubleHours(kLately));
}

// Exposed hosts fell silent no more often than controls, as far as one can tell.
bool Alike(const BulkSilence& bulk) {
  const double share =
      static_cast<double>(bulk.exposed_heard) / static_cast<double>(bulk.exposed_heard + bulk.control_heard);
  return BinomialTail(static_cast<double>(bulk.exposed_fell + bulk.control_fell), share,
                      static_cast<double>(bulk.exposed_fell)) >= kAlikeChance;
}

// Whole hosts: a part of one that is not explained is one that is not.
int64_t Unexplained(const Onsets& onsets) {
  return onsets.exposed - static_cast<int64_t>(std::floor(onsets.explained + 1e-9));
}

bool Exceeds(const SilenceGate& gate, const SilenceCounts& counts, const Onsets& onsets, int64_t min_count,
             double chance) {
  if (counts.exposed <= 0 || Unexplained(onsets) < min_count) return false;
  const double excess = (static_cast<double>(onsets.exposed) - ExpectedSilent(counts, onsets)) /
                        static_cast<double>(counts.exposed);
  return excess > gate.max_excess.AsShare() && ChanceOfSoMany(counts, onsets) < chance;
}

}  // namespace

double ExplainedShare(const BulkSilence& bulk) {
  if (bulk.exposed_fell <= 0 || bulk.control_fell < kBulkHosts || bulk.control_heard <= 0) return 0;
  if (PoissonTail(bulk.usual, static_cast<double>(bulk.control_fell)) >= kBulkChance) return 0;
  if (Alike(bulk)) return 1;
  const double foretold = static_cast<double>(bulk.control_fell) / static_cast<double>(bulk.control_heard) *
                          static_cast<double>(bulk.exposed_heard);
  return std::min(1.0, foretold / static_cast<double>(bulk.exposed_fell));
}

bool MayBeOutage(const BulkSilence& bulk) {
  return bulk.exposed_fell >= 2 && bulk.control_heard > 0 && Alike(bulk);
}

double SpentIn(int64_t windows) {
  const auto j = static_cast<double>(std::max<int64_t>(1, windows));
  return 2 / (j * (j + 1));
}

double ExpectedSilent(const SilenceCounts& counts, const Onsets& onsets) {
  if (!(counts.control_host_hours > 0)) return std::numeric_limits<double>::infinity();
  const double rate = (static_cast<double>(onsets.control) + 1) / counts.control_host_hours;
  // 0 × infinity: a rate that cannot be told cannot be judged by.
  const double expected = rate * counts.exposed_host_hours + onsets.explained;
  return std::isnan(expected) ? std::numeric_limits<double>::infinity() : expected;
}

double ChanceOfSoMany(const SilenceCounts& counts, const Onsets& onsets) {
  return ChanceAmong(Unexplained(onsets), onsets.control, counts.exposed_host_hours,
                     counts.control_host_hours);
}

double ExpectedCrashes(const CrashCounts& counts) {
  if (!(counts.control_host_hours > 0)) return std::numeric_limits<double>::infinity();
  return (static_cast<double>(counts.control) + 1) / counts.control_host_hours * HoursOf(counts);
}

double ChanceOfSoMany(const CrashCounts& counts) {
  const double hours = HoursOf(counts);
  const double usual = ChanceAmong(counts.rate.bad, counts.control, hours, counts.control_host_hours);
  if (counts.control_lately < 2 || !(counts.control_host_hours_lately > 0)) return usual;
  const double rate =
      1.5 * (static_cast<double>(counts.control_lately) + 0.5) / counts.control_host_hours_lately;
  return std::max(usual, PoissonTail(rate * hours, static_cast<double>(counts.rate.bad)));
}

bool IsSuspect(const RateGate& gate, const CrashCounts& counts, bool of_release) {
  RateGate one = gate;
  one.min_count = std::min<int64_t>(gate.min_count, 1);
  if (counts.rate.bad <= 0 || !IsBreached(one, counts.rate)) return false;
  const double share = of_release ? 0.5 : 0.5 / static_cast<double>(std::max<int64_t>(1, counts.scopes - 1));
  const double of_this_look = std::exp2(-static_cast<double>(counts.rate.bad));
  return ChanceOfSoMany(counts) < kCrashHoldChance * share * of_this_look * SpentIn(counts.windows);
}

bool IsBreached(const SilenceGate& gate, const SilenceCounts& counts) {
  return Exceeds(gate, counts, counts.all, gate.min_count, kChance) ||
         Exceeds(gate, counts, counts.unannounced, gate.min_count, kChance);
}

bool IsSuspect(const SilenceGate& gate, const SilenceCounts& counts) {
  const bool novel = counts.exposed < kNovelHosts;
  const int64_t least = std::min(gate.min_count, novel ? kNovelCount : kSuspectCount);
  const double chance = std::max(kChance, (novel ? kNovelChance : kSuspectChance) * SpentIn(counts.windows));
  return Exceeds(gate, counts, counts.all, least, chance) ||
         Exceeds(gate, counts, counts.unannounced, least, chance);
}

}  // namespace ringfence::policy
