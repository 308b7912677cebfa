// The scenarios of a benchmark file, format `staged-rollout-health-benchmark/2` (docs/health-analysis.md,
// section 15): a fleet, its background noise, a fault, a policy, and what is expected over many seeds.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::tools {

inline constexpr absl::string_view kBenchmarkFormat = "staged-rollout-health-benchmark/2";

struct FleetSpec {
  int64_t hosts = 0;
  struct Class {
    std::string name;
    double fraction = 0.0;
  };
  std::vector<Class> classes;  // fractions sum to 1
  int label_dims = 0;
  int label_values = 1;
  double cohort_fraction = 0.0;  // hosts with the special value; 0: none is special
  int64_t cohort_online_from_tick = 0;
  double request_probability = 1.0;
};

struct TimingSpec {
  double tick_s = 60;
  double a_s = 75;
  double d_s = 225;
  int64_t max_ticks = 600;
};

enum class Pattern : uint8_t { kFlat, kDiurnal, kOutage };

// Silence and crash are drawn per spell.
struct SpellNoise {
  double silence = 0.0;
  double crash = 0.0;
};

// Gaps without check-ins, and crashes, happen to hosts tick by tick.
struct TimelineNoise {
  std::vector<double> gap_per_tick;  // by class
  struct GapLength {
    double least = 0.0;
    double mean_more = 0.0;  // of an exponential
  };
  std::vector<GapLength> gap_ticks;  // by class
  double crash_per_tick = 0.0;
};

struct BackgroundSpec {
  std::variant<SpellNoise, TimelineNoise> noise;
  Pattern pattern = Pattern::kFlat;
  struct Outage {  // of all hosts with the special value
    double fraction = 0.0;
    int64_t ticks = 0;
    std::array<int64_t, 2> start_tick{};
  };
  std::optional<Outage> outage;
  struct Noisy {  // hosts with the special value
    double fraction = 0.05;
    double factor = 1.0;
  };
  std::optional<Noisy> noisy;
};

enum class FaultKind : uint8_t { kNone, kBrick, kBrickDelayed, kBootLoop };

struct FaultSpec {
  FaultKind kind = FaultKind::kNone;
  double probability = 0.0;
  bool cohort_only = false;
  double onset_median_ticks = 1.0;  // brick_delayed: lognormal
  double onset_sigma = 0.0;
  double crash_report = 0.0;
  double cycle_ticks = 1.0;  // boot_loop
  double heard_per_tick = 1.0;
};

struct WaveSpec {
  std::vector<double> shares;
  int64_t min_first = 0;
  int64_t floor_ticks = 0;
};

struct PhantomSpec {
  std::vector<double> ratios;
  std::vector<double> until_exposed;
  double lock_max = 0.5;
  int64_t soak_ticks = 0;
  int64_t gap_ticks = 5;
};

struct PolicySpec {
  double rho0 = 1.0;
  std::optional<WaveSpec> waves;
  std::optional<PhantomSpec> phantoms;
  int64_t hold_revert_ticks = 30;
};

// What must hold over `rollouts` seeds; absent: not asked for.
struct ExpectSpec {
  int64_t rollouts = 1;
  std::optional<double> stop_rate_min;
  std::optional<double> harmed_median_max;
  std::optional<double> harmed_p95_max;
  std::optional<double> stop_tick_median_max;
  std::optional<double> cohort_top_min;
  std::optional<int64_t> halts_max;
  std::optional<int64_t> holds_max;
  std::optional<double> complete_tick_median_max;
};

// What somebody's simulation measured; printed beside our figures, never judged.
struct ReferenceSpec {
  std::optional<double> stop_rate, halt_rate, harmed_median, harmed_p95, stop_tick_median,
      complete_tick_median;
};

struct BenchmarkScenario {
  std::string id;
  std::string text;
  FleetSpec fleet;
  TimingSpec timing;
  BackgroundSpec background;
  FaultSpec fault;
  PolicySpec policy;
  ExpectSpec expect;
  ReferenceSpec reference;
};

struct BenchmarkFile {
  std::vector<BenchmarkScenario> scenarios;
  // Scenarios that are not understood whole: a field that is not known, a wrong type, a number out of range.
  // Each is an InvalidArgument that names the scenario, the field and what was wanted. They count as failed:
  // a bound that is not understood is a bound that is not checked.
  struct RefusedScenario {
    std::string id;
    absl::Status why;
  };
  std::vector<RefusedScenario> refused;
};

// InvalidArgument when the text is no benchmark file of this format.
absl::StatusOr<BenchmarkFile> ParseBenchmark(absl::string_view json_text);

}  // namespace ringfence::tools
