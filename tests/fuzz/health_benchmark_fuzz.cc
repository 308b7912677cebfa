// Benchmark files: any bytes are either refused with a message or scenarios within their limits; a small one
// that is accepted also runs to its end.
#include <string>

#include "absl/strings/string_view.h"
#include "ringfence/base/check.h"
#include "rollout-policy/tools/benchmark_rollout.h"
#include "rollout-policy/tools/benchmark_scenario.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence::tools;
  const auto parsed = ParseBenchmark({reinterpret_cast<const char*>(data), size});
  if (!parsed.ok()) {
    RF_CHECK(parsed.status().code() == absl::StatusCode::kInvalidArgument &&
             !parsed.status().message().empty());
    return 0;
  }
  for (const auto& refused : parsed->refused) RF_CHECK(!refused.why.ok() && !refused.why.message().empty());
  int runs = 0;
  for (const BenchmarkScenario& scenario : parsed->scenarios) {
    RF_CHECK(scenario.fleet.hosts >= 1 && !scenario.fleet.classes.empty());
    RF_CHECK(scenario.timing.d_s > scenario.timing.a_s);
    const int64_t cells = int64_t{scenario.fleet.label_dims} * scenario.fleet.label_values;
    if (scenario.fleet.hosts > 200 || scenario.timing.max_ticks > 100 || cells > 1000 || ++runs > 3) continue;
    const RolloutResult result = RunRollout(scenario, 1);
    RF_CHECK(result.harmed >= 0 && result.harmed <= scenario.fleet.hosts);
  }
  return 0;
}
