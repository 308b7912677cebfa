// Incidents of the past against plans: what a plan is worth, and that the answer is the same each time.
#include "server/simulate/time_machine.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringfence::replay {
namespace {

policy::Labels LabelsOf(const std::string& ring, const std::string& platform) {
  return *policy::Labels::Make({{"site", ring}, {"platform", platform}});
}

policy::Ring RingOf(const std::string& name, std::vector<double> waves, absl::Duration soak) {
  policy::Ring ring;
  ring.name = name;
  ring.soak = soak;
  for (const double share : waves)
    ring.waves.push_back({policy::Ppm(static_cast<int64_t>(share * policy::Ppm::kWhole)), std::nullopt});
  return ring;
}

policy::Plan OneRing() {
  policy::Plan plan;
  plan.tenant = "acme";
  plan.channels = {{"content", policy::ChannelMode::kFollow, 0, "", "", "", {}},
                   {"sensor", policy::ChannelMode::kFollow, 0, "", "", "", {}}};
  plan.rings = {RingOf("everybody", {1}, absl::Minutes(5))};
  return plan;
}

policy::Plan WithCanary() {
  policy::Plan plan = OneRing();
  plan.rings = {RingOf("lab", {0.5, 1}, absl::Hours(1)), RingOf("rest", {0.05, 1}, absl::Hours(4))};
  plan.rings[0].selector.all_of.push_back({"site", {"lab"}});
  plan.gates.silence = policy::SilenceGate{3, policy::Ppm(50'000), 2, absl::Hours(1)};
  plan.gates.crash = policy::RateGate{policy::Ppm(10'000), 2, absl::Hours(6)};
  return plan;
}

TimeMachineInput InputOf(policy::Plan plan, const std::string& incident) {
  TimeMachineInput input;
  input.plan = std::move(plan);
  input.mix = {{LabelsOf("lab", "windows"), 40},
               {LabelsOf("store", "windows"), 420},
               {LabelsOf("store", "linux"), 140}};
  const std::vector<Incident> incidents = ShippedIncidents().value();
  for (const Incident& one : incidents) {
    if (one.id == incident) input.incident = one;
  }
  input.seeds = {1, 2};
  input.horizon = kDay;
  return input;
}

constexpr char kChannelFile[] = "2024-07-19-channel-file-291";

TEST(TimeMachineTest, EveryShippedIncidentIsReadAndNamesItsSourcesAndAssumptions) {
  const absl::StatusOr<std::vector<Incident>> incidents = ShippedIncidents();
  ASSERT_TRUE(incidents.ok()) << incidents.status();
  EXPECT_GE(incidents->size(), 6u);
  for (const Incident& incident : *incidents) {
    EXPECT_FALSE(incident.sources.empty()) << incident.id;
    EXPECT_GT(incident.assumed.size(), 20u) << incident.id;
    EXPECT_EQ(incident.id.substr(0, 10), incident.date);
  }
}

TEST(TimeMachineTest, APlanWithACanaryHarmsAHandfulWhereAPushHarmsNearlyAll) {
  const absl::StatusOr<TimeMachineReply> reply = RunTimeMachine(InputOf(WithCanary(), kChannelFile));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->hosts, 600);
  EXPECT_EQ(reply->simulated, 600);
  EXPECT_EQ(reply->affected, 460);
  for (size_t i = 0; i < 2; ++i) {
    const TimeMachineRun &with = reply->with_plan[i], &push = reply->everyone[i];
    EXPECT_GT(push.harmed, 250) << "60 % are online, and some more come";
    EXPECT_GE(with.harmed, 1) << "somebody has to be first";
    EXPECT_LE(with.harmed, 15);
    EXPECT_GE(with.exposed, with.harmed);
    EXPECT_EQ(with.last_ring, "lab");
    EXPECT_FALSE(with.everybody);
    // Stopped, or never proven: where the first few die, the budget lets in nobody else.
    if (with.stopped_after.has_value()) {
      EXPECT_THAT(with.stopped_by,
                  testing::AnyOf(testing::StartsWith("halt by "), testing::StartsWith("hold by ")));
    }
  }
}

// The governor limits even a plan that asks for nothing: what harms without any limit is the push.
TEST(TimeMachineTest, OneRingOfEverybodyHitsCustomersWhereACanaryHitsTheLab) {
  int64_t one_ring = 0, canary = 0;
  for (const bool with_canary : {false, true}) {
    TimeMachineInput input = InputOf(with_canary ? WithCanary() : OneRing(), "2023-07-18-sensor-6-58");
    input.seeds = {1, 2, 3, 4, 5, 6};
    const absl::StatusOr<TimeMachineReply> reply = RunTimeMachine(input);
    ASSERT_TRUE(reply.ok()) << reply.status();
    for (const TimeMachineRun& run : reply->with_plan) {
      (with_canary ? canary : one_ring) += run.harmed;
      if (with_canary) {
        EXPECT_EQ(run.last_ring, "lab");
      }
    }
  }
  EXPECT_GT(one_ring, 2 * canary) << "an hour passes before the first host dies";
}

TEST(TimeMachineTest, TheSameSeedGivesTheSameAnswerAndAnotherOneAnother) {
  TimeMachineInput input = InputOf(WithCanary(), kChannelFile);
  input.seeds = {7, 7, 8};
  const absl::StatusOr<TimeMachineReply> reply = RunTimeMachine(input);
  ASSERT_TRUE(reply.ok());
  const std::vector<TimeMachineRun>& runs = reply->with_plan;
  EXPECT_EQ(runs[0].harmed, runs[1].harmed);
  EXPECT_EQ(runs[0].exposed, runs[1].exposed);
  EXPECT_EQ(runs[0].stopped_after, runs[1].stopped_after);
  EXPECT_NE(runs[0].stopped_after, runs[2].stopped_after);
  EXPECT_EQ(reply->everyone[0].harmed, reply->everyone[1].harmed);
}

TEST(TimeMachineTest, ALargeFleetIsSimulatedSmallerInTheSameMix) {
  TimeMachineInput input = InputOf(WithCanary(), kChannelFile);
  for (policy::MixEntry& entry : input.mix) entry.hosts *= 10;
  input.most_hosts = 300;
  input.seeds = {1};
  const absl::StatusOr<TimeMachineReply> reply = RunTimeMachine(input);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->hosts, 6000);
  EXPECT_EQ(reply->simulated, 300);
  EXPECT_EQ(reply->affected, 4600);
  EXPECT_LE(reply->everyone[0].harmed, 230);
}

TEST(TimeMachineTest, WhoMayNotTakeItIsNotHarmed) {
  policy::Plan paused = WithCanary();
  paused.channels[0].mode = policy::ChannelMode::kPaused;
  policy::Plan asks = WithCanary();
  asks.rings[0].approval = policy::Approval::kExplicit;
  policy::Plan behind = WithCanary();
  behind.channels[0].lag = 1;
  for (const policy::Plan& plan : {paused, asks, behind}) {
    const absl::StatusOr<TimeMachineReply> reply = RunTimeMachine(InputOf(plan, kChannelFile));
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->with_plan[0].exposed, 0);
    EXPECT_GT(reply->everyone[0].harmed, 250);
  }
}

TEST(TimeMachineTest, AnIncidentThatHitsNobodyHereSaysSoAndTheHostsMayBeNamed) {
  TimeMachineInput input = InputOf(WithCanary(), "2019-10-02-sensor-and-dlp");
  input.seeds = {1};
  absl::StatusOr<TimeMachineReply> reply = RunTimeMachine(input);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->affected, 0);
  EXPECT_TRUE(reply->with_plan.empty());
  input.affects = policy::Selector{{{"platform", {"linux"}}}};
  reply = RunTimeMachine(input);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->affected, 140);
  EXPECT_EQ(reply->with_plan.size(), 1u);
}

TEST(TimeMachineTest, AFileThatIsNotUnderstoodIsRefusedWithItsLine) {
  const absl::StatusOr<Incident> incident =
      ParseIncident("mine.yaml", "schema: ringfence-incident/1\nid: x\nwhen: now\n");
  ASSERT_FALSE(incident.ok());
  EXPECT_THAT(std::string(incident.status().message()), testing::StartsWith("mine.yaml:3: "));
  EXPECT_FALSE(ParseIncident("mine.yaml", "{").ok());
  EXPECT_FALSE(RunTimeMachine(TimeMachineInput()).ok());
}

}  // namespace
}  // namespace ringfence::replay
