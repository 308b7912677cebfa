// The traps of the health analysis (docs/health-analysis.md, section 14) as far as they are the server's.
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using storage::Outcome;

TEST(MethodTrapsTest, Trap1TheProbabilityOfADrawIsTheSameForAllOfItsBucketAndLeavesAFifthOfControls) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 80);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 80; }, absl::Hours(24)));
  std::map<std::pair<StageId, uint64_t>, double> pi;
  for (const auto& [key, row] : fleet.watch().exposures()) {
    EXPECT_GT(row.pi, 0);
    EXPECT_LE(row.pi, 0.8);
    EXPECT_EQ(pi.try_emplace({row.stage, row.bucket}, row.pi).first->second, row.pi);
  }
}

TEST(MethodTrapsTest, Trap2ACrashOfAControlCountsInItsOwnArm) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 30);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 1; }, absl::Hours(1)));
  uint64_t seq = 5000;
  int crashed = 0;
  for (int i = 0; i < 30 && crashed < 3; ++i) {  // whoever asked and did not get it is a control now
    if (fleet.host(i).last_answer != policy::Reason::kNotDrawn) continue;
    app::AgentEvent crash;
    crash.seq = ++seq;
    crash.kind = app::EventKind::kCrash;
    ASSERT_TRUE(fleet.Say(i, {crash}).ok());
    ++crashed;
  }
  ASSERT_EQ(crashed, 3);
  fleet.RunFor(absl::Minutes(10));
  int64_t bad_control = 0, bad_treated = 0;
  ASSERT_TRUE(fleet.store()
                  .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                    const auto rows = tx.Evidence("content", 1);
                    for (const storage::EvidenceRow& row : *rows) {
                      if (row.health_channel != policy::HealthChannel::kCrash) continue;
                      bad_control += row.bad_control;
                      bad_treated += row.bad_treated;
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_GE(bad_control, 1) << "some may have waited for the next draw";
  EXPECT_EQ(bad_treated, 0);
  EXPECT_LT(fleet.Rollout(1).health.m_r, 1.000001) << "controls that suffer never speak against the release";
}

TEST(MethodTrapsTest, Trap5AHostThatTakesLeasesAndDoesNothingIsCountedInTheTest) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 20);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kNeverActivates; };
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.watch().Count("content", 1, Outcome::kUnused) >= 2; },
                             absl::Hours(3)));
  fleet.RunFor(absl::Minutes(10));
  int64_t treated = 0;
  ASSERT_TRUE(fleet.store()
                  .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                    const auto rows = tx.Evidence("content", 1);
                    for (const storage::EvidenceRow& row : *rows) {
                      if (row.health_channel == policy::HealthChannel::kSilence) treated += row.all_treated;
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_GE(treated, 2);
}

TEST(MethodTrapsTest, Trap13BricksDoNotStopTheClockThatConvictsThem) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 24);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return host.id.bytes[2] % 2 == 0 ? Effect::kBricksLater : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.watch().Count("content", 1, Outcome::kSilent) >= 2; },
                             absl::Hours(3)));
  EXPECT_FALSE(fleet.app().Status().blind);
  fleet.RunFor(absl::Hours(6));
  int64_t dead = 0;
  for (const SimHost& host : fleet.hosts()) dead += host.dead ? 1 : 0;
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, dead);
}

TEST(MethodTrapsTest, Trap17WithACheckInEveryFiveMinutesTheProbationIsFiveTimesAsLong) {
  FleetHarness::Options options;
  options.h = absl::Minutes(5);
  options.step = absl::Seconds(30);
  FleetHarness fleet(options);
  fleet.AddRing("vendor", "dogfood", 20);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 1; }, absl::Hours(6)));
  fleet.RunFor(absl::Seconds(1050));
  EXPECT_EQ(fleet.Rollout(1).health.healthy, 0);
  fleet.RunFor(absl::Seconds(120));  // D = 1125 s
  EXPECT_EQ(fleet.Rollout(1).health.healthy, 1);
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 20; }, absl::Hours(48)));
  EXPECT_FALSE(fleet.Stopped(1));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(BudgetTest, ThirtyCustomersThatOpenTheirCanaryTogetherStartWithFourHosts) {
  FleetHarness fleet(CustomersOnly());
  for (int t = 0; t < 30; ++t) fleet.AddRing("customer-" + std::to_string(t), "canary", 8);
  fleet.Start();
  for (int t = 0; t < 30; ++t) fleet.Apply(PlanOf("customer-" + std::to_string(t), {RingNamed("canary")}));
  const policy::Release release = fleet.Publish();
  fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy > 0; }, absl::Hours(2));
  EXPECT_LE(fleet.Running(release.digest), 4);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(BudgetTest, ALabelValueThatComesLateStartsSmallToo) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 200);
  for (int i = 0; i < 40; ++i) {
    fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "xp"}});
    fleet.hosts().back().away = true;
  }
  fleet.effect = [](const SimHost& host, const Digest&) {
    return host.labels.Has("os", "xp") ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates.cohort_keys = {"os"};
  fleet.Apply(plan);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 150; }, absl::Hours(24)));
  for (int i = 200; i < 240; ++i) fleet.WakeUp(i);
  fleet.RunFor(absl::Hours(6));
  int64_t dead = 0;
  for (const SimHost& host : fleet.hosts()) dead += host.dead ? 1 : 0;
  EXPECT_GE(dead, 1);
  EXPECT_LE(dead, 12) << "four of whom nothing is known, at a time";
  EXPECT_TRUE(fleet.Stopped(1) || !fleet.Rollout(1).health.blocked.empty()) << "and then it is stopped";
  EXPECT_EQ(fleet.Violations(), "");
}

}  // namespace
}  // namespace ringfence::test
