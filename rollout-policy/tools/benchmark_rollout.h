// One rollout of a benchmark scenario: the product's own judge and governor over simulated hosts, under a
// virtual clock. Equal scenarios and seeds give equal results.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rollout-policy/tools/benchmark_scenario.h"

namespace ringfence::tools {

struct RolloutResult {
  // The first stop, hold or halt.
  std::optional<int64_t> stop_tick = std::nullopt;
  bool first_was_hold = false;
  bool halted = false;    // at any time
  std::string rule = {};  // of the first stop
  bool cohort_suspected = false;
  int64_t harmed = 0;
  std::optional<int64_t> complete_tick = std::nullopt;  // 98 % exposed
  int64_t spells = 0;
};

RolloutResult RunRollout(const BenchmarkScenario& scenario, uint64_t seed);

}  // namespace ringfence::tools
