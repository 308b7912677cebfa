// What one tenant decides must not decide for another.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

// How long the hold of the scope may stay undecided; zero when there is none.
absl::Duration Undecided(FleetHarness& fleet, const std::string& tenant) {
  for (const storage::BrakeRow& brake : fleet.Rollout(1).brakes) {
    if (brake.held && brake.scope.tenant == tenant) return brake.hold_revert_at - brake.at;
  }
  return absl::ZeroDuration();
}

TEST(TenantsTest, EachTenantsHoldStaysUndecidedForAsLongAsItsOwnPlanSays) {
  FleetHarness fleet(CustomersOnly());
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kDegrades; };
  for (const char* tenant : {"acme", "beta", "gamma"}) fleet.AddRing(tenant, "all", 20);
  fleet.Start();
  const auto apply = [&](const std::string& tenant, absl::Duration undecided, bool gates) {
    policy::Plan plan = PlanOf(tenant, {RingNamed("all")});
    if (gates) plan.gates = Gates();
    plan.gates.on_breach = policy::OnBreach::kHold;
    plan.hold_revert_after = undecided;
    fleet.Apply(plan);
  };
  apply("acme", absl::Hours(1), true);
  apply("beta", absl::Hours(3), true);  // the same gates
  apply("gamma", absl::Minutes(10), false);
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Decided("hold", "gate_degraded"); }, absl::Hours(12)));
  EXPECT_EQ(Undecided(fleet, "acme"), absl::Hours(1));
  EXPECT_EQ(Undecided(fleet, "beta"), absl::Hours(3));
  EXPECT_EQ(Undecided(fleet, "gamma"), absl::ZeroDuration()) << "it has no gate";
}

class HoldForAllTest : public testing::TestWithParam<bool> {};

TEST_P(HoldForAllTest, StaysUndecidedAsTheVendorSaysOrElseTheShortestPlanThatNamesTheChannel) {
  const bool vendor = GetParam();
  FleetHarness::Options options;
  options.internal_tenant = vendor ? "vendor" : "";
  FleetHarness fleet(options);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kActivationFails; };
  for (const char* tenant : {"vendor", "acme", "beta"}) fleet.AddRing(tenant, "all", 20);
  fleet.Start();
  const auto apply = [&](const std::string& tenant, const std::string& channel, absl::Duration undecided) {
    policy::Plan plan = PlanOf(tenant, {RingNamed("all")});
    plan.channels[0].channel = channel;
    plan.hold_revert_after = undecided;
    fleet.Apply(plan);
  };
  apply("vendor", "content", absl::Hours(2));
  apply("acme", "content", absl::Hours(1));
  apply("beta", "sensor", absl::Minutes(1));  // it has nothing to do with it
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Decided("hold", "activation_failures"); }, absl::Hours(12)));
  EXPECT_EQ(Undecided(fleet, ""), vendor ? absl::Hours(2) : absl::Hours(1));
}
INSTANTIATE_TEST_SUITE_P(WithAndWithoutVendor, HoldForAllTest, testing::Bool());

}  // namespace
}  // namespace ringfence::test
