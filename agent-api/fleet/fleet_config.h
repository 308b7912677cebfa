// What the simulated fleet is made of, and what is wrong with which release. docs/agent.md has a commented
// example.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace ringfence::fleet {

// One of some values, by weight: {win10: 0.6, win11: 0.4}.
struct Mix {
  std::vector<std::pair<std::string, double>> values;
};

struct TenantConfig {
  std::string name;
  int hosts = 0;
  // Value of the label `ring` by share of the tenant's hosts, in order; the last takes the rest. Empty: no
  // such label.
  std::vector<std::pair<std::string, double>> rings;
  std::map<std::string, Mix> labels;
};

enum class FaultEffect : uint8_t {
  kSilent,    // never heard again
  kCrash,     // reports a crash, is away for `down_for`, boots anew
  kDegraded,  // reports a bad metric
};

// Harm that a release does to a host that runs it. Delays are real time.
struct FaultConfig {
  std::string channel;                       // empty: any
  std::string version;                       // empty: any version but the factory's
  std::map<std::string, std::string> match;  // labels the host must have
  FaultEffect effect = FaultEffect::kSilent;
  double probability = 1;  // drawn once for each host
  absl::Duration delay_min, delay_max;
  absl::Duration down_for = absl::Seconds(5);
  std::string metric = "cpu";
};

struct FleetConfig {
  uint64_t seed = 1;
  int connections = 8;                     // TCP connections that the agents share
  absl::Duration ramp = absl::Seconds(4);  // hosts start spread over this
  std::vector<std::string> channels;       // each host runs a factory version in these
  std::vector<TenantConfig> tenants;
  std::vector<FaultConfig> faults;
};

// InvalidArgument, with line and column, for anything unknown or out of range.
absl::StatusOr<FleetConfig> ParseFleetConfig(const std::string& yaml);

}  // namespace ringfence::fleet
