// Test R, guard A, gauge B and their combination: health-analysis.md sections 3 to 6. State is a few numbers
// per cell and channel; vectors of replicas add; exp is taken only for the combination. Golden vectors:
// tests/data/health.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace ringfence::policy {

inline constexpr std::array<double, 6> kTheta = {1.2, 1.5, 3, 15, 100, 3000};
inline constexpr std::array<double, 5> kGuardWeights = {.15, .15, .20, .20, .30};
inline constexpr std::array<double, 5> kLambda = {.05, .1, .2, .4, .8};

enum class HealthChannel : uint8_t { kSilence = 0, kCrash = 1, kSilenceSoak = 2, kCrashSoak = 3, kGauge = 4 };
inline constexpr int kHealthChannels = 5;
inline constexpr std::array<double, kHealthChannels> kChannelWeights = {.40, .20, .15, .15, .10};
const char* Name(HealthChannel channel);

inline constexpr double kBrakeAt = 10.0;
inline constexpr double kHoldAt = 100.0;
inline constexpr double kHaltAt = 1000.0;

// log of the weighted mean of exp(l), without overflow.
double LogMix(absl::Span<const double> l, absl::Span<const double> weights);

// What one bad event adds to the log evidence for the risk ratio `theta`: 0 unless 0 < pi < 1 (no coin, no
// evidence).
double RIncrement(bool treated, double pi, double rho0, double theta);

// Test R for one channel and scope.
struct RVector {
  std::array<double, 6> l{};

  // One bad event of a spell drawn with probability `pi` of T. rho0: the harmless risk ratio that is
  // tolerated.
  void AddBad(bool treated, double pi, double rho0);
  void Merge(const RVector& other);
  double LogE() const;  // log of the mean of exp(l)
};

// pi/(pi+phi), or 1 where nothing could be drawn.
double PiSoak(double pi, double phi);

// Counts of control spells: bad and all.
struct ControlCounts {
  double bad = 0;
  double all = 0;
};

// Earlier buckets fade by 0.98 and take in this one.
ControlCounts Decay(const ControlCounts& history, const ControlCounts& bucket);

// The bound p-bar on the bad share of harmless T spells; nullopt: frozen (bound above one half, or fewer than
// two concurrent controls of the scope itself). Cell counts are given for a cell's guard only.
struct GuardInput {
  double p_hist = 0.02;
  ControlCounts history = {};  // S, N: decayed, all cells
  ControlCounts bucket = {};   // s, n: this bucket
  std::optional<ControlCounts> cell_history = std::nullopt;
  std::optional<ControlCounts> cell_bucket = std::nullopt;
};
std::optional<double> GuardBound(const GuardInput& input);

// Guard A for one channel and scope: may only hold.
struct GuardVector {
  std::array<double, 5> l{};

  static std::array<double, 5> Grid(double p_bar);
  // One matured T spell. Frozen (nullopt) changes nothing.
  void Resolve(std::optional<double> p_bar, bool bad);
  void Merge(const GuardVector& other);
  double LogE() const;
};

// Gauge B for one scope.
struct GaugeVector {
  std::array<double, 5> l{};

  // x in [0,1] is clipped; c was fixed before the draw. Without effect unless 0 < pi < 1.
  void AddValue(bool treated, double pi, double x, double c);
  void Merge(const GaugeVector& other);
  double LogE() const;
};
double MissedCheckInGauge(int64_t heard, int64_t expected);

// Evidence of one channel: E of the whole release, and of each cell. Given as logs; capped at 60 before exp.
struct ChannelEvidence {
  HealthChannel channel = HealthChannel::kSilence;
  double log_e_release = 0.0;
  std::vector<double> log_e_cells = {};
};

int64_t KMax(int64_t cells_at_start);  // max(64, ceil(1.25 · cells))

// M: the fixed-weight mean over channels of half release, half cells; a channel that is not given counts 1.
double Combine(absl::Span<const ChannelEvidence> channels, int64_t k_max);

// Is a cell named, at the proven level? (channel, E) of that cell; a missing channel counts 1.
bool IsNamed(absl::Span<const std::pair<HealthChannel, double>> cell, int64_t k_max);

enum class HealthAction : uint8_t { kNone = 0, kBrake = 1, kHold = 2, kHalt = 3 };
const char* Name(HealthAction action);
HealthAction ActionFor(double m_r, double m_a, bool activation_failures);

}  // namespace ringfence::policy
