// An incident that happened, as data: what it did to which hosts. The files in incidents/ are part of the
// program; docs/plans.md, "The time machine", explains the format `ringfence-incident/1`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/simulate/scenario.h"

namespace ringfence::replay {

struct Incident {
  std::string id;
  std::string date;  // "2024-07-19"
  std::string title;
  std::string what_happened;
  std::string assumed;  // what no source says and the model supposes
  std::vector<std::string> sources;
  std::string channel;  // content or sensor
  // Whom it hits, in the words of different fleets: the first that matches some host of the mix is meant.
  std::vector<policy::Selector> hosts;
  OnlineModel online;
  Micros pushed_for = 0;  // how long the real push went on
  FaultSpec fault;        // but for `match`
};

struct IncidentFile {
  const char* name;
  const char* text;
};
absl::Span<const IncidentFile> IncidentFiles();

// InvalidArgument "NAME:LINE: PATH: ..." for anything that the format does not know.
absl::StatusOr<Incident> ParseIncident(const std::string& name, const std::string& yaml);
// Those that are part of the program, by date. A test parses them all.
absl::StatusOr<std::vector<Incident>> ShippedIncidents();

}  // namespace ringfence::replay
