#include "fleet_config.h"

#include <yaml-cpp/yaml.h>

#include <set>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/ids.h"

namespace ringfence::fleet {
namespace {

// Thrown and caught in this file only: yaml-cpp speaks exceptions anyway.
[[noreturn]] void Fail(const YAML::Node& node, const std::string& what) {
  throw std::runtime_error(
      absl::StrCat("line ", node.Mark().line + 1, ", column ", node.Mark().column + 1, ": ", what));
}

void Only(const YAML::Node& map, const std::set<std::string>& keys) {
  if (!map.IsMap()) Fail(map, "wanted a map");
  for (const auto& entry : map) {
    if (keys.count(entry.first.as<std::string>()) == 0) {
      Fail(entry.first, absl::StrCat("unknown key '", entry.first.as<std::string>(), "', wanted one of ",
                                     absl::StrJoin(keys, ", ")));
    }
  }
}

template <typename T>
T As(const YAML::Node& node, const char* wanted) {
  try {
    return node.as<T>();
  } catch (const YAML::Exception&) {
    Fail(node, absl::StrCat("wanted ", wanted));
  }
}

absl::Duration DurationOf(const YAML::Node& node) {
  absl::Duration duration;
  if (!absl::ParseDuration(As<std::string>(node, "a duration such as 5s"), &duration) ||
      duration < absl::ZeroDuration()) {
    Fail(node, "wanted a duration such as 5s");
  }
  return duration;
}

double ShareOf(const YAML::Node& node) {
  const double share = As<double>(node, "a share from 0 to 1");
  if (!(share >= 0 && share <= 1)) Fail(node, "wanted a share from 0 to 1");
  return share;
}

Mix MixOf(const YAML::Node& node) {
  Mix mix;
  if (node.IsScalar()) {
    mix.values.emplace_back(node.Scalar(), 1.0);
  } else if (node.IsMap() && node.size() > 0) {
    for (const auto& entry : node)
      mix.values.emplace_back(entry.first.as<std::string>(), ShareOf(entry.second));
  } else {
    Fail(node, "wanted a value, or values with their shares");
  }
  return mix;
}

TenantConfig TenantOf(const YAML::Node& node) {
  Only(node, {"name", "hosts", "rings", "labels"});
  TenantConfig tenant;
  tenant.name = As<std::string>(node["name"], "a name");
  if (!IsSlug(tenant.name)) Fail(node["name"], "wanted 1 to 63 of a-z, 0-9 and -");
  tenant.hosts = As<int>(node["hosts"], "a number of hosts");
  if (tenant.hosts < 0 || tenant.hosts > 1'000'000) Fail(node["hosts"], "wanted 0 to 1000000 hosts");
  if (node["rings"]) {
    for (const auto& entry : node["rings"])
      tenant.rings.emplace_back(entry.first.as<std::string>(), ShareOf(entry.second));
  }
  if (node["labels"]) {
    for (const auto& entry : node["labels"])
      tenant.labels[entry.first.as<std::string>()] = MixOf(entry.second);
  }
  return tenant;
}

FaultConfig FaultOf(const YAML::Node& node) {
  Only(node, {"channel", "version", "match", "effect", "probability", "delay", "down_for", "metric"});
  FaultConfig fault;
  if (node["channel"]) fault.channel = As<std::string>(node["channel"], "a channel");
  if (node["version"]) fault.version = As<std::string>(node["version"], "a version");
  if (node["match"]) fault.match = As<std::map<std::string, std::string>>(node["match"], "labels");
  const std::string effect = As<std::string>(node["effect"], "silent, crash or degraded");
  if (effect == "silent") {
    fault.effect = FaultEffect::kSilent;
  } else if (effect == "crash") {
    fault.effect = FaultEffect::kCrash;
  } else if (effect == "degraded") {
    fault.effect = FaultEffect::kDegraded;
  } else {
    Fail(node["effect"], "wanted silent, crash or degraded");
  }
  if (node["probability"]) fault.probability = ShareOf(node["probability"]);
  if (node["delay"]) {
    const YAML::Node& delay = node["delay"];
    if (delay.IsSequence() && delay.size() == 2) {
      fault.delay_min = DurationOf(delay[0]);
      fault.delay_max = DurationOf(delay[1]);
    } else {
      fault.delay_min = fault.delay_max = DurationOf(delay);
    }
  }
  if (node["down_for"]) fault.down_for = DurationOf(node["down_for"]);
  if (node["metric"]) fault.metric = As<std::string>(node["metric"], "a metric");
  return fault;
}

FleetConfig ConfigOf(const YAML::Node& root) {
  Only(root, {"seed", "connections", "ramp", "channels", "tenants", "faults"});
  FleetConfig config;
  if (root["seed"]) config.seed = As<uint64_t>(root["seed"], "a number");
  if (root["connections"]) config.connections = As<int>(root["connections"], "a number");
  if (config.connections < 1 || config.connections > 1000) Fail(root["connections"], "wanted 1 to 1000");
  if (root["ramp"]) config.ramp = DurationOf(root["ramp"]);
  config.channels = {"content"};
  if (root["channels"])
    config.channels = As<std::vector<std::string>>(root["channels"], "a list of channels");
  for (const YAML::Node& tenant : root["tenants"]) config.tenants.push_back(TenantOf(tenant));
  if (config.tenants.empty()) Fail(root, "wanted at least one of tenants");
  for (const YAML::Node& fault : root["faults"]) config.faults.push_back(FaultOf(fault));
  return config;
}

}  // namespace

absl::StatusOr<FleetConfig> ParseFleetConfig(const std::string& yaml) {
  try {
    return ConfigOf(YAML::Load(yaml));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

}  // namespace ringfence::fleet
