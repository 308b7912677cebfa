// The way of one release through the fleet, seen from the hosts.
#include <algorithm>
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::StageState;

TEST(JourneyTest, AGoodReleaseReachesEveryHostOfTheVendorAndThenOfTheCustomer) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 12);
  fleet.AddRing("acme", "canary", 6);
  fleet.AddRing("acme", "all", 12);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  fleet.Apply(PlanOf("acme", {RingNamed("canary"), RingNamed("all", {0.5, 1})}));
  const policy::Release release = fleet.Publish();

  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.RunningIn("vendor", "dogfood", release.digest) > 0; },
                             absl::Minutes(30)));
  EXPECT_EQ(fleet.RunningIn("acme", "canary", release.digest), 0);
  EXPECT_THAT(fleet.Rollout(1).rings_to_come, testing::ElementsAre(testing::Pair("acme", 2)));
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 30; }, absl::Hours(12)))
      << fleet.Running(release.digest);
  EXPECT_TRUE(
      fleet.RunUntil([&] { return fleet.StateOf("acme", "all", 1) == StageState::kPassed; }, absl::Hours(1)));
  EXPECT_THAT(fleet.Rollout(1).rings_to_come, testing::IsEmpty());
  EXPECT_EQ(fleet.Violations(), "");
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST(JourneyTest, ARingIsToComeUntilItsTurnUnlessItLagsIsPausedOrHasANewerOne) {
  FleetHarness fleet(CustomersOnly());
  for (const char* ring : {"lead", "next", "late"}) fleet.AddRing("acme", ring, 4);
  fleet.AddRing("bolt", "all", 4);
  fleet.Start();
  fleet.Apply(PlanOf("acme", {RingNamed("lead"), RingNamed("next"), RingNamed("late", {1}, 1)}));
  policy::Plan paused = PlanOf("bolt", {RingNamed("all")});
  paused.channels[0].mode = policy::ChannelMode::kPaused;
  fleet.Apply(paused);
  const policy::Release first = fleet.Publish();
  fleet.RunFor(absl::Minutes(1));
  EXPECT_THAT(fleet.Rollout(1).rings_to_come, testing::ElementsAre(testing::Pair("acme", 2)));
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.StateOf("acme", "next", 1) == StageState::kPassed; },
                             absl::Hours(24)));
  EXPECT_THAT(fleet.Rollout(1).rings_to_come, testing::IsEmpty()) << "the last ring lags";
  fleet.Publish();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("acme", "late", first.digest) == 4; }, absl::Hours(24)));
  EXPECT_THAT(fleet.Rollout(1).rings_to_come, testing::IsEmpty());
}

// 16 hosts of the vendor's, that take content and sensors.
void StartWithSensor(FleetHarness& fleet) {
  fleet.AddRing("vendor", "dogfood", 16);
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  policy::ChannelRule sensor;
  sensor.channel = "sensor";
  plan.channels.push_back(sensor);
  fleet.Apply(plan);
}

// What the method grants a sensor and no content: a reboot's time to be away, and a quarter more harm than
// chance.
TEST(JourneyTest, ASensorIsWaitedForLongerAndToleratesMoreThanContent) {
  FleetHarness fleet;
  StartWithSensor(fleet);
  for (const char* channel : {"content", "sensor"}) {
    const policy::Release release = fleet.Publish(channel);
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 16; }, absl::Hours(48)));
  }

  std::set<absl::Duration> content_d, sensor_d;
  for (const auto& [key, row] : fleet.watch().exposures()) {
    (row.channel == "sensor" ? sensor_d : content_d).insert(row.deadline - row.exposed_at);
  }
  EXPECT_THAT(content_d, testing::ElementsAre(absl::Seconds(225)));
  EXPECT_THAT(sensor_d, testing::ElementsAre(absl::Seconds(225) + absl::Minutes(10)));

  const absl::Status status = fleet.store().ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    EXPECT_EQ((*tx.Judgement("content", 1))->rho0, 1.0);
    EXPECT_EQ((*tx.Judgement("sensor", 1))->rho0, 1.25);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(JourneyTest, SensorAndContentTravelTogetherWithOneProbationPerHost) {
  FleetHarness fleet;
  StartWithSensor(fleet);
  const policy::Release content = fleet.Publish("content");
  const policy::Release program = fleet.Publish("sensor");
  EXPECT_TRUE(fleet.RunUntil(
      [&] { return fleet.Running(content.digest) == 16 && fleet.Running(program.digest) == 16; },
      absl::Hours(48)));
  std::map<AgentId, std::vector<std::pair<absl::Time, absl::Time>>> probations;
  for (const auto& [key, row] : fleet.watch().exposures()) {
    probations[row.agent].emplace_back(row.exposed_at, row.deadline);
  }
  for (auto& [agent, spans] : probations) {
    std::sort(spans.begin(), spans.end());
    for (size_t i = 1; i < spans.size(); ++i) EXPECT_GE(spans[i].first, spans[i - 1].second);
  }
  EXPECT_EQ(fleet.Violations(), "");
  EXPECT_FALSE(fleet.Stopped(1));
}

}  // namespace
}  // namespace ringfence::test
