// Fewer crashes than a plan's min_count hold a release when hosts without it do not foretell them.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

class FewCrashesTest : public testing::Test {
 protected:
  static constexpr int kCanaries = 8, kOthers = 1200;

  // A release that two canaries have, and so many crashes of others since it was published.
  void Begin(int crashes_of_others) {
    fleet.AddRing("acme", "canary", kCanaries);
    fleet.AddRing("acme", "all", kOthers);
    fleet.Start();
    policy::Plan plan = PlanOf("acme", {RingNamed("canary"), RingNamed("all")});
    plan.gates = Gates();
    fleet.Apply(plan);
    release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 2; }, absl::Hours(1)));
    for (int i = 0; i < crashes_of_others; ++i) Crash(kCanaries + i);
  }
  void CrashBoth() {
    for (int i = 0; i < kCanaries; ++i) {
      if (fleet.host(i).running["content"] == release.digest) Crash(i);
    }
  }
  // `reports` of them in one check-in.
  void Crash(int host, size_t reports = 1) {
    std::vector<app::AgentEvent> events(reports);
    for (app::AgentEvent& event : events) {
      event.seq = ++seq;
      event.kind = app::EventKind::kCrash;
    }
    ASSERT_TRUE(fleet.Say(host, events).ok());
    fleet.Step();
  }
  app::GateReading Reading(policy::GateKind kind) {
    for (const app::GateReading& gate : fleet.Rollout(1).health.gates) {
      if (gate.gate == kind && gate.cohort.empty()) return gate;
    }
    ADD_FAILURE() << "no such gate";
    return {};
  }
  std::string Why() {
    for (const storage::DecisionRow& row : fleet.watch().decisions()) {
      if (row.action == "hold" && row.rule == "gate_crash") return row.why;
    }
    return "";
  }
  FleetHarness fleet{CustomersOnly()};
  policy::Release release;
  uint64_t seq = 1000;
};

TEST_F(FewCrashesTest, TwoThatNoOtherHostForetellsHoldUntilAPersonDecides) {
  Begin(0);
  CrashBoth();
  EXPECT_THAT(Why(), testing::AllOf(testing::StartsWith("2 of 2 "),
                                    testing::HasSubstr("too few to halt, too many for chance")));
  const int running = fleet.Running(release.digest);
  fleet.RunFor(absl::Minutes(20));
  EXPECT_LE(fleet.Running(release.digest), running + 1) << "but for a lease on its way";
  EXPECT_FALSE(fleet.Decided("halt", "gate_crash"));
  // A person looked: the same crashes hold nothing any more.
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), {"", "content", 1, ""}, app::BrakeKind::kHold).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) > kCanaries; }, absl::Hours(12)));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(FewCrashesTest, TwoOfManyInAStormOfCrashesHoldNothing) {
  Begin(30);
  CrashBoth();
  fleet.RunFor(absl::Minutes(5));
  EXPECT_EQ(Why(), "");
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST_F(FewCrashesTest, WhatHappenedBeforeARestartIsNoSignAfterItWhenNobodyKnowsTheOthersHours) {
  Begin(30);
  CrashBoth();
  fleet.Restart();
  fleet.RunFor(absl::Hours(1));
  EXPECT_EQ(Why(), "");
  const app::GateReading crash = Reading(policy::GateKind::kCrash);
  EXPECT_EQ(crash.bad, 2) << "but they count for min_count";
  EXPECT_EQ(crash.crashes.rate.bad, 0);
}

TEST_F(FewCrashesTest, ACrashOfAnotherHostThatIsToldTwiceInOneCheckInCountsOnce) {
  Begin(0);
  Crash(kCanaries, 2);
  CrashBoth();
  EXPECT_EQ(Reading(policy::GateKind::kCrash).crashes.control, 1);
}

TEST_F(FewCrashesTest, WindowsAreCountedFromTheFirstHostOnAndAnewFromAStart) {
  Begin(0);
  EXPECT_EQ(Reading(policy::GateKind::kSilence).silence.windows, 1);
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(Reading(policy::GateKind::kSilence).silence.windows, 4);
  CrashBoth();
  EXPECT_EQ(Reading(policy::GateKind::kCrash).crashes.windows, 4);
  fleet.Restart();
  EXPECT_EQ(Reading(policy::GateKind::kSilence).silence.windows, 1);
}

}  // namespace
}  // namespace ringfence::test
