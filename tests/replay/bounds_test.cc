#include "bounds.h"

#include <gtest/gtest.h>

namespace ringfence::replay {
namespace {

// Three hosts in two rings; the first two get the release, the first is harmed.
class BoundsTest : public ::testing::Test {
 protected:
  BoundsTest() {
    scenario_.horizon = 4 * kHour;
    scenario_.fleet.tenants.resize(2);
    scenario_.fleet.tenants[0].name = kInternalTenant;
    scenario_.fleet.tenants[1].name = "corp";
    scenario_.plan.rings.resize(2);
    scenario_.plan.rings[0].name = "canary";
    scenario_.plan.rings[1].name = "broad";
    scenario_.releases.resize(1);
    scenario_.releases[0].id = "r1";
    fleet_.scenario = &scenario_;
    fleet_.hosts.resize(3);
    fleet_.hosts[0].ring = 0;
    fleet_.hosts[1].ring = 1;
    fleet_.hosts[1].tenant = 1;
    fleet_.hosts[2].ring = 1;
    ledger_.versions = {{0, "before", Digest{}, 0, -1, false}, {0, "ch-1", Digest{}, 100, 0, true}};
    PublishRecord publish;
    publish.version = 1;
    publish.accepted = true;
    ledger_.publishes = {publish};
    ledger_.grants = {{10 * kMinute, 0, 1}, {30 * kMinute, 1, 1}};
    ledger_.activations = {{10 * kMinute, 0, 1}, {30 * kMinute, 1, 1}};
    ledger_.harms = {{20 * kMinute, 0, 1, 0, 80 * kMinute}};
  }

  MetricValue Value(const Bound& bound) {
    return Measure({scenario_, fleet_, ledger_, record_, nullptr}, bound);
  }
  bool HoldsFor(const Bound& bound) { return Holds(bound, Value(bound)); }

  storage::DecisionRow Stop(Micros at, const std::string& rule, const std::string& cohort) {
    storage::DecisionRow row;
    row.at = ToWall(at);
    row.actor = "server";
    row.action = "halt";
    row.rule = rule;
    row.cohort = cohort;
    row.channel = "content";
    row.serial = 100;
    return row;
  }

  Scenario scenario_;
  Fleet fleet_;
  Ledger ledger_;
  ServerRecord record_;
};

Bound Named(const std::string& metric) {
  Bound bound;
  bound.metric = metric;
  return bound;
}

TEST_F(BoundsTest, CountsHostsOnce) {
  ledger_.grants.push_back({40 * kMinute, 1, 1});
  Bound bound = Named("offered_hosts");
  bound.equals = "2";
  EXPECT_TRUE(HoldsFor(bound));
  bound.equals = "3";
  EXPECT_FALSE(HoldsFor(bound));
}

TEST_F(BoundsTest, HarmOfTheVendorIsNotHarmOfCustomers) {
  Bound harmed = Named("harmed_hosts");
  harmed.max = 0;
  EXPECT_FALSE(HoldsFor(harmed));
  Bound customers = Named("customer_hosts_harmed");
  customers.max = 0;
  EXPECT_TRUE(HoldsFor(customers));
}

TEST_F(BoundsTest, MeasuresFromTheFirstHarmToTheLastOffer) {
  Bound bound = Named("minutes_first_harm_to_last_offer");
  bound.max = 10;
  EXPECT_TRUE(HoldsFor(bound));
  bound.max = 9.9;
  EXPECT_FALSE(HoldsFor(bound));
}

TEST_F(BoundsTest, AnOfferInALaterRingIsNotContained) {
  Bound bound = Named("contained_in");
  bound.ring = "canary";
  EXPECT_FALSE(HoldsFor(bound));
  ledger_.grants.pop_back();
  EXPECT_TRUE(HoldsFor(bound));
}

TEST_F(BoundsTest, AnOfferInALaterWaveOfTheRingIsNotContained) {
  ledger_.grants.pop_back();
  storage::ExposureRow row;
  row.ring = "canary";
  row.wave = 1;  // the second
  record_.exposures[1] = {row};
  Bound bound = Named("contained_in");
  bound.ring = "canary";
  bound.wave = 2;
  EXPECT_TRUE(HoldsFor(bound));
  bound.wave = 1;
  EXPECT_FALSE(HoldsFor(bound));
}

TEST_F(BoundsTest, RecoveryCountsWithinItsTimeOnly) {
  Bound bound = Named("recovered_fraction_of_harmed");
  bound.min = 1;
  bound.within = kHour;
  EXPECT_TRUE(HoldsFor(bound));
  bound.within = 59 * kMinute;
  EXPECT_FALSE(HoldsFor(bound));
}

TEST_F(BoundsTest, AHaltBeforeAnyHarmIsFalseAndOneAfterIsNot) {
  Bound bound = Named("false_halts");
  bound.max = 0;
  record_.decisions = {Stop(21 * kMinute, "gate_crash", "")};
  EXPECT_TRUE(HoldsFor(bound));
  record_.decisions = {Stop(19 * kMinute, "gate_crash", "")};
  EXPECT_FALSE(HoldsFor(bound));
  // A true early sign of the fault makes it right.
  ledger_.first_early_sign = 18 * kMinute;
  EXPECT_TRUE(HoldsFor(bound));
}

TEST_F(BoundsTest, AHaltNamesItsGateAndCohort) {
  record_.decisions = {Stop(21 * kMinute, "gate_silence", "os=win10")};
  Bound bound = Named("halt_names");
  bound.gate = "silence";
  bound.labels_any = {{{"os", "xp"}}, {{"os", "win10"}}};
  EXPECT_TRUE(HoldsFor(bound));
  bound.labels_any = {{{"os", "xp"}}};
  EXPECT_FALSE(HoldsFor(bound));
  record_.decisions[0].cohort = "";
  EXPECT_FALSE(HoldsFor(bound));
  bound.or_scope = "release";
  EXPECT_TRUE(HoldsFor(bound));
  bound.gate = "crash";
  EXPECT_FALSE(HoldsFor(bound));
}

TEST_F(BoundsTest, RevertOrdersAreCountedInTheBusiestMinute) {
  for (int i = 0; i < 10; ++i) ledger_.revert_orders.push_back({i * 30 * kSecond, 0});
  Bound bound = Named("revert_offers_in_any_minute_fraction_of_reverting");
  bound.equals = "0.2";
  EXPECT_TRUE(HoldsFor(bound));
}

TEST_F(BoundsTest, AMetricWithoutItsFeatureNeverHolds) {
  Bound bound = Named("agent_refusals");
  bound.equals = "true";
  EXPECT_FALSE(HoldsFor(bound));
  EXPECT_NE(Describe(bound, Value(bound)).find("does not exist yet"), std::string::npos);
}

TEST_F(BoundsTest, AfterPeopleExcludedACohortTheRestGetsItAndNobodyMoreIsHarmed) {
  Bound bound = Named("resume_excluding");
  const auto holds = [&](const Ledger* resumed) {
    return Holds(bound, Measure({scenario_, fleet_, ledger_, record_, nullptr, resumed}, bound));
  };
  EXPECT_FALSE(holds(nullptr)) << "no second run was made";
  Ledger resumed = ledger_;
  EXPECT_FALSE(holds(&resumed)) << "nobody stopped it";
  resumed.excluded_at = 25 * kMinute;
  EXPECT_FALSE(holds(&resumed)) << "nobody else got it";
  resumed.coverage = {{20 * kMinute, 1, 10, 10}, {3 * kHour, 1, 100, 94}};
  EXPECT_FALSE(holds(&resumed));
  resumed.coverage.back().running = 95;
  EXPECT_TRUE(holds(&resumed));
  resumed.harms.push_back({26 * kMinute, 1, 1, 0, 80 * kMinute});
  EXPECT_FALSE(holds(&resumed));
}

TEST_F(BoundsTest, EveryHostThatAnnouncesAnUpgradeMustBeToldBeforeIt) {
  Bound bound = Named("hold_before_reboot");
  EXPECT_FALSE(HoldsFor(bound));  // nobody announced any
  scenario_.events.emplace_back().labels_after = {{"kernel", "20"}};
  ledger_.pending_notices = {{kHour, kHour + 30 * kMinute, 1, 0}, {kHour, kHour + 30 * kMinute, 2, 0}};
  ledger_.revert_orders = {{kHour + kMinute, 1}, {kHour + 31 * kMinute, 2}};
  EXPECT_FALSE(HoldsFor(bound));
  ledger_.revert_orders.push_back({kHour + 30 * kMinute, 2});
  EXPECT_TRUE(HoldsFor(bound));
}

TEST_F(BoundsTest, ARequestToPassOverRingsIsSafeOnceItIsOnRecord) {
  Bound bound = Named("bypass_request");
  bound.equals = "refused_or_recorded_and_ignored";
  EXPECT_FALSE(HoldsFor(bound));  // nobody asked
  scenario_.releases[0].skip_rings_requested = true;
  EXPECT_FALSE(HoldsFor(bound));
  record_.audit.emplace_back().act = "bypass_denied";
  EXPECT_TRUE(HoldsFor(bound));
}

TEST_F(BoundsTest, ARefusalIsToldWithItsClass) {
  ledger_.publishes[0].accepted = false;
  ledger_.publishes[0].refusal = "malformed";
  Bound result = Named("publish_result");
  result.equals = "refused";
  EXPECT_TRUE(HoldsFor(result));
  Bound refusal = Named("refusal_class");
  refusal.one_of = {"schema_mismatch", "malformed"};
  EXPECT_TRUE(HoldsFor(refusal));
}

}  // namespace
}  // namespace ringfence::replay
