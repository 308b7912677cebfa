// The way of one release through the fleet, seen from the hosts.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
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
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 30; }, absl::Hours(12)))
      << fleet.Running(release.digest);
  EXPECT_TRUE(
      fleet.RunUntil([&] { return fleet.StateOf("acme", "all", 1) == StageState::kPassed; }, absl::Hours(1)));
  EXPECT_EQ(fleet.Violations(), "");
  EXPECT_FALSE(fleet.Stopped(1));
}

}  // namespace
}  // namespace ringfence::test
