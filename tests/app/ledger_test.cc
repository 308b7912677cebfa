// What a release did stays on record, however many came after it.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

TEST(LedgerTest, OfAReleaseThatNobodyRunsAnyMoreIsTheSameAfterARestart) {
  FleetHarness fleet;
  Digest unlucky;
  fleet.effect = [&](const SimHost& host, const Digest& digest) {
    if (digest != unlucky) return Effect::kGood;
    return host.id == fleet.host(0).id   ? Effect::kActivationFails
           : host.id == fleet.host(1).id ? Effect::kBricks
                                         : Effect::kGood;
  };
  fleet.AddRing("vendor", "dogfood", 8);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  unlucky = fleet.NextRelease().digest;
  constexpr uint64_t kReleases = 11;
  for (uint64_t i = 1; i <= kReleases; ++i) {
    fleet.Publish();
    ASSERT_TRUE(
        fleet.RunUntil([&] { return fleet.StateOf("vendor", "dogfood", i) == policy::StageState::kPassed; },
                       absl::Hours(48)));
    fleet.RunFor(absl::Hours(2));
  }
  std::vector<app::RolloutInfo> before;
  for (uint64_t i = 1; i <= kReleases; ++i) before.push_back(fleet.Rollout(i));
  ASSERT_GE(before[0].ledger.exposed, 7);
  ASSERT_GE(before[0].ledger.harmed, 1);
  fleet.Restart();
  for (uint64_t i = 1; i <= kReleases; ++i) {
    SCOPED_TRACE(i);
    const app::RolloutInfo was = before[i - 1], is = fleet.Rollout(i);
    EXPECT_EQ(is.ledger.exposed, was.ledger.exposed);
    EXPECT_EQ(is.ledger.harmed, was.ledger.harmed);
    EXPECT_EQ(is.ledger.saved, was.ledger.saved);
    EXPECT_EQ(is.ledger.last_lease_at, was.ledger.last_lease_at);
    ASSERT_EQ(is.stages.size(), 1u);
    EXPECT_EQ(is.stages[0].outcomes, was.stages[0].outcomes);
  }
}

}  // namespace
}  // namespace ringfence::test
