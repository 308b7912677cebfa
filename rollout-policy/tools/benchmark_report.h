// A benchmark's results for people, as a table, and for programs, as one JSON object.
#pragma once

#include <string>
#include <vector>

#include "rollout-policy/tools/benchmark_run.h"

namespace ringfence::tools {

struct BenchmarkReport {
  std::vector<ScenarioResult> results = {};
  std::vector<BenchmarkFile::RefusedScenario> refused = {};
  double wall_seconds = 0;

  // Something was run, nothing refused, every bound holds.
  bool passed() const;
};

// One line per scenario with the reference beside it, then totals by kind.
std::string ToTable(const BenchmarkReport& report);
std::string ToJson(const BenchmarkReport& report);

}  // namespace ringfence::tools
