// What the method grants a sensor and no content: a reboot's time to be away, and a quarter more harm than
// chance.
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using testing::ElementsAre;

TEST(SensorMarginTest, ASensorIsWaitedForLongerAndToleratesMoreThanContent) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 16);
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  policy::ChannelRule sensor;
  sensor.channel = "sensor";
  plan.channels.push_back(sensor);
  fleet.Apply(plan);
  for (const char* channel : {"content", "sensor"}) {
    const policy::Release release = fleet.Publish(channel);
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 16; }, absl::Hours(48)));
  }

  std::set<absl::Duration> content_d, sensor_d;
  for (const auto& [key, row] : fleet.watch().exposures()) {
    (row.channel == "sensor" ? sensor_d : content_d).insert(row.deadline - row.exposed_at);
  }
  EXPECT_THAT(content_d, ElementsAre(absl::Seconds(225)));
  EXPECT_THAT(sensor_d, ElementsAre(absl::Seconds(225) + absl::Minutes(10)));

  const absl::Status status = fleet.store().ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    EXPECT_EQ((*tx.Judgement("content", 1))->rho0, 1.0);
    EXPECT_EQ((*tx.Judgement("sensor", 1))->rho0, 1.25);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace ringfence::test
