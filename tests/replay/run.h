// One run of one scenario with one seed: makes the fleet and the server, runs the world, judges the bounds.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "bounds.h"
#include "server/simulate/scenario.h"
#include "server/storage/store.h"

namespace ringfence::replay {

struct RunOptions {
  double scale = 1;
  bool wire = false;           // the fleet and its people call the server over gRPC
  bool without_gates = false;  // the plans have no SLO gates; cohort keys stay
  bool push_to_all = false;    // the stub instead of the server; checks `calibration` instead of `acceptance`
  int followers = 0;           // with wire: through so many replicas that follow the server
};

struct RunResult {
  std::string scenario;
  uint64_t seed = 0;
  bool passed = false;
  std::map<std::string, MetricValue> metrics;
  std::vector<std::string> failed;             // what did not hold, one sentence each
  std::map<std::string, std::string> stretch;  // "held", "missed: ...", "unsupported"
  std::vector<std::string> notes;      // what a reader should know: server errors, decisions (verbose)
  std::vector<std::string> decisions;  // the server's, one line each
  int64_t hosts = 0;
  int64_t checkins = 0;
  int64_t leases_granted = 0;
  double wall_seconds = 0;
  double micros_per_checkin = 0;
};

// Makes the store of one run. Called from the thread that runs it.
using StoreMaker = absl::FunctionRef<absl::StatusOr<std::unique_ptr<storage::Store>>()>;

RunResult RunScenario(const Scenario& scenario, uint64_t seed, const RunOptions& options,
                      StoreMaker make_store);

}  // namespace ringfence::replay
