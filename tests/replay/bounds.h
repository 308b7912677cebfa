// Metrics of a run, and whether they keep the scenario's bounds. From what happened to the hosts; the few
// that the format marks "server record" from the server's decisions.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "server/simulate/fleet.h"
#include "server/simulate/ledger.h"
#include "server/simulate/scenario.h"
#include "server/simulate/server.h"

namespace ringfence::replay {

struct ServerRecord {
  std::vector<storage::DecisionRow> decisions;  // oldest first
  std::vector<storage::AuditRow> audit;
  // By version: where each lease was given.
  std::map<uint16_t, std::vector<storage::ExposureRow>> exposures;
  std::map<uint16_t, bool> stopped;
};

struct RunView {
  const Scenario& scenario;
  const Fleet& fleet;
  const Ledger& ledger;
  const ServerRecord& record;
  Server* server;  // for Explain; may be null
  // A second run, in which people excluded a cohort after the first halt and resumed; null: none was made.
  const Ledger* resumed = nullptr;
};

// A number, a truth, a word, or nothing where the feature that it measures does not exist (`why` says which).
struct MetricValue {
  std::variant<std::monostate, double, bool, std::string> value;
  std::string why;
};

MetricValue Measure(const RunView& run, const Bound& bound);
bool Holds(const Bound& bound, const MetricValue& value);
std::string ToString(const MetricValue& value);
// "harmed_hosts: 57; wanted at most 40".
std::string Describe(const Bound& bound, const MetricValue& value);

// Reads what the server wrote down.
absl::StatusOr<ServerRecord> ReadRecord(const Ledger& ledger, Server& server);

}  // namespace ringfence::replay
