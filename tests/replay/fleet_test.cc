#include "server/simulate/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "server/simulate/plan_builder.h"

namespace ringfence::replay {
namespace {

using ::testing::ElementsAre;

Scenario TwoTenants() {
  Scenario scenario;
  scenario.fleet.size = 1000;
  scenario.fleet.cohorts = {{"big", 0.9, {{"os", "win10"}}}, {"small", 0.1, {{"os", "mac"}}}};
  scenario.fleet.tenants.resize(2);
  scenario.fleet.tenants[0].name = kInternalTenant;
  scenario.fleet.tenants[0].share = 0.1;
  scenario.fleet.tenants[0].cohort_shares = {{"big", 1.0}};
  scenario.fleet.tenants[1].name = "corp";
  scenario.fleet.tenants[1].share = 0.9;
  scenario.fleet.tenants[1].content.mode = policy::ChannelMode::kPaused;
  scenario.fleet.tenants[1].sensor.lag = 1;
  RingSpec internal{"internal", {kInternalTenant}, 0, 0, false, {0.1, 1}, 10 * kMinute};
  RingSpec canary{"canary", {}, 0.02, 10, false, {1}, 10 * kMinute};
  RingSpec broad{"broad", {}, 0, 0, true, {0.5, 1}, 10 * kMinute};
  scenario.plan.rings = {internal, canary, broad};
  scenario.plan.soak_factor = 0.25;
  return scenario;
}

TEST(ApportionTest, SplitsExactlyWithTheLargestRemaindersUp) {
  EXPECT_THAT(Apportion(10, {0.5, 0.5}), ElementsAre(5, 5));
  EXPECT_THAT(Apportion(10, {1, 1, 1}), ElementsAre(4, 3, 3));
  EXPECT_THAT(Apportion(7, {0.01, 0.99}), ElementsAre(0, 7));
  EXPECT_THAT(Apportion(3, {0, 0}), ElementsAre(0, 0));
}

TEST(FleetTest, GivesTenantsAndCohortsTheirShares) {
  const Scenario scenario = TwoTenants();
  const auto fleet = MakeFleet(scenario, 1, 1);
  ASSERT_TRUE(fleet.ok());
  std::map<std::pair<int, int>, int> counts;
  for (const Host& host : fleet->hosts) ++counts[{host.tenant, host.cohort}];
  EXPECT_EQ((counts[{0, 0}]), 100);
  EXPECT_EQ((counts[{0, 1}]), 0);  // the tenant's own mix
  EXPECT_EQ((counts[{1, 0}]), 810);
  EXPECT_EQ((counts[{1, 1}]), 90);
}

TEST(FleetTest, AssignsRingsInOrderAndTopsUpCohorts) {
  const Scenario scenario = TwoTenants();
  const auto fleet = MakeFleet(scenario, 1, 1);
  ASSERT_TRUE(fleet.ok());
  std::map<int, int> of_ring;
  std::map<int, int> canary_of_cohort;
  for (const Host& host : fleet->hosts) {
    ++of_ring[host.ring];
    if (host.ring == 1) ++canary_of_cohort[host.cohort];
    EXPECT_EQ(host.ring == 0, host.tenant == 0);
    EXPECT_TRUE(fleet->label_sets[host.labels].labels.Has("ring", scenario.plan.rings[host.ring].name));
  }
  EXPECT_GE(of_ring[1], 20);
  EXPECT_LE(of_ring[1], 30);
  EXPECT_GE(canary_of_cohort[1], 10);
}

TEST(FleetTest, DependsOnTheSeedAndOnNothingElse) {
  const Scenario scenario = TwoTenants();
  const auto one = MakeFleet(scenario, 1, 1);
  const auto again = MakeFleet(scenario, 1, 1);
  const auto other = MakeFleet(scenario, 2, 1);
  ASSERT_TRUE(one.ok() && again.ok() && other.ok());
  EXPECT_EQ(one->hosts[500].id, again->hosts[500].id);
  EXPECT_EQ(one->hosts[500].ring, again->hosts[500].ring);
  EXPECT_NE(one->hosts[500].id, other->hosts[500].id);
}

TEST(FleetTest, ScalesTheNumberOfHosts) {
  const Scenario scenario = TwoTenants();
  const auto fleet = MakeFleet(scenario, 1, 0.1);
  ASSERT_TRUE(fleet.ok());
  EXPECT_EQ(fleet->hosts.size(), 100u);
}

TEST(FleetTest, MatchesPseudoLabels) {
  const Scenario scenario = TwoTenants();
  const auto fleet = MakeFleet(scenario, 1, 1);
  ASSERT_TRUE(fleet.ok());
  const policy::Selector internal{{{"tenant", {kInternalTenant}}}};
  const policy::Selector broad{{{"ring", {"broad", "early"}}, {"os", {"win10"}}}};
  for (const Host& host : fleet->hosts) {
    EXPECT_EQ(fleet->Matches(internal, host), host.tenant == 0);
    EXPECT_EQ(fleet->Matches(broad, host), host.ring == 2 && host.cohort == 0);
  }
}

TEST(PlanBuilderTest, MakesOneLegalPlanPerTenantWithItsOwnRule) {
  const std::vector<policy::Plan> plans = BuildPlans(TwoTenants());
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_TRUE(policy::Validate(plans[0]).empty());
  EXPECT_TRUE(policy::Validate(plans[1]).empty());
  EXPECT_EQ(plans[0].rings.size(), 3u);
  EXPECT_EQ(plans[1].rings.size(), 2u);  // the internal ring is the vendor's alone
  EXPECT_EQ(policy::FindRule(plans[1], kContentChannel)->mode, policy::ChannelMode::kPaused);
  EXPECT_EQ(policy::FindRule(plans[1], kSensorChannel)->lag, 1);
  EXPECT_EQ(plans[1].urgent_soak_factor, policy::Ppm(250'000));
}

}  // namespace
}  // namespace ringfence::replay
