// The rules of a plan by their effect, in production wiring (knobs_test.cc has the other knobs); and why not,
// for each reason.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::Reason;
using policy::StageState;
using storage::Outcome;

class PlanRulesTest : public OneCustomerTest {
 protected:
  void Begin(const policy::Plan& plan, int hosts = 30) { OneCustomerTest::Begin(plan, hosts); }
};

TEST_F(PlanRulesTest, AnNMinusOneRingTakesTheOlderRelease) {
  Begin(PlanOf("acme", {RingNamed("lead"), RingNamed("late", {1}, 1)}), 6);
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(Until(6, first));
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.RunningIn("acme", "late", first.digest), 0) << "nothing to lag behind yet";
  EXPECT_EQ(fleet.app().Explain(fleet.host(6).id, "content", 1)->eligibility.reason, Reason::kNothingToLag);
  const policy::Release second = fleet.Publish();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("acme", "late", first.digest) == 6; }, absl::Hours(24)));
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.RunningIn("acme", "late", second.digest), 0);
  EXPECT_EQ(fleet.RunningIn("acme", "lead", second.digest), 6);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanRulesTest, APinnedChannelTakesThatVersionOnly) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  plan.channels[0].mode = policy::ChannelMode::kPinned;
  plan.channels[0].pinned_version = "v2";
  Begin(plan, 6);
  const policy::Release first = fleet.Publish();
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(first.digest), 0);
  const policy::Release second = fleet.Publish();
  EXPECT_TRUE(Until(6, second));
  const policy::Release third = fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(third.digest), 0);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanRulesTest, APausedChannelTakesNothing) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  plan.channels[0].mode = policy::ChannelMode::kPaused;
  Begin(plan, 6);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(release.digest), 0);
}

TEST_F(PlanRulesTest, MinimumAgeIsCountedInHealthyTime) {
  policy::Ring late = RingNamed("late");
  late.min_age = absl::Hours(10);
  Begin(PlanOf("acme", {RingNamed("lead"), late}), 6);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(1, release));
  fleet.RunFor(absl::Hours(9));
  EXPECT_EQ(fleet.RunningIn("acme", "late", release.digest), 0);
  EXPECT_EQ(fleet.app().Explain(fleet.host(6).id, "content", 1)->eligibility.reason, Reason::kMinAge);
  EXPECT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("acme", "late", release.digest) > 0; }, absl::Hours(3)));
}

TEST_F(PlanRulesTest, AReleaseThatFewerThanHalfOfItsHostsRunInHealthGrowsNoOlder) {
  policy::Ring late = RingNamed("late");
  late.min_age = absl::Hours(4);
  Begin(PlanOf("acme", {RingNamed("lead"), late}), 6);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy == 6; }, absl::Hours(12)));
  for (int i = 0; i < 4; ++i) fleet.host(i).away = true;  // silent: no longer proven
  fleet.RunFor(absl::Hours(24));
  EXPECT_EQ(fleet.Rollout(1).health.healthy, 2);
  EXPECT_EQ(fleet.RunningIn("acme", "late", release.digest), 0);
}

TEST_F(PlanRulesTest, ATimeOfPauseIsNoHealthyTime) {
  policy::Ring late = RingNamed("late");
  late.min_age = absl::Hours(4);
  Begin(PlanOf("acme", {RingNamed("lead"), late}), 6);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(6, release));
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Hours(24));
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), {"", "content", 1, ""}, app::BrakeKind::kPause).ok());
  fleet.RunFor(absl::Hours(1));
  EXPECT_EQ(fleet.RunningIn("acme", "late", release.digest), 0);
}

TEST_F(PlanRulesTest, AWaveLetsInItsShareAndItsMostHosts) {
  policy::Ring ring = RingNamed("all", {0.5, 1});
  ring.soak = absl::Hours(20);
  ring.waves[0].max_hosts = 3;
  Begin(PlanOf("acme", {ring}), 30);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(15));
  EXPECT_EQ(fleet.Running(release.digest), 3);
  EXPECT_TRUE(Until(30, release));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanRulesTest, SoakIsServedInFullAndNotWhilePaused) {
  policy::Ring ring = RingNamed("all", {0.1, 1});
  ring.soak = absl::Hours(5);
  Begin(PlanOf("acme", {ring}), 30);
  fleet.Publish();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.StateOf("acme", "all", 1) == StageState::kOpen; }, absl::Hours(1)));
  fleet.RunFor(absl::Hours(2));
  ASSERT_TRUE(fleet.app().Pause(fleet.Admin("acme"), {"acme", "", 0, ""}).ok());
  fleet.RunFor(absl::Hours(10));
  ASSERT_TRUE(fleet.app().Resume(fleet.Admin("acme"), {"acme", "", 0, ""}, app::BrakeKind::kPause).ok());
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.StageOf("acme", "all", 1)->wave, 0);
  fleet.Restart();
  fleet.RunFor(absl::Minutes(50));
  EXPECT_EQ(fleet.StageOf("acme", "all", 1)->wave, 0);
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.StageOf("acme", "all", 1)->wave == 1; }, absl::Hours(1)));
}

TEST_F(PlanRulesTest, ShortWindowsDoNotCollapseToEveryoneNow) {  // trap 14 of the peers
  policy::Ring ring = RingNamed("all", {0.1, 0.2, 1});
  ring.soak = absl::ZeroDuration();
  Begin(PlanOf("acme", {ring}), 40);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.StateOf("acme", "all", 1) == StageState::kOpen; }, absl::Hours(1)));
  fleet.RunFor(absl::Minutes(10));
  EXPECT_LE(fleet.Running(release.digest), 4);
  fleet.RunFor(absl::Minutes(10));
  EXPECT_LE(fleet.Running(release.digest), 20);
}

TEST_F(PlanRulesTest, HostsPerMinuteHoldInEveryMinute) {
  policy::Ring ring = RingNamed("all");
  ring.hosts_per_minute = 1;
  Begin(PlanOf("acme", {ring}), 60);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(50, release));
  std::vector<absl::Time> times;
  for (const auto& [key, row] : fleet.watch().exposures()) times.push_back(row.exposed_at);
  std::sort(times.begin(), times.end());
  for (size_t i = 1; i < times.size(); ++i) EXPECT_GE(times[i] - times[i - 1], absl::Seconds(60));
}

TEST_F(PlanRulesTest, AHostOutsideTheMatrixIsNeverToldOfTheRelease) {
  fleet.AddHost("acme", {{"ring", "all"}, {"os", "xp"}});
  fleet.AddHost("acme", {{"os", "win10"}});  // no ring
  Begin(PlanOf("acme", {RingNamed("all")}), 6);
  policy::Release release = fleet.NextRelease();
  release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
  const auto published = fleet.TryPublish(release);
  ASSERT_TRUE(published.ok());
  ASSERT_TRUE(Until(6, *published));
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(published->digest), 6);
  EXPECT_TRUE(fleet.host(0).staged.empty());
  EXPECT_TRUE(fleet.host(1).staged.empty());
  EXPECT_EQ(fleet.app().Explain(fleet.host(0).id, "content", 1)->eligibility.reason, Reason::kNotQualified);
  EXPECT_EQ(fleet.app().Explain(fleet.host(1).id, "content", 1)->eligibility.reason, Reason::kNoRing);
}

TEST_F(PlanRulesTest, AHostThatIsMovedIntoTheFirstRingDoesNotJumpItsWaves) {  // trap 16 of the peers
  policy::Ring ring = RingNamed("canary", {0.2, 1});
  ring.soak = absl::Hours(12);
  Begin(PlanOf("acme", {ring, RingNamed("all")}), 10);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(2, release));
  for (int i = 10; i < 20; ++i) {
    fleet.Relabel(i, {{"ring", "canary"}, {"os", "win10"}});
    fleet.host(i).send_labels = true;
  }
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(release.digest), 2) << "the cap was fixed when the wave opened";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanRulesTest, AStageFinishesItsReleaseAndSkipsThoseBetween) {
  Begin(PlanOf("acme", {RingNamed("all")}), 8);
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(Until(1, first));
  const policy::Release second = fleet.Publish();
  const policy::Release third = fleet.Publish();
  ASSERT_TRUE(Until(8, first));
  ASSERT_TRUE(Until(8, third));
  for (const SimHost& host : fleet.hosts()) EXPECT_FALSE(host.activated_at.contains(second.digest));
}

TEST_F(PlanRulesTest, AfterAHaltTheFixStartsAtTheFirstRing) {
  Begin(PlanOf("acme", {RingNamed("canary"), RingNamed("all")}), 8);
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("acme", "all", first.digest) > 0; }, absl::Hours(24)));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"", "content", 1, ""}).ok());
  const policy::Release fix = fleet.Publish();
  ASSERT_TRUE(Until(1, fix));
  EXPECT_EQ(fleet.RunningIn("acme", "all", fix.digest), 0);
  ASSERT_TRUE(Until(16, fix));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanRulesTest, ARingThatEverybodyLeftBeforeAnyTookItIsVacant) {
  Begin(PlanOf("acme", {RingNamed("canary"), RingNamed("all")}), 4);
  for (int i = 0; i < 4; ++i) fleet.host(i).away = true;
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.StateOf("acme", "canary", 1) == StageState::kOpen; },
                             absl::Hours(1)));
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(fleet.app().DeleteAgent(fleet.Admin("acme"), fleet.host(i).id).ok());
  EXPECT_TRUE(Until(4, release));
  EXPECT_EQ(fleet.StateOf("acme", "canary", 1), StageState::kVacant);
  EXPECT_TRUE(fleet.Decided("vacant", "vacant"));
}

struct GateCase {
  Effect effect;
  std::string gate;
  policy::OnBreach act;
};
class GateTest : public testing::TestWithParam<GateCase> {};

TEST_P(GateTest, ActsAsThePlanSays) {
  FleetHarness fleet(CustomersOnly());
  fleet.AddRing("acme", "all", 200);
  int n = 0;
  fleet.effect = [&](const SimHost&, const Digest&) {
    return ++n % 5 == 0 ? GetParam().effect : Effect::kGood;
  };
  fleet.Start();
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  policy::SloGates gates = Gates();
  plan.gates.on_breach = GetParam().act;
  if (GetParam().gate == "crash") plan.gates.crash = gates.crash;
  if (GetParam().gate == "degraded") plan.gates.degraded = gates.degraded;
  if (GetParam().gate == "silence") plan.gates.silence = gates.silence;
  fleet.Apply(plan);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(24)));
  const bool hold = GetParam().act == policy::OnBreach::kHold;
  const std::string rule = absl::StrCat("gate_", GetParam().gate);
  // The method may be faster; only the gate judges what the method does not look at.
  if (GetParam().gate == "degraded") {
    EXPECT_TRUE(fleet.Decided(hold ? "hold" : "halt", rule));
  }
  const int64_t running = fleet.Running(release.digest);
  fleet.RunFor(absl::Minutes(25));
  if (fleet.Decided("halt", rule) && GetParam().act == policy::OnBreach::kHaltAndRevert) {
    EXPECT_LT(fleet.Running(release.digest), running);
  }
  if (fleet.Decided("halt", rule) && GetParam().act == policy::OnBreach::kHalt) {
    EXPECT_GE(fleet.Running(release.digest), running);
  }
  EXPECT_EQ(fleet.Violations(), "");
}
INSTANTIATE_TEST_SUITE_P(
    EachGateAndAct, GateTest,
    testing::Values(GateCase{Effect::kDegrades, "degraded", policy::OnBreach::kHold},
                    GateCase{Effect::kDegrades, "degraded", policy::OnBreach::kHalt},
                    GateCase{Effect::kDegrades, "degraded", policy::OnBreach::kHaltAndRevert},
                    GateCase{Effect::kCrashes, "crash", policy::OnBreach::kHaltAndRevert},
                    GateCase{Effect::kBricksLater, "silence", policy::OnBreach::kHalt}));

TEST(TenantsTest, ABreachOfOneCustomersPlanStopsThatCustomerOnly) {
  FleetHarness fleet(CustomersOnly());
  fleet.AddRing("acme", "all", 60);
  fleet.AddRing("bolt", "all", 60);
  int n = 0;
  fleet.effect = [&](const SimHost& host, const Digest&) {
    return host.tenant == "acme" && ++n % 2 == 0 ? Effect::kDegrades : Effect::kGood;
  };
  fleet.Start();
  policy::Plan strict = PlanOf("acme", {RingNamed("all")});
  strict.gates = Gates();
  fleet.Apply(strict);
  fleet.Apply(PlanOf("bolt", {RingNamed("all")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Decided("halt", "gate_degraded"); }, absl::Hours(24)));
  EXPECT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("bolt", "all", release.digest) == 60; }, absl::Hours(48)));
  EXPECT_EQ(fleet.StateOf("acme", "all", 1), StageState::kHalted);
  EXPECT_EQ(fleet.Violations(), "");
}

// ---- why not: the first closed gate, for every reason that Explain may give

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    fleet.AddRing("vendor", "dogfood", 4);
    fleet.AddRing("acme", "canary", 6);
    fleet.AddRing("acme", "all", 6);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    plan = PlanOf("acme", {RingNamed("canary"), RingNamed("all")});
    fleet.Apply(plan);
  }
  Reason Why(int host, uint64_t serial = 1) {
    const auto reply = fleet.app().Explain(fleet.host(host).id, "content", serial);
    EXPECT_TRUE(reply.ok());
    if (!reply.ok()) return Reason::kNoRelease;
    EXPECT_FALSE(reply->eligibility.gates.empty());
    return reply->eligibility.reason;
  }
  void UntilCanary() {
    ASSERT_TRUE(fleet.RunUntil(
        [&] {
          return fleet.StageOf("acme", "canary", 1) != nullptr &&
                 fleet.StateOf("acme", "canary", 1) == StageState::kOpen;
        },
        absl::Hours(24)));
  }
  static constexpr int kVendor = 0, kCanary = 4, kLate = 10;
  FleetHarness fleet;
  policy::Plan plan;
};

TEST_F(ExplainTest, NothingPublishedAndNobodyThere) {
  EXPECT_TRUE(absl::IsNotFound(fleet.app().Explain(fleet.host(0).id, "content", 0).status()));
  fleet.Publish();
  EXPECT_TRUE(absl::IsNotFound(fleet.app().Explain(AgentId(), "content", 1).status()));
}

TEST_F(ExplainTest, WhatThePlanAndTheReleaseSay) {
  policy::Release narrow = fleet.NextRelease();
  narrow.targets = policy::Selector{{{"os", {"win11"}}}};
  ASSERT_TRUE(fleet.TryPublish(narrow).ok());
  EXPECT_EQ(Why(kCanary), Reason::kNotTargeted);
  policy::Release uncovered = fleet.NextRelease();
  uncovered.matrix = {policy::Selector{{{"os", {"win11"}}}}};
  ASSERT_TRUE(fleet.TryPublish(uncovered).ok());
  EXPECT_EQ(Why(kCanary, 2), Reason::kNotQualified);
  fleet.Publish();
  EXPECT_EQ(Why(kCanary, 3), Reason::kInternalNotPassed);
  plan.channels[0].mode = policy::ChannelMode::kPaused;
  fleet.Apply(plan);
  EXPECT_EQ(Why(kCanary, 3), Reason::kChannelPaused);
  plan.channels[0].mode = policy::ChannelMode::kPinned;
  plan.channels[0].pinned_version = "v9";
  fleet.Apply(plan);
  EXPECT_EQ(Why(kCanary, 3), Reason::kPinned);
  plan.channels[0] = policy::ChannelRule();
  plan.channels[0].channel = "sensor";
  fleet.Apply(plan);
  EXPECT_EQ(Why(kCanary, 3), Reason::kChannelNotInPlan);
  plan.rings.pop_back();
  fleet.Apply(plan);
  EXPECT_EQ(Why(kLate, 3), Reason::kNoRing);
}

TEST_F(ExplainTest, WhereTheReleaseStands) {
  fleet.Publish();
  fleet.Step();
  EXPECT_EQ(Why(kVendor), Reason::kStageWaiting);
  UntilCanary();
  EXPECT_EQ(Why(kLate), Reason::kEarlierRingNotPassed);
  EXPECT_EQ(Why(kVendor), Reason::kAlreadyRunning);
  fleet.Publish();
  fleet.RunFor(absl::Minutes(1));
  EXPECT_EQ(Why(kCanary, 2), Reason::kInternalNotPassed);
}

TEST_F(ExplainTest, Brakes) {
  fleet.Publish();
  UntilCanary();
  int host = kCanary;
  while (fleet.host(host).activated_at.size() > 0) ++host;
  EXPECT_EQ(Why(host), Reason::kNone);
  ASSERT_TRUE(fleet.app().Pause(fleet.Admin("acme"), {"acme", "", 0, ""}).ok());
  EXPECT_EQ(Why(host), Reason::kTenantPaused);
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
  EXPECT_EQ(Why(host), Reason::kVendorPaused);
  ASSERT_TRUE(fleet.app().RollBack(fleet.Sre(), {"", "content", 1, ""}).ok());
  EXPECT_EQ(Why(host), Reason::kHalted);
  EXPECT_EQ(Why(kVendor), Reason::kReverting);
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(Why(kVendor), Reason::kQuarantined);
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  EXPECT_EQ(Why(host), Reason::kRecalled);
}

TEST_F(ExplainTest, AHoldAndABlindServer) {
  fleet.Publish();
  UntilCanary();
  int host = kCanary;
  while (fleet.host(host).activated_at.size() > 0) ++host;
  fleet.store().down = true;
  fleet.Step();
  EXPECT_EQ(Why(host), Reason::kBlind);
  fleet.store().down = false;
  fleet.Step();
  // Two refused files of a customer's hosts: that customer is held.
  app::AgentEvent event;
  event.seq = 77;
  event.kind = app::EventKind::kRejected;
  event.channel = "content";
  event.digest = fleet.Rollout(1).release.release.digest;
  ASSERT_TRUE(fleet.Say(kLate, {event}).ok());
  EXPECT_EQ(Why(host), Reason::kHeld);
  EXPECT_EQ(Why(kLate), Reason::kQuarantined);
}

TEST_F(ExplainTest, AReleaseThatTheRingSkipped) {
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.StateOf("acme", "all", 1) == StageState::kPassed; },
                             absl::Hours(48)));
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.StateOf("acme", "all", 2) == StageState::kPassed; },
                             absl::Hours(48)));
  const int fresh = fleet.AddHost("acme", {{"ring", "all"}});
  EXPECT_EQ(Why(fresh, 1), Reason::kFinishingOther);
  EXPECT_EQ(Why(fresh, 2), Reason::kNone);
}

}  // namespace
}  // namespace ringfence::test
