#include "server/simulate/time_machine.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/bucket.h"
#include "ringfence/policy/host_eligibility.h"
#include "server/simulate/app_server.h"
#include "server/simulate/plan_builder.h"
#include "server/simulate/stub_server.h"
#include "server/simulate/world.h"

namespace ringfence::replay {
namespace {

constexpr Micros kPublishedAt = 10 * kMinute;
// After a stop: hosts that were exposed before may still be struck, or saved.
constexpr Micros kAfterStop = 3 * kHour;
// A push to everyone is watched for this long after it was withdrawn.
constexpr Micros kAfterPush = 6 * kHour;

int64_t CountHosts(const std::vector<policy::MixEntry>& mix, const policy::Selector& selector) {
  int64_t hosts = 0;
  for (const policy::MixEntry& entry : mix)
    hosts += policy::Matches(selector, entry.labels) ? entry.hosts : 0;
  return hosts;
}

// Is a ring of this plan ever reached by the newest release without a person and without a newer one?
bool IsReached(const policy::Plan& plan, int ring, const policy::ChannelRule& rule) {
  for (int i = 0; i <= ring; ++i) {
    const policy::Ring& one = plan.rings[static_cast<size_t>(i)];
    const int lag = policy::EffectiveLag(one, rule);
    if (i == ring && lag > 0) return false;
    if (lag == 0 && policy::EffectiveApproval(plan, one, rule.channel) == policy::Approval::kExplicit)
      return false;
  }
  return true;
}

// Bytes of no format, which a server that believes nobody takes as they are: here they passed every check.
class PlainArtifacts final : public ArtifactMaker {
 public:
  app::PublishRequest Make(const ReleaseSpec& spec, ArtifactForm, Evidence, const std::string& version,
                           uint64_t serial) override {
    app::PublishRequest request;
    request.bytes = absl::StrCat("a replayed incident: ", spec.channel, " ", version, " ", serial, "\n");
    request.release.channel = spec.channel;
    request.release.kind =
        spec.channel == kContentChannel ? policy::ChannelKind::kContent : policy::ChannelKind::kSensor;
    request.release.serial = serial;
    request.release.version = version;
    request.release.targets = spec.targets;
    request.release.matrix = spec.matrix;
    request.release.digest = Sha256(request.bytes);
    request.release.size_bytes = static_cast<int64_t>(request.bytes.size());
    return request;
  }
  app::PublishRequest MakeBaseline(const ReleaseSpec& spec, uint64_t serial) override {
    return Make(spec, ArtifactForm::kWellFormed, Evidence::kThisArtifact, "baseline", serial);
  }
};

// The fleet and the release of one run, under `plan`.
Scenario MakeScenario(const TimeMachineInput& in, const policy::Selector& meant, const policy::Plan& plan,
                      int64_t size) {
  Scenario scenario;
  scenario.id = in.incident.id;
  scenario.tick = 15 * kSecond;
  scenario.horizon = in.horizon;
  scenario.plans = {plan};
  FleetSpec& fleet = scenario.fleet;
  fleet.size = size;
  fleet.checkin_seconds = 60;
  fleet.download = {Distribution::Kind::kUniform, 5, 60};
  fleet.activate_delay = {Distribution::Kind::kFixed, 10, 0};
  fleet.online = in.incident.online;
  fleet.crash_per_host_day = 0.0005;
  fleet.reboot_per_host_day = 0.05;
  TenantSpec tenant;
  tenant.name = plan.tenant;
  tenant.share = 1;
  fleet.tenants = {tenant};
  for (size_t i = 0; i < in.mix.size(); ++i) {
    CohortSpec cohort;
    cohort.name = absl::StrCat("mix-", i);
    cohort.share = static_cast<double>(in.mix[i].hosts);
    cohort.labels = in.mix[i].labels.pairs();
    fleet.cohorts.push_back(std::move(cohort));
  }
  ReleaseSpec release;
  release.id = "incident";
  release.channel = in.incident.channel;
  const policy::ChannelRule* rule = policy::FindRule(plan, in.incident.channel);
  release.version = rule == nullptr || rule->from_version.empty() ? "0" : rule->from_version;
  release.at = kPublishedAt;
  release.matrix = {policy::Selector()};
  scenario.releases = {release};
  scenario.faults = {in.incident.fault};
  scenario.faults[0].match = meant;
  scenario.calibration.withdraw_at = kPublishedAt + in.incident.pushed_for;
  return scenario;
}

// One ring of everybody that asks nobody: what a push without a plan is.
policy::Plan PushPlan(const policy::Plan& plan, const std::string& channel) {
  policy::Plan push;
  push.tenant = plan.tenant;
  push.channels = {{channel, policy::ChannelMode::kFollow, 0, "", "", "", {}}};
  policy::Ring& all = push.rings.emplace_back();
  all.name = "everyone";
  all.waves = {{policy::Ppm(policy::Ppm::kWhole), std::nullopt}};
  return push;
}

TimeMachineRun Count(const Ledger& ledger, uint64_t seed) {
  TimeMachineRun run;
  run.seed = seed;
  std::set<uint32_t> exposed, harmed;
  for (const Activation& activation : ledger.activations) {
    if (ledger.versions[activation.version].release >= 0) exposed.insert(activation.host);
  }
  for (const Harm& harm : ledger.harms) harmed.insert(harm.host);
  run.exposed = static_cast<int64_t>(exposed.size());
  run.harmed = static_cast<int64_t>(harmed.size());
  return run;
}

absl::StatusOr<TimeMachineRun> RunPush(const Scenario& scenario, uint64_t seed) {
  ManualClock clock(WallAtStart());
  ASSIGN_OR_RETURN(Fleet fleet, MakeFleet(scenario, seed, 1));
  const std::unique_ptr<Server> server = MakePushToAllServer(
      &clock, absl::Seconds(scenario.fleet.checkin_seconds), ToWall(*scenario.calibration.withdraw_at), seed);
  PlainArtifacts artifacts;
  World world(scenario, std::move(fleet), server.get(), &clock, &artifacts, seed);
  RETURN_IF_ERROR(world.Run());
  TimeMachineRun run = Count(world.ledger(), seed);
  run.last_ring = "everyone";
  return run;
}

absl::StatusOr<TimeMachineRun> RunPlan(const Scenario& scenario, uint64_t seed, int64_t eligible) {
  ManualClock clock(WallAtStart());
  ASSIGN_OR_RETURN(Fleet fleet, MakeFleet(scenario, seed, 1));
  const std::unique_ptr<storage::Store> store = storage::MakeMemoryStore();
  const AppServerOptions options{"", absl::Seconds(scenario.fleet.checkin_seconds),
                                 seed * 0x9e3779b97f4a7c15ull + 1, nullptr, nullptr};
  const std::unique_ptr<Server> server = MakeAppServer(options, store.get(), &clock);
  PlainArtifacts artifacts;
  World world(scenario, std::move(fleet), server.get(), &clock, &artifacts, seed);
  Micros stopped = kNever;
  world.EndWhen([&](Micros now) {
    const std::vector<PublishRecord>& publishes = world.ledger().publishes;
    if (publishes.empty() || !publishes[0].accepted) return now > kPublishedAt;
    const uint64_t serial = world.ledger().versions[publishes[0].version].serial;
    if (stopped == kNever && server->IsStopped(scenario.releases[0].channel, serial).value_or(false))
      stopped = now;
    return stopped != kNever && now - stopped >= kAfterStop;
  });
  RETURN_IF_ERROR(world.Run());
  const Ledger& ledger = world.ledger();
  if (ledger.publishes.empty() || !ledger.publishes[0].accepted) {
    return absl::InternalError(absl::StrCat("the replayed release was not published: ",
                                            ledger.publishes.empty() ? "" : ledger.publishes[0].message));
  }
  TimeMachineRun run = Count(ledger, seed);
  run.everybody = run.exposed >= eligible;
  int last = -1;
  for (const Activation& activation : ledger.activations) {
    if (ledger.versions[activation.version].release < 0) continue;
    if (!run.first_exposure.has_value()) run.first_exposure = ToDuration(activation.at - kPublishedAt);
    const Host& host = world.fleet().hosts[activation.host];
    const policy::Labels& labels = world.fleet().label_sets[host.labels].labels;
    const policy::Plan& plan = scenario.plans[0];
    last = std::max(last, policy::RingOf(plan, policy::LabelsFor(plan, labels, host.id)).value_or(-1));
  }
  if (last >= 0) run.last_ring = scenario.plans[0].rings[static_cast<size_t>(last)].name;
  ASSIGN_OR_RETURN(const std::vector<storage::DecisionRow> decisions, server->Decisions());
  for (const storage::DecisionRow& row : decisions) {
    if (row.action != "halt" && row.action != "hold") continue;
    run.stopped_after = row.at - ToWall(kPublishedAt);
    run.stopped_by = absl::StrCat(row.action, " by ", row.rule);
    break;
  }
  return run;
}

// Hosts of the mix, scaled down so that every kind keeps its share.
int64_t EligibleOf(const Scenario& scenario, const policy::Plan& plan, const std::string& channel) {
  const policy::ChannelRule* rule = policy::FindRule(plan, channel);
  if (rule == nullptr) return 0;
  // Who is in a bucket is known of hosts, not of kinds: nothing can be ruled out before.
  if (policy::UsesBuckets(plan)) return scenario.fleet.size;
  policy::Release release;
  release.channel = channel;
  release.version = scenario.releases[0].version;
  release.matrix = scenario.releases[0].matrix;
  std::vector<double> shares;
  for (const CohortSpec& cohort : scenario.fleet.cohorts) shares.push_back(cohort.share);
  const std::vector<int64_t> sizes = Apportion(scenario.fleet.size, shares);
  int64_t eligible = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto labels = policy::Labels::Make(scenario.fleet.cohorts[i].labels);
    if (!labels.ok() || policy::LastingReason(plan, *labels, release) != policy::Reason::kNone) continue;
    if (IsReached(plan, *policy::RingOf(plan, *labels), *rule)) eligible += sizes[i];
  }
  return eligible;
}

}  // namespace

absl::StatusOr<TimeMachineReply> RunTimeMachine(const TimeMachineInput& in) {
  TimeMachineReply reply;
  for (const policy::MixEntry& entry : in.mix) reply.hosts += entry.hosts;
  if (reply.hosts <= 0) return absl::InvalidArgumentError("the mix has no hosts");
  if (in.seeds.empty()) return absl::InvalidArgumentError("wanted at least one seed");
  std::vector<policy::Selector> words = in.incident.hosts;
  if (in.affects.has_value()) words = {*in.affects};
  for (const policy::Selector& selector : words) {
    reply.meant = selector;
    reply.affected = CountHosts(in.mix, selector);
    if (reply.affected > 0) break;
  }
  reply.simulated = std::min(reply.hosts, std::max<int64_t>(1, in.most_hosts));
  if (reply.affected == 0) return reply;

  const Scenario with = MakeScenario(in, reply.meant, in.plan, reply.simulated);
  Scenario push = MakeScenario(in, reply.meant, PushPlan(in.plan, in.incident.channel), reply.simulated);
  push.horizon = std::min(in.horizon, kPublishedAt + in.incident.pushed_for + kAfterPush);
  const int64_t eligible = EligibleOf(with, in.plan, in.incident.channel);
  for (const uint64_t seed : in.seeds) {
    TimeMachineRun run;
    run.seed = seed;
    run.everybody = eligible == 0;
    // What no host may ever take needs no simulation.
    if (eligible > 0) {
      ASSIGN_OR_RETURN(run, RunPlan(with, seed, eligible));
    }
    reply.with_plan.push_back(std::move(run));
    ASSIGN_OR_RETURN(TimeMachineRun all, RunPush(push, seed));
    reply.everyone.push_back(std::move(all));
  }
  return reply;
}

Spread SpreadOf(std::vector<int64_t> counts) {
  std::sort(counts.begin(), counts.end());
  return {counts.front(), counts[counts.size() / 2], counts.back()};
}

}  // namespace ringfence::replay
