// fleet, and the values that all sections share: selectors, labels, distributions.
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/simulate/scenario_sections.h"

namespace ringfence::replay {
namespace {

ChannelPolicy ParsePolicy(const Field& field) {
  const std::string text = field.Text();
  ChannelPolicy policy;
  absl::string_view pin = text;
  if (text == "latest" || text == "n") return policy;
  if (text == "n-1" || text == "n-2") {
    policy.lag = text == "n-1" ? 1 : 2;
  } else if (text == "paused") {
    policy.mode = policy::ChannelMode::kPaused;
  } else if (absl::ConsumePrefix(&pin, "pinned:") && !pin.empty()) {
    policy.mode = policy::ChannelMode::kPinned;
    policy.pinned_version = std::string(pin);
  } else {
    field.Fail(absl::StrCat("\"", text, "\"; wanted latest, n, n-1, n-2, paused or pinned:VERSION"));
  }
  return policy;
}

void ParseAgent(const Field& field, FleetSpec& fleet) {
  field.AllowKeys({"checkin", "download", "activate_delay"});
  fleet.checkin_seconds = static_cast<double>(field.At("checkin").Duration()) / kSecond;
  if (fleet.checkin_seconds < 1) field.At("checkin").Fail("wanted at least 1s");
  if (const auto download = field.Find("download")) fleet.download = ParseDistribution(*download);
  if (const auto delay = field.Find("activate_delay")) fleet.activate_delay = ParseDistribution(*delay);
}

void ParseOnline(const Field& field, OnlineModel& online) {
  field.AllowKeys({"at_start", "amplitude", "mean_session", "clean_shutdown_notice"});
  online.at_start = field.At("at_start").Share();
  if (const auto amplitude = field.Find("amplitude")) online.amplitude = amplitude->Share();
  if (const auto session = field.Find("mean_session")) {
    online.mean_session_seconds = static_cast<double>(session->Duration()) / kSecond;
    if (online.mean_session_seconds <= 0) session->Fail("wanted more than 0");
  }
  if (const auto goodbye = field.Find("clean_shutdown_notice")) online.goodbye_share = goodbye->Share();
}

CohortSpec ParseCohort(const Field& field) {
  field.AllowKeys({"name", "share", "labels"});
  CohortSpec cohort;
  cohort.name = field.At("name").Text();
  cohort.share = field.At("share").Share();
  cohort.labels = ParseLabels(field.At("labels"));
  return cohort;
}

TenantSpec ParseTenant(const Field& field, const std::set<std::string>& cohorts) {
  field.AllowKeys({"name", "share", "policy", "cohort_shares"});
  TenantSpec tenant;
  tenant.name = field.At("name").Slug();
  tenant.share = field.At("share").Share();
  if (const auto policy = field.Find("policy")) {
    policy->AllowKeys({"content", "sensor"});
    if (const auto content = policy->Find("content")) tenant.content = ParsePolicy(*content);
    if (const auto sensor = policy->Find("sensor")) tenant.sensor = ParsePolicy(*sensor);
  }
  if (const auto shares = field.Find("cohort_shares")) {
    for (const auto& [name, share] : shares->Entries()) {
      if (!cohorts.contains(name)) share.Fail("no cohort of that name");
      tenant.cohort_shares[name] = share.Share();
    }
  }
  return tenant;
}

}  // namespace

policy::Selector ParseSelector(const Field& field) {
  policy::Selector selector;
  for (const auto& [key, values] : field.Entries()) {
    policy::Requirement requirement{key, values.Texts()};
    if (requirement.any_of.empty()) values.Fail("wanted at least one value");
    selector.all_of.push_back(std::move(requirement));
  }
  return selector;
}

LabelPairs ParseLabels(const Field& field) {
  LabelPairs labels;
  for (const auto& [key, values] : field.Entries()) {
    for (std::string& value : values.Texts()) labels.emplace_back(key, std::move(value));
  }
  return labels;
}

Distribution ParseDistribution(const Field& field) {
  const auto seconds = [&field](absl::string_view key) {
    return static_cast<double>(field.At(key).Duration()) / kSecond;
  };
  Distribution result;
  if (field.IsScalar()) {
    result.a = static_cast<double>(field.Duration()) / kSecond;
    return result;
  }
  switch (field.At("dist").OneOf({"fixed", "uniform", "exponential", "lognormal"})) {
    case 0:
      field.AllowKeys({"dist", "value"});
      result.a = seconds("value");
      break;
    case 1:
      field.AllowKeys({"dist", "min", "max"});
      result = {Distribution::Kind::kUniform, seconds("min"), seconds("max")};
      if (result.b < result.a) field.Fail("max is below min");
      break;
    case 2:
      field.AllowKeys({"dist", "mean"});
      result = {Distribution::Kind::kExponential, seconds("mean"), 0};
      break;
    default:
      field.AllowKeys({"dist", "median", "sigma"});
      result = {Distribution::Kind::kLognormal, seconds("median"), field.At("sigma").NonNegative()};
      break;
  }
  return result;
}

FleetSpec ParseFleet(const Field& field) {
  field.AllowKeys({"size", "agent", "online", "noise", "tenants", "cohorts"});
  FleetSpec fleet;
  fleet.size = field.At("size").Integer(1);
  ParseAgent(field.At("agent"), fleet);
  if (const auto online = field.Find("online")) ParseOnline(*online, fleet.online);
  if (const auto noise = field.Find("noise")) {
    noise->AllowKeys({"crash_per_host_day", "reboot_per_host_day"});
    if (const auto rate = noise->Find("crash_per_host_day")) fleet.crash_per_host_day = rate->NonNegative();
    if (const auto rate = noise->Find("reboot_per_host_day")) fleet.reboot_per_host_day = rate->NonNegative();
  }
  std::set<std::string> cohorts;
  for (const Field& item : field.At("cohorts").Items()) {
    fleet.cohorts.push_back(ParseCohort(item));
    if (!cohorts.insert(fleet.cohorts.back().name).second)
      item.Fail("a cohort of that name is there already");
  }
  std::set<std::string> tenants;
  double shares = 0;
  for (const Field& item : field.At("tenants").Items()) {
    fleet.tenants.push_back(ParseTenant(item, cohorts));
    shares += fleet.tenants.back().share;
    if (!tenants.insert(fleet.tenants.back().name).second)
      item.Fail("a tenant of that name is there already");
  }
  if (fleet.cohorts.empty()) field.At("cohorts").Fail("wanted at least one cohort");
  if (std::abs(shares - 1) > 0.001) {
    field.At("tenants").Fail(absl::StrCat("the shares add up to ", shares, "; wanted 1"));
  }
  return fleet;
}

}  // namespace ringfence::replay
