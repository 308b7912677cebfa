// A run over gRPC, through the handlers of the public API, is the run that calls the application directly:
// the same bounds, the same decisions at the same instants, the same count of calls. So the handlers add
// nothing and lose nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "run.h"
#include "server/app/app.h"
#include "server/simulate/virtual_time.h"
#include "wire_server.h"

namespace ringfence::replay {
namespace {

absl::StatusOr<std::unique_ptr<storage::Store>> MakeStore() {
  return storage::MakeMemoryStore();
}

std::map<std::string, std::string> Readable(const std::map<std::string, MetricValue>& metrics) {
  std::map<std::string, std::string> readable;
  for (const auto& [name, value] : metrics) readable[name] = ToString(value);
  return readable;
}

// Both runs of a small fleet, compared. Gives what they have in common back.
RunResult ExpectSame(const Scenario& scenario, uint64_t seed) {
  RunOptions options;
  options.scale = 0.1;
  RunResult direct = RunScenario(scenario, seed, options, MakeStore);
  options.wire = true;
  const RunResult wire = RunScenario(scenario, seed, options, MakeStore);
  EXPECT_EQ(Readable(wire.metrics), Readable(direct.metrics));
  EXPECT_EQ(wire.decisions, direct.decisions);
  EXPECT_EQ(wire.failed, direct.failed);
  EXPECT_EQ(wire.stretch, direct.stretch);
  EXPECT_EQ(wire.checkins, direct.checkins);
  EXPECT_EQ(wire.leases_granted, direct.leases_granted);
  return direct;
}

// The same once more, when agents and people know only replicas that follow: what comes through them is the
// same evidence, and the same decisions.
void ExpectSameThroughFollowers(const Scenario& scenario, uint64_t seed) {
  RunOptions options;
  options.scale = 0.1;
  const RunResult direct = RunScenario(scenario, seed, options, MakeStore);
  options.wire = true;
  options.followers = 2;
  const RunResult through = RunScenario(scenario, seed, options, MakeStore);
  EXPECT_EQ(Readable(through.metrics), Readable(direct.metrics));
  EXPECT_EQ(through.decisions, direct.decisions);
  EXPECT_EQ(through.failed, direct.failed);
  EXPECT_EQ(through.checkins, direct.checkins);
  EXPECT_EQ(through.leases_granted, direct.leases_granted);
  EXPECT_GT(direct.leases_granted, 5);
}

// One of our own scenarios, cut short.
Scenario Own(const std::string& name, Micros horizon) {
  absl::StatusOr<Scenario> scenario = LoadScenario("tests/scenarios/" + name + ".yaml");
  EXPECT_TRUE(scenario.ok()) << scenario.status();
  scenario->horizon = horizon;
  return *std::move(scenario);
}

// Rings that pass, crash reports, an automatic halt, reverts, a server that dies right then and comes back.
TEST(WireTest, AHaltAndARestartAreTheSame) {
  Scenario scenario = Own("crash-once-storm", 2 * kHour);
  ScenarioEvent restart;
  restart.kind = EventKind::kServerRestart;
  restart.after_first_halt = true;
  restart.at = 10 * kSecond;
  restart.duration = 40 * kSecond;
  scenario.events.push_back(restart);
  const RunResult both = ExpectSame(scenario, 1);
  EXPECT_GT(both.leases_granted, 5);
  EXPECT_THAT(both.decisions, testing::Contains(testing::HasSubstr(" halt ")));
}

TEST(WireTest, ThroughReplicasThatFollowTheDecisionsAreTheSame) {
  ExpectSameThroughFollowers(Own("crash-once-storm", kHour), 1);
}

// Four hosts of a tenant whose one ring is open to a release, each with a check-in a minute, until a lease
// waits for its commit. Answers are counted.
struct Waiting {
  explicit Waiting(Server* wire, ManualClock* its_clock) : server(wire), clock(its_clock) {
    for (uint8_t i = 1; i <= 4; ++i) {
      storage::AgentRow row;
      row.agent.bytes.fill(i);
      row.tenant = "acme";
      row.labels = labels;
      row.enrolled_at = clock->Now();
      rows.push_back(row);
    }
    publish.release.channel = "content";
    publish.release.kind = policy::ChannelKind::kContent;
    publish.release.serial = 1;
    publish.release.version = "1";
    publish.release.matrix = {policy::Selector()};
    publish.bytes = std::string(3 << 20, 'x');  // more than one message
    publish.release.digest = Sha256(publish.bytes);
    plan.tenant = "acme";
    plan.channels.push_back({"content", policy::ChannelMode::kFollow, 0, ""});
    policy::Ring& ring = plan.rings.emplace_back();
    ring.name = "all";
    ring.waves.push_back({policy::Ppm(policy::Ppm::kWhole), std::nullopt});
  }

  absl::Status Begin() {
    RETURN_IF_ERROR(server->Enrol(rows));
    RETURN_IF_ERROR(server->Start());
    RETURN_IF_ERROR(server->ApplyPlan(plan));
    return server->Publish(publish).status();
  }
  absl::Status Minute() {
    clock->Advance(absl::Minutes(1));
    RETURN_IF_ERROR(server->RunOnce());
    for (const storage::AgentRow& row : rows) {
      app::CheckInRequest request;
      request.agent = row.agent;
      request.boot_id = "boot";
      request.labels = &labels;
      const std::string hash = labels.Hash16();
      request.labels_hash = hash;
      if (staged) request.staged = absl::MakeConstSpan(&publish.release.digest, 1);
      app::CheckInReply reply;
      RETURN_IF_ERROR(server->CheckIn(request, &reply));
      for (const app::Directive& directive : *reply.directives) {
        staged = true;
        if (directive.kind != app::DirectiveKind::kRequestLease) continue;
        ++asked;
        server->Lease({row.agent, "content", publish.release.digest, "boot"},
                      [this](const absl::StatusOr<app::LeaseReply>&) { ++answered; });
      }
    }
    return absl::OkStatus();
  }

  Server* const server;
  ManualClock* const clock;
  const policy::Labels labels = *policy::Labels::Make({{"os", "win11"}});
  std::vector<storage::AgentRow> rows;
  app::PublishRequest publish;
  policy::Plan plan;
  bool staged = false;
  int asked = 0, answered = 0;
};

// A lease that waits for its commit when the server dies is never answered, and exposed nobody.
TEST(WireTest, AServerThatDiesOverALeaseNeverAnswersIt) {
  ManualClock clock(WallAtStart());
  const std::unique_ptr<storage::Store> store = storage::MakeMemoryStore();
  AppServerOptions options;
  options.checkin = absl::Minutes(1);
  const auto server = MakeWireServer(options, {"acme"}, store.get(), &clock);
  ASSERT_TRUE(server.ok()) << server.status();
  Waiting hosts(server->get(), &clock);
  ASSERT_TRUE(hosts.Begin().ok());
  for (int i = 0; i < 100 && hosts.asked == hosts.answered; ++i) {
    const absl::Status status = hosts.Minute();
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_GT(hosts.asked, hosts.answered);

  const int answered = hosts.answered;
  (*server)->Stop();
  EXPECT_EQ(hosts.answered, answered);
  const absl::Status again = (*server)->Start();
  ASSERT_TRUE(again.ok()) << again;
  const auto exposures = (*server)->Exposures("content", 1);
  ASSERT_TRUE(exposures.ok()) << exposures.status();
  EXPECT_TRUE(exposures->empty());
}

TEST(WireTest, ARefusalKeepsItsWord) {
  ManualClock clock(WallAtStart());
  const std::unique_ptr<storage::Store> store = storage::MakeMemoryStore();
  AppServerOptions options;
  options.checkin = absl::Minutes(1);
  const auto server = MakeWireServer(options, {"acme"}, store.get(), &clock);
  ASSERT_TRUE(server.ok()) << server.status();
  Waiting hosts(server->get(), &clock);
  ASSERT_TRUE(hosts.Begin().ok());
  hosts.publish.release.serial = 2;
  hosts.publish.bytes += "y";
  const auto other_bytes = (*server)->Publish(hosts.publish);
  EXPECT_EQ(other_bytes.status().GetPayload(app::App::kRefusalUrl), absl::Cord("evidence_mismatch"))
      << other_bytes.status();
}

}  // namespace
}  // namespace ringfence::replay
