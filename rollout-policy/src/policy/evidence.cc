#include "ringfence/policy/evidence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

// e^60 is far above every level and far below overflow, however many channels and cells are added.
constexpr double kLargestLog = 60.0;

constexpr double kGuardFloor = 0.002;
constexpr double kGuardSlack = 1.5;
constexpr double kGuardCeiling = 0.5;
constexpr double kSurest = 0.98;

// Where the weights are equal the mean needs none.
template <size_t N>
double LogMean(const std::array<double, N>& l) {
  static const std::array<double, N> kEqual = [] {
    std::array<double, N> weights{};
    weights.fill(1.0 / N);
    return weights;
  }();
  return LogMix(l, kEqual);
}

template <size_t N>
void AddTo(std::array<double, N>& l, const std::array<double, N>& other) {
  for (size_t i = 0; i < N; ++i) l[i] += other[i];
}

// The two terms of concurrent and recent control, applied to the bound so far.
double RaisedBy(double bound, double p_hist, const ControlCounts& history, const ControlCounts& bucket) {
  if (history.bad >= 2) bound = std::max(bound, kGuardSlack * (history.bad + 0.5) / (history.all + 1));
  if (bucket.bad >= 2 || (bucket.bad >= 1 && bucket.all * p_hist < 0.1)) {
    bound = std::max(bound, kGuardSlack * (bucket.bad + 0.5) / (bucket.all + 1));
  }
  return bound;
}

double CappedExp(double log_e) {
  return std::exp(std::min(kLargestLog, log_e));
}

// Half the release, half the mean over K_max slots of cells, of which the empty ones count 1.
double ScopeValue(const ChannelEvidence& evidence, int64_t k_max) {
  const int64_t cells = static_cast<int64_t>(evidence.log_e_cells.size());
  // Never more cells than slots (later values share one cell); were there more, it stays a mean.
  const int64_t slots = std::max({k_max, cells, int64_t{1}});
  double sum = static_cast<double>(slots - cells);
  for (const double log_e : evidence.log_e_cells) sum += CappedExp(log_e);
  return 0.5 * CappedExp(evidence.log_e_release) + 0.5 * sum / static_cast<double>(slots);
}

}  // namespace

const char* Name(HealthChannel channel) {
  switch (channel) {
    case HealthChannel::kSilence:
      return "silence";
    case HealthChannel::kCrash:
      return "crash";
    case HealthChannel::kSilenceSoak:
      return "silence_soak";
    case HealthChannel::kCrashSoak:
      return "crash_soak";
    case HealthChannel::kGauge:
      return "gauge";
  }
  return "unknown";
}

double LogMix(absl::Span<const double> l, absl::Span<const double> weights) {
  RF_CHECK(!l.empty() && l.size() == weights.size());
  const double largest = *std::max_element(l.begin(), l.end());
  if (std::isinf(largest)) return largest;
  double sum = 0.0;
  for (size_t i = 0; i < l.size(); ++i) sum += weights[i] * std::exp(l[i] - largest);
  return largest + std::log(sum);
}

double RIncrement(bool treated, double pi, double rho0, double theta) {
  // With pi = 0 or 1 there was no coin, so the arm tells nothing.
  if (!(pi > 0.0 && pi < 1.0)) return 0.0;
  return (treated ? std::log(theta) : 0.0) + std::log1p(pi * (rho0 - 1.0)) -
         std::log1p(pi * (rho0 * theta - 1.0));
}

void RVector::AddBad(bool treated, double pi, double rho0) {
  for (size_t i = 0; i < l.size(); ++i) l[i] += RIncrement(treated, pi, rho0, kTheta[i]);
}

void RVector::Merge(const RVector& other) {
  AddTo(l, other.l);
}

double RVector::LogE() const {
  return LogMean(l);
}

double PiSoak(double pi, double phi) {
  return phi > 0.0 ? pi / (pi + phi) : 1.0;
}

ControlCounts Decay(const ControlCounts& history, const ControlCounts& bucket) {
  constexpr double kKept = 0.98;
  return {history.bad * kKept + bucket.bad, history.all * kKept + bucket.all};
}

std::optional<double> GuardBound(const GuardInput& input) {
  double bound = std::max(kGuardFloor, kGuardSlack * input.p_hist);
  bound = RaisedBy(bound, input.p_hist, input.history, input.bucket);
  double concurrent = input.bucket.all;
  if (input.cell_bucket.has_value()) {
    bound = RaisedBy(bound, input.p_hist, input.cell_history.value_or(ControlCounts{}), *input.cell_bucket);
    concurrent = input.cell_bucket->all;
  }
  if (!(bound <= kGuardCeiling) || !(concurrent >= 2)) return std::nullopt;
  return bound;
}

std::array<double, 5> GuardVector::Grid(double p_bar) {
  const double least = std::min(kSurest, 1.5 * p_bar);
  std::array<double, 5> grid = {3 * p_bar, 10 * p_bar, 0.2, 0.5, kSurest};
  for (double& p : grid) p = std::min(kSurest, std::max(p, least));
  return grid;
}

void GuardVector::Resolve(std::optional<double> p_bar, bool bad) {
  if (!p_bar.has_value()) return;
  const std::array<double, 5> grid = Grid(*p_bar);
  for (size_t i = 0; i < l.size(); ++i) {
    l[i] += bad ? std::log(grid[i] / *p_bar) : std::log1p(-grid[i]) - std::log1p(-*p_bar);
  }
}

void GuardVector::Merge(const GuardVector& other) {
  AddTo(l, other.l);
}

double GuardVector::LogE() const {
  return LogMix(l, kGuardWeights);
}

void GaugeVector::AddValue(bool treated, double pi, double x, double c) {
  if (!(pi > 0.0 && pi < 1.0) || std::isnan(x)) return;
  const double z = ((treated ? 1.0 : 0.0) - pi) * (std::clamp(x, 0.0, 1.0) - c) / std::max(pi, 1.0 - pi);
  for (size_t i = 0; i < l.size(); ++i) l[i] += std::log1p(kLambda[i] * z);
}

void GaugeVector::Merge(const GaugeVector& other) {
  AddTo(l, other.l);
}

double GaugeVector::LogE() const {
  return LogMean(l);
}

double MissedCheckInGauge(int64_t heard, int64_t expected) {
  if (expected <= 0) return 0.0;
  return 1.0 - std::min(1.0, static_cast<double>(heard) / static_cast<double>(expected));
}

int64_t KMax(int64_t cells_at_start) {
  // ceil(1.25 · cells) in integers.
  return std::max<int64_t>(64, cells_at_start + (cells_at_start + 3) / 4);
}

double Combine(absl::Span<const ChannelEvidence> channels, int64_t k_max) {
  std::array<double, kHealthChannels> values{};
  values.fill(1.0);
  for (const ChannelEvidence& evidence : channels) {
    values[static_cast<size_t>(evidence.channel)] = ScopeValue(evidence, k_max);
  }
  double m = 0.0;
  for (size_t i = 0; i < values.size(); ++i) m += kChannelWeights[i] * values[i];
  return m;
}

bool IsNamed(absl::Span<const std::pair<HealthChannel, double>> cell, int64_t k_max) {
  std::array<double, kHealthChannels> values{};
  values.fill(1.0);
  for (const auto& [channel, e] : cell) values[static_cast<size_t>(channel)] = e;
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) sum += kChannelWeights[i] * values[i];
  return 0.5 / static_cast<double>(k_max) * sum >= kHaltAt;
}

const char* Name(HealthAction action) {
  switch (action) {
    case HealthAction::kNone:
      return "none";
    case HealthAction::kBrake:
      return "brake";
    case HealthAction::kHold:
      return "hold";
    case HealthAction::kHalt:
      return "halt";
  }
  return "unknown";
}

HealthAction ActionFor(double m_r, double m_a, bool activation_failures) {
  if (m_r >= kHaltAt) return HealthAction::kHalt;
  // Evidence that is no number cannot be judged: hold.
  if (m_r >= kHoldAt || m_a >= kHoldAt || activation_failures || std::isnan(m_r) || std::isnan(m_a)) {
    return HealthAction::kHold;
  }
  return m_r >= kBrakeAt ? HealthAction::kBrake : HealthAction::kNone;
}

}  // namespace ringfence::policy
