#include "run.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "artifacts.h"
#include "ringfence/base/status_macros.h"
#include "server/simulate/app_server.h"
#include "server/simulate/plan_builder.h"
#include "server/simulate/stub_server.h"
#include "server/simulate/world.h"
#include "wire_server.h"

namespace ringfence::replay {
namespace {

// Always shown, whether or not a bound asks for them.
constexpr const char* kAlways[] = {"offered_hosts",
                                   "exposed_hosts",
                                   "harmed_hosts",
                                   "customer_hosts_harmed",
                                   "rescued_hosts",
                                   "publish_result",
                                   "minutes_first_harm_to_last_offer"};

// The name under which a value is shown: the metric's own, with its parameters where two bounds differ in
// them.
std::string Label(const Bound& bound, const std::map<std::string, MetricValue>& taken,
                  const MetricValue& value) {
  const auto same = taken.find(bound.metric);
  if (same == taken.end() || same->second.value == value.value) return bound.metric;
  std::string label = bound.metric;
  if (bound.within.has_value())
    absl::StrAppend(&label, " within ", absl::FormatDuration(ToDuration(*bound.within)));
  if (!bound.ring.empty()) absl::StrAppend(&label, " ", bound.ring);
  if (bound.wave.has_value()) absl::StrAppend(&label, " ", *bound.wave);
  if (!bound.release.empty()) absl::StrAppend(&label, " of ", bound.release);
  return label == bound.metric ? absl::StrCat(label, " line ", bound.line) : label;
}

void JudgeAcceptance(const RunView& view, RunResult& result) {
  for (const Bound& bound : view.scenario.must) {
    const MetricValue value = Measure(view, bound);
    result.metrics[Label(bound, result.metrics, value)] = value;
    if (!Holds(bound, value)) result.failed.push_back(Describe(bound, value));
  }
  for (const Bound& bound : view.scenario.stretch) {
    const MetricValue value = IsKnownMetric(bound.metric) ? Measure(view, bound) : MetricValue();
    const std::string name = result.stretch.contains(bound.metric)
                                 ? absl::StrCat(bound.metric, " line ", bound.line)
                                 : bound.metric;
    if (std::holds_alternative<std::monostate>(value.value)) {
      result.stretch[name] = "unsupported";
    } else {
      result.metrics.try_emplace(bound.metric, value);
      result.stretch[name] = Holds(bound, value) ? "held" : absl::StrCat("missed: ", Describe(bound, value));
    }
  }
  const Ledger& ledger = view.ledger;
  if (ledger.forbidden_offers > 0) {
    result.failed.push_back(absl::StrCat("never_offered: ", ledger.forbidden_offers, " offers"));
  }
  if (ledger.offers_outside_plan > 0) {
    result.failed.push_back(
        absl::StrCat("offers outside plan, targets or matrix: ", ledger.offers_outside_plan));
  }
  result.notes.insert(result.notes.end(), ledger.forbidden_examples.begin(), ledger.forbidden_examples.end());
}

void JudgeCalibration(const RunView& view, RunResult& result) {
  const double harmed = std::get<double>(result.metrics["harmed_hosts"].value);
  const double hosts = static_cast<double>(view.fleet.hosts.size());
  const double scale = hosts / static_cast<double>(view.scenario.fleet.size);
  const auto check = [&](const char* what, double value,
                         const std::optional<std::pair<double, double>>& range) {
    if (!range.has_value() || (value >= range->first && value <= range->second)) return;
    result.failed.push_back(
        absl::StrCat("calibration: ", what, " ", value, "; wanted ", range->first, " to ", range->second));
  };
  result.metrics["harmed_fraction"] = {harmed / hosts, ""};
  check("harmed_fraction", harmed / hosts, view.scenario.calibration.harmed_fraction);
  check("harmed_hosts", harmed / scale, view.scenario.calibration.harmed_hosts);
}

std::string OneLine(const storage::DecisionRow& row) {
  return absl::StrCat(
      absl::FormatDuration(row.at - WallAtStart()), " ", row.action, " ", row.channel, "/", row.serial,
      row.tenant.empty() ? "" : " " + row.tenant, row.ring.empty() ? "" : " " + row.ring,
      row.cohort.empty() ? "" : " [" + row.cohort + "]", " by ", row.actor, " (", row.rule, ") ", row.why);
}

std::vector<std::string> TenantsOf(const Scenario& scenario) {
  std::vector<std::string> names;
  for (const TenantSpec& tenant : scenario.fleet.tenants) names.push_back(tenant.name);
  return names;
}

AppServerOptions OptionsOf(const Scenario& scenario, uint64_t seed, const Artifacts& artifacts) {
  return {HasInternalTenant(scenario) ? kInternalTenant : "", absl::Seconds(scenario.fleet.checkin_seconds),
          seed * 0x9e3779b97f4a7c15ull + 1, artifacts.trust(), nullptr};
}

// The cohort of the bound `resume_excluding`, if the scenario has one.
std::optional<LabelPairs> ExcludedIn(const Scenario& scenario) {
  for (const std::vector<Bound>* bounds : {&scenario.must, &scenario.stretch}) {
    for (const Bound& bound : *bounds) {
      if (bound.metric == "resume_excluding") return bound.labels_all;
    }
  }
  return std::nullopt;
}

// The same scenario once more, in which people exclude the cohort soon after the first halt and let the
// release go on. A run of its own: the other bounds are of what happens when nobody does.
absl::StatusOr<Ledger> RunResumed(const Scenario& scenario, const LabelPairs& cohort, uint64_t seed,
                                  const RunOptions& options, StoreMaker make_store) {
  Scenario with_people = scenario;
  ScenarioEvent& event = with_people.events.emplace_back();
  event.kind = EventKind::kExclude;
  event.after_first_halt = true;
  event.at = 5 * kMinute;
  event.labels_after = cohort;
  ManualClock clock(WallAtStart());
  ASSIGN_OR_RETURN(Fleet fleet, MakeFleet(with_people, seed, options.scale));
  Artifacts artifacts(with_people);
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Store> store, make_store());
  const std::unique_ptr<Server> server =
      MakeAppServer(OptionsOf(with_people, seed, artifacts), store.get(), &clock);
  World world(with_people, std::move(fleet), server.get(), &clock, &artifacts, seed);
  RETURN_IF_ERROR(world.Run());
  return world.ledger();
}

absl::Status RunInto(const Scenario& scenario, uint64_t seed, const RunOptions& options,
                     StoreMaker make_store, RunResult& result) {
  ManualClock clock(WallAtStart());
  ASSIGN_OR_RETURN(Fleet fleet, MakeFleet(scenario, seed, options.scale));
  result.hosts = static_cast<int64_t>(fleet.hosts.size());
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<Server> server;
  Artifacts artifacts(scenario);
  if (options.push_to_all) {
    server = MakePushToAllServer(&clock, absl::Seconds(scenario.fleet.checkin_seconds),
                                 ToWall(scenario.calibration.withdraw_at.value_or(scenario.horizon)), seed);
  } else {
    ASSIGN_OR_RETURN(store, make_store());
    const AppServerOptions app = OptionsOf(scenario, seed, artifacts);
    if (options.wire) {
      ASSIGN_OR_RETURN(server,
                       MakeWireServer(app, TenantsOf(scenario), store.get(), &clock, options.followers));
    } else {
      server = MakeAppServer(app, store.get(), &clock);
    }
  }
  World world(scenario, std::move(fleet), server.get(), &clock, &artifacts, seed);
  RETURN_IF_ERROR(world.Run());

  const Ledger& ledger = world.ledger();
  result.checkins = ledger.checkins;
  result.leases_granted = static_cast<int64_t>(ledger.grants.size());
  ASSIGN_OR_RETURN(const ServerRecord record, ReadRecord(ledger, *server));
  RunView view{scenario, world.fleet(), ledger, record, server.get()};
  Ledger resumed;
  if (const std::optional<LabelPairs> cohort = ExcludedIn(scenario);
      cohort.has_value() && !options.push_to_all) {
    ASSIGN_OR_RETURN(resumed, RunResumed(scenario, *cohort, seed, options, make_store));
    view.resumed = &resumed;
  }
  for (const char* metric : kAlways) {
    Bound bound;
    bound.metric = metric;
    result.metrics[metric] = Measure(view, bound);
  }
  if (options.push_to_all) {
    JudgeCalibration(view, result);
  } else {
    JudgeAcceptance(view, result);
  }
  for (const storage::DecisionRow& row : record.decisions) result.decisions.push_back(OneLine(row));
  for (const Harm& harm : ledger.harms) {
    if (result.decisions.size() > 400) break;
    const Host& host = world.fleet().hosts[harm.host];
    const auto offered = std::count_if(ledger.grants.begin(), ledger.grants.end(),
                                       [&](const Grant& grant) { return grant.at <= harm.at; });
    result.decisions.push_back(absl::StrCat(
        absl::FormatDuration(ToDuration(harm.at)), " harm: a host of ", world.fleet().TenantOf(host), " in ",
        scenario.plan.rings[host.ring].name, " after ", offered, " offers"));
  }
  for (std::string& line : server->Standing()) result.decisions.push_back(std::move(line));
  if (ledger.server_errors > 0) {
    result.failed.push_back(
        absl::StrCat("server errors: ", ledger.server_errors, ", first ", ledger.first_server_error));
  }
  return absl::OkStatus();
}

}  // namespace

RunResult RunScenario(const Scenario& given, uint64_t seed, const RunOptions& options,
                      StoreMaker make_store) {
  RunResult result;
  Scenario scenario = given;
  if (options.without_gates) {
    scenario.plan.gates.crash.reset();
    scenario.plan.gates.silence.reset();
    scenario.plan.gates.degraded.reset();
  }
  result.scenario = scenario.id;
  result.seed = seed;
  // How long a run takes on this machine is a fact about the machine, so the machine's own clock measures it.
  const auto started = std::chrono::steady_clock::now();
  const absl::Status status = RunInto(scenario, seed, options, make_store, result);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  if (!status.ok()) result.failed.push_back(absl::StrCat("the run could not go on: ", status.ToString()));
  result.passed = result.failed.empty();
  result.wall_seconds = took.count();
  if (result.checkins > 0)
    result.micros_per_checkin = took.count() * 1e6 / static_cast<double>(result.checkins);
  return result;
}

}  // namespace ringfence::replay
