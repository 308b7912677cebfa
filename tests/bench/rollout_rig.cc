#include "tests/bench/rollout_rig.h"

#include <cstdio>
#include <vector>

#include "server/storage/postgres/postgres_store.h"
#include "tests/bench/fleet.h"

namespace ringfence::bench {
namespace {

constexpr char kTenant[] = "acme";
constexpr char kChannel[] = "content";
constexpr size_t kBatch = 5000;
// Short, so that the hundreds of releases of one run fit into an hour of the fleet's time.
const absl::Duration kInterval = absl::Seconds(10);

void CheckOk(const absl::Status& status) {
  if (!status.ok()) std::fprintf(stderr, "rollout: %s\n", status.ToString().c_str());
  RF_CHECK(status.ok());
}

// One ring of everyone, one wave, and a gate that the first crash trips.
policy::Plan ThePlan() {
  policy::Plan plan;
  plan.tenant = kTenant;
  policy::ChannelRule rule;
  rule.channel = kChannel;
  plan.channels = {rule};
  policy::Ring ring;
  ring.name = "all";
  ring.selector = policy::Selector{{{"ring", {"all"}}}};
  ring.waves = {{policy::Ppm(policy::Ppm::kWhole), std::nullopt}};
  ring.soak = absl::Minutes(5);
  plan.rings = {ring};
  plan.gates.crash = policy::RateGate{policy::Ppm(0), 1, absl::Hours(1)};
  plan.gates.cohort_keys = {"os"};
  plan.gates.on_breach = policy::OnBreach::kHalt;
  return plan;
}

}  // namespace

RolloutRig::RolloutRig(Options options) : options_(options), clock_(absl::FromUnixSeconds(1'700'000'000)) {
  store_ = options_.store;
  if (store_ == nullptr) {
    storage::PrivateClusterOptions cluster;
    cluster.directory = folder_.path() + "/pg";
    auto started = storage::PrivateCluster::Start(cluster);
    CheckOk(started.status());
    cluster_ = *std::move(started);
    storage::PostgresOptions postgres;
    postgres.connection_string = database();
    auto store = storage::OpenPostgresStore(postgres);
    CheckOk(store.status());
    own_store_ = *std::move(store);
    store_ = own_store_.get();
  }

  std::vector<storage::AgentRow> rows;
  for (int host = 0; host < hosts(); ++host) {
    rows.push_back(RowOf(host, kTenant, clock_.Now()));
    if (rows.size() < kBatch && host + 1 < hosts()) continue;
    CheckOk(store_->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents(rows); }));
    rows.clear();
  }
  StartApp();
  const app::Act act{{"ana", app::Role::kTenantAdmin, kTenant}, "plan", "bench"};
  CheckOk(app_->ApplyPlan(act, ThePlan(), 0).status());
}

RolloutRig::~RolloutRig() = default;

void RolloutRig::StartApp() {
  app_.reset();
  app::AppOptions options;
  options.checkin_interval = kInterval;
  options.lease_ttl = kInterval / 10;
  app_ = app::App::Make(options, store_, &clock_, nullptr);
  if (on_lease_queued) app_->OnLeaseQueued(on_lease_queued);
  CheckOk(app_->Start());
}

void RolloutRig::Publish() {
  if (release_.serial != 0) {  // a ring takes the next release when it is done with the one before
    const app::Act halt{{"sam", app::Role::kSre, ""}, absl::StrCat("halt ", release_.serial), "bench"};
    CheckOk(app_->Halt(halt, {"", kChannel, release_.serial, ""}).status());
  }
  ++release_.serial;
  release_.channel = kChannel;
  release_.kind = policy::ChannelKind::kContent;
  release_.version = absl::StrCat("v", release_.serial);
  release_.matrix = {policy::Selector{}};
  const std::string bytes = absl::StrCat("bytes of ", release_.version);
  release_.digest = Sha256(bytes);
  const app::Act act{{"rita", app::Role::kReleaseManager, ""}, release_.version, "bench"};
  CheckOk(app_->Publish(act, {release_, bytes}).status());
}

storage::StageRow RolloutRig::OpenStage() {
  for (int step = 0; step < 20; ++step) {
    CheckOk(app_->RunOnce());
    const auto info = app_->GetRollout(kChannel, release_.serial, "");
    CheckOk(info.status());
    for (const app::StageInfo& stage : info->stages) {
      if (stage.row.state == policy::StageState::kOpen) return stage.row;
    }
  }
  RF_CHECK(false);
}

void RolloutRig::FreshRelease() {
  StartApp();  // one that has watched nothing: time may pass between releases
  Publish();
  const storage::StageRow stage = OpenStage();
  app_.reset();

  std::vector<storage::ExposureRow> rows;
  for (int host = 0; host < options_.proven; ++host) {
    storage::ExposureRow row;
    row.tenant = kTenant;
    row.channel = kChannel;
    row.serial = release_.serial;
    row.agent = HostId(host);
    row.bucket = 1;
    row.stage = stage.stage;
    row.ring = stage.ring;
    row.exposed_at = row.outcome_at = row.deadline = clock_.Now();
    row.cells = {absl::StrCat("os=win", host % 5)};
    row.activated = true;
    row.outcome = storage::Outcome::kConfirmed;
    rows.push_back(std::move(row));
    if (rows.size() < kBatch && host + 1 < options_.proven) continue;
    CheckOk(store_->ReadWrite([&](storage::Transaction& tx) { return tx.InsertExposures(rows); }));
    rows.clear();
  }
  StartApp();
  // The askers of one interval are the forecast of the next: only then does a draw have tokens for more than
  // one.
  for (int host = first_asker(); host < hosts(); ++host) {
    Ask(host, [](const absl::StatusOr<app::LeaseReply>& reply) { CheckOk(reply.status()); });
  }
  CheckOk(app_->CommitOnce().status());
  clock_.Advance(kInterval);
}

int64_t RolloutRig::Exposed() {
  int64_t rows = -options_.proven;
  CheckOk(store_->ReadWrite([&](storage::Transaction& tx) {
    return tx.ForEachExposure(kChannel, release_.serial, [&](const storage::ExposureRow&) { ++rows; });
  }));
  return rows;
}

void RolloutRig::Ask(int host, app::LeaseDone done) {
  app_->Lease({HostId(host), kChannel, release_.digest, "boot"}, std::move(done));
}

}  // namespace ringfence::bench
