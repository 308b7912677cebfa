// A host in safe mode runs, and reports; what it runs may still be what broke it.
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

TEST(SafeModeTest, AProvenHostThatStartsInSafeModeIsTakenBackAsOneThatCrashed) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 30);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy >= 1; }, absl::Hours(1)));
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Minutes(5));
  int proven = -1;
  for (int i = 0; i < 30; ++i) {
    if (fleet.host(i).running["content"] == release.digest) proven = i;
  }
  ASSERT_GE(proven, 0);
  const int64_t healthy = fleet.Rollout(1).health.healthy;
  const int64_t harmed = fleet.Rollout(1).ledger.harmed;

  app::AgentEvent safe_mode;
  safe_mode.seq = 900;
  safe_mode.kind = app::EventKind::kSafeMode;
  ASSERT_TRUE(fleet.Say(proven, {safe_mode}).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy - 1);
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, harmed + 1);
}

}  // namespace
}  // namespace ringfence::test
