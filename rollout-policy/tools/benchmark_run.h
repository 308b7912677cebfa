// Many rollouts of every scenario of a benchmark, and what they say beside what was expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rollout-policy/tools/benchmark_rollout.h"
#include "rollout-policy/tools/benchmark_scenario.h"

namespace ringfence::tools {

struct ScenarioResult {
  const BenchmarkScenario* scenario = nullptr;
  int64_t rollouts = 0;
  int64_t stops = 0, halts = 0;  // halts: at any time
  int64_t holds = 0;             // first stop was a hold
  int64_t holds_by_guard = 0;
  int64_t cohort_suspected = 0;  // among the stops
  double harmed_median = 0, harmed_p95 = 0;
  std::optional<double> stop_tick_median;
  std::optional<double> complete_tick_median;
  int64_t spells = 0;
  double cpu_seconds = 0;
  std::vector<std::string> failed;  // each bound that does not hold, in words
  bool passed() const { return failed.empty(); }
};

struct RunOptions {
  int64_t rollouts = 0;  // 0: as many as the scenario's expectations are for
  int threads = 1;
  uint64_t seed = 1;  // equal seeds give equal results, whatever the threads
};

// `scenarios` must outlive the results.
std::vector<ScenarioResult> RunBenchmark(const std::vector<const BenchmarkScenario*>& scenarios,
                                         const RunOptions& options);

// From results in the order of their seeds: the figures, and the bounds that do not hold.
ScenarioResult Summarize(const BenchmarkScenario& scenario, const std::vector<RolloutResult>& rollouts);

// The most stops among `rollouts` that a true rate exceeds with probability below `doubt`. The page's bounds
// for good releases are such numbers (halts: rate 0.001, doubt 0.004; holds: 0.01, 0.01); at another number
// of rollouts than the file's the bound is computed anew.
int64_t MostStops(int64_t rollouts, double rate, double doubt);

// Nearest rank; 0 of nothing. `values` is sorted by the call.
double Quantile(std::vector<double>& values, double q);

}  // namespace ringfence::tools
