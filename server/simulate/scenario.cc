#include "server/simulate/scenario.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "server/simulate/scenario_sections.h"
#include "server/simulate/yaml_field.h"

namespace ringfence::replay {
namespace {

constexpr char kSchema[] = "rollout-scenario/1";

void ParseCalibration(const Field& field, Calibration& calibration) {
  const auto range = [](const Field& pair) {
    const std::vector<Field> items = pair.Items();
    if (items.size() != 2) pair.Fail("wanted two numbers");
    return std::make_pair(items[0].Number(), items[1].Number());
  };
  if (!field.IsMap()) return;  // free text is allowed here
  if (const auto at = field.Find("withdraw_at")) calibration.withdraw_at = at->Duration();
  const auto expect = field.Find("expect");
  if (!expect || !expect->IsMap()) return;
  if (const auto pair = expect->Find("harmed_fraction")) calibration.harmed_fraction = range(*pair);
  if (const auto pair = expect->Find("harmed_hosts")) calibration.harmed_hosts = range(*pair);
}

void ParseAcceptance(const Field& field, Scenario& scenario) {
  field.AllowKeys({"never_offered", "must", "stretch"});
  if (const auto never = field.Find("never_offered")) {
    for (const Field& item : never->Items()) scenario.never_offered.push_back(ParseSelector(item));
  }
  if (const auto must = field.Find("must")) {
    for (const Field& item : must->Items()) scenario.must.push_back(ParseBound(item, /*strict=*/true));
  }
  if (const auto stretch = field.Find("stretch")) {
    for (const Field& item : stretch->Items()) scenario.stretch.push_back(ParseBound(item, /*strict=*/false));
  }
}

// What can only be said of the whole file.
void CheckReferences(const Field& root, const Scenario& scenario) {
  const auto is_tenant = [&](const std::string& name) {
    return std::any_of(scenario.fleet.tenants.begin(), scenario.fleet.tenants.end(),
                       [&](const TenantSpec& tenant) { return tenant.name == name; });
  };
  const auto is_ring = [&](const std::string& name) {
    return std::any_of(scenario.plan.rings.begin(), scenario.plan.rings.end(),
                       [&](const RingSpec& ring) { return ring.name == name; });
  };
  for (const RingSpec& ring : scenario.plan.rings) {
    for (const std::string& tenant : ring.tenants) {
      if (!is_tenant(tenant))
        root.At("plan").Fail(absl::StrCat("ring ", ring.name, " names no tenant: ", tenant));
    }
  }
  for (const Bound& bound : scenario.must) {
    const auto check = [&](const std::string& ring) {
      if (!is_ring(ring))
        throw Malformed(bound.line, absl::StrCat(bound.metric, ": no ring of that name: ", ring));
    };
    if (!bound.ring.empty()) check(bound.ring);
    for (const std::string& ring : bound.rings) check(ring);
  }
}

Scenario ParseRoot(const Field& root) {
  root.AllowKeys({"schema", "id", "group", "title", "incident", "mutation", "clock", "seeds", "fleet", "plan",
                  "releases", "faults", "events", "calibration", "reality", "acceptance"});
  if (root.At("schema").Text() != kSchema) root.At("schema").Fail(absl::StrCat("wanted ", kSchema));
  Scenario scenario;
  scenario.id = root.At("id").Text();
  if (const auto title = root.Find("title")) scenario.title = title->Text();
  const Field clock = root.At("clock");
  clock.AllowKeys({"tick", "horizon"});
  if (const auto tick = clock.Find("tick")) scenario.tick = tick->Duration();
  if (scenario.tick < kSecond) clock.Fail("wanted a tick of at least 1s");
  scenario.horizon = clock.At("horizon").Duration();
  for (const Field& seed : root.At("seeds").Items()) {
    scenario.seeds.push_back(static_cast<uint64_t>(seed.Integer(0)));
  }
  if (scenario.seeds.empty()) root.At("seeds").Fail("wanted at least one seed");
  scenario.fleet = ParseFleet(root.At("fleet"));
  scenario.plan = ParsePlan(root.At("plan"));
  for (const Field& item : root.At("releases").Items()) scenario.releases.push_back(ParseRelease(item));
  if (const auto faults = root.Find("faults")) {
    for (const Field& item : faults->Items()) scenario.faults.push_back(ParseFault(item));
  }
  if (const auto events = root.Find("events")) {
    for (const Field& item : events->Items()) scenario.events.push_back(ParseEvent(item));
  }
  if (const auto calibration = root.Find("calibration")) ParseCalibration(*calibration, scenario.calibration);
  ParseAcceptance(root.At("acceptance"), scenario);
  CheckReferences(root, scenario);
  return scenario;
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(const std::string& name, const std::string& yaml) {
  try {
    return ParseRoot(Field(YAML::Load(yaml), ""));
  } catch (const Malformed& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.line, ": ", error.what()));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<Scenario> LoadScenario(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  if (!file || !(text << file.rdbuf()))
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  return ParseScenario(path, text.str());
}

}  // namespace ringfence::replay
