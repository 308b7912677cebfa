// The silent host, and what other rollout servers fell into: each test is named after the trap it keeps shut.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::StageState;
using storage::Outcome;

// A company with its own server: a canary of 12 hosts and a ring of 20.
void AddAcme(FleetHarness& fleet, int canary = 12, int all = 20) {
  fleet.AddRing("acme", "canary", canary);
  fleet.AddRing("acme", "all", all);
}

policy::Plan TwoRings() {
  return PlanOf("acme", {RingNamed("canary"), RingNamed("all")});
}

class Trap1Test : public testing::TestWithParam<std::optional<policy::SloGates>> {};

TEST_P(Trap1Test, AGroupThatFailedWhollyNeverPromotes) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  fleet.Start();
  policy::Plan plan = TwoRings();
  if (GetParam().has_value()) plan.gates = *GetParam();
  fleet.Apply(plan);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(24));
  EXPECT_EQ(fleet.RunningIn("acme", "all", release.digest), 0);
  EXPECT_LE(fleet.Running(release.digest), 2) << "the first brick uses up the budget";
  EXPECT_EQ(fleet.StageOf("acme", "all", 1), nullptr);
  EXPECT_EQ(fleet.Violations(), "");
}

policy::SloGates Limit(int64_t ppm) {
  policy::SloGates gates = Gates();
  gates.crash->max_rate = gates.degraded->max_rate = gates.silence->max_excess = policy::Ppm(ppm);
  return gates;
}
INSTANTIATE_TEST_SUITE_P(WithoutGatesAndWithGatesOfNothingAndOfEverything, Trap1Test,
                         testing::Values(std::nullopt, Limit(0), Limit(1'000'000)));

TEST(Trap2Test, BrickedHostsStillCountAfterADayADeletionAndARegrouping) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet, 40);
  fleet.effect = [&](const SimHost& host, const Digest&) {
    return host.id.bytes[0] % 3 == 0 ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(3));
  const int64_t silent = fleet.watch().Count("content", 1, Outcome::kSilent);
  const int64_t exposed = fleet.watch().Exposed("content", 1);
  ASSERT_GE(silent, 1);
  int which = 0;
  for (int i = 0; i < 40; ++i) {
    if (!fleet.host(i).dead) continue;
    if (++which % 2 == 0) (void)fleet.app().DeleteAgent(fleet.Sre(), fleet.host(i).id);
  }
  fleet.RunFor(absl::Hours(24));
  EXPECT_GE(fleet.watch().Count("content", 1, Outcome::kSilent), silent);
  EXPECT_GE(fleet.Rollout(1).ledger.exposed, exposed);
  EXPECT_GE(fleet.Rollout(1).ledger.harmed, silent);
  EXPECT_EQ(fleet.RunningIn("acme", "all", release.digest), 0);
  fleet.Restart();
  EXPECT_GE(fleet.Rollout(1).ledger.exposed, exposed);
  EXPECT_GE(fleet.Rollout(1).ledger.harmed, silent);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(Trap2Test, AHostThatIsDeletedBeforeItsSilenceIsSeenIsSilent) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 1; }, absl::Hours(1)));
  for (SimHost& host : fleet.hosts()) {
    if (host.dead) (void)fleet.app().DeleteAgent(fleet.Admin("acme"), host.id);
  }
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kSilent), 1);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, 1);
  EXPECT_EQ(fleet.Running(release.digest), 1);
}

class FirstCanaryTest : public testing::TestWithParam<Effect> {};

// Trap 3, and: a failed first canary opened the gate elsewhere.
TEST_P(FirstCanaryTest, AFirstCanaryThatFailsNeverOpensTheGate) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  std::optional<AgentId> first;
  fleet.effect = [&](const SimHost& host, const Digest&) {
    if (!first.has_value()) first = host.id;
    return host.id == *first ? GetParam() : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(3));
  const bool silent = GetParam() == Effect::kBricks;
  if (silent) {
    EXPECT_EQ(fleet.Running(release.digest), 1);
  }
  EXPECT_LE(fleet.Rollout(1).health.unproven, 1);
  EXPECT_EQ(fleet.Violations(), "");
}

// However few the canaries are: the ring does not pass on them, and the next one has not even begun.
TEST_P(FirstCanaryTest, ARingWhoseCanariesAllFailNeverPassesAndNoOtherOpens) {
  for (const int canaries : {1, 3}) {
    SCOPED_TRACE(canaries);
    FleetHarness fleet(CustomersOnly());
    AddAcme(fleet, canaries);
    fleet.effect = [&](const SimHost&, const Digest&) { return GetParam(); };
    fleet.Start();
    fleet.Apply(TwoRings());
    const policy::Release release = fleet.Publish();
    fleet.RunFor(absl::Hours(24));
    ASSERT_NE(fleet.StageOf("acme", "canary", 1), nullptr);
    EXPECT_FALSE(policy::CountsAsPassed(fleet.StateOf("acme", "canary", 1)))
        << policy::Name(fleet.StateOf("acme", "canary", 1));
    EXPECT_FALSE(fleet.Decided("pass_ring", ""));
    EXPECT_EQ(fleet.StageOf("acme", "all", 1), nullptr) << "the next ring works on the release";
    EXPECT_EQ(fleet.RunningIn("acme", "all", release.digest), 0);
    for (int i = canaries; i < canaries + 20; ++i) EXPECT_TRUE(fleet.host(i).staged.empty());
    EXPECT_EQ(fleet.Violations(), "");
  }
}
INSTANTIATE_TEST_SUITE_P(InEachWay, FirstCanaryTest,
                         testing::Values(Effect::kBricks, Effect::kCrashesOften, Effect::kActivationFails,
                                         Effect::kFallsBackUnheard, Effect::kFallsBackHeard,
                                         Effect::kNeverActivates));

TEST(SilenceTest, AHostThatTakesTheReleaseAndNeverSpeaksAgainIsCounted) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  bool one = false;
  fleet.effect = [&](const SimHost&, const Digest&) {
    return std::exchange(one, true) ? Effect::kGood : Effect::kBricks;  // the first one
  };
  fleet.Start();
  fleet.Apply(TwoRings());
  fleet.Publish();
  fleet.RunFor(absl::Hours(1));
  const app::RolloutInfo info = fleet.Rollout(1);
  EXPECT_EQ(info.ledger.exposed, 1);
  EXPECT_EQ(info.ledger.harmed, 1);
  EXPECT_EQ(info.stages[0].outcomes.silent, 1);
  EXPECT_EQ(info.stages[0].outcomes.pending, 0);
}

TEST(Trap5Test, WithoutAnyDataNothingIsPromoted) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet, 12, 12);
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 2; }, absl::Hours(2)));
  for (SimHost& host : fleet.hosts()) host.away = true;  // the whole fleet, at once
  fleet.RunFor(absl::Hours(12));
  EXPECT_NE(fleet.StateOf("acme", "canary", 1), StageState::kPassed);
  EXPECT_EQ(fleet.StageOf("acme", "all", 1), nullptr);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(Trap8Test, AHaltedRolloutStaysHaltedAcrossARestartAndAJumpOfTheClock) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 20);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 2; }, absl::Hours(2)));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"", "content", 1, ""}).ok());
  const int64_t running = fleet.Running(release.digest);
  fleet.RunFor(absl::Minutes(30));
  fleet.Restart();
  fleet.RunFor(absl::Minutes(30));
  fleet.clock().Advance(absl::Hours(48));
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), running);
  EXPECT_EQ(fleet.StateOf("vendor", "dogfood", 1), StageState::kHalted);
  EXPECT_EQ(fleet.Violations(), "");
}

class Trap9Test : public testing::Test {
 protected:
  // A hundred hosts, proven, and three of them crash: the plan allows two.
  void UntilHalted() {
    fleet.AddRing("acme", "all", 100);
    fleet.Start();
    policy::Plan plan = PlanOf("acme", {RingNamed("all")});
    plan.gates = Gates();
    plan.gates.on_breach = policy::OnBreach::kHalt;
    fleet.Apply(plan);
    fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy == 100; }, absl::Hours(48)));
    for (int i = 0; i < 3; ++i) Crash(i);
    ASSERT_EQ(Halts(), 1);
    ASSERT_TRUE(fleet.Stopped(1));
  }
  void Crash(int host) {
    app::AgentEvent event;
    event.seq = ++seq;
    event.kind = app::EventKind::kCrash;
    ASSERT_TRUE(fleet.Say(host, {event}).ok());
    fleet.Step();
  }
  void Resume() {
    const storage::Scope scope{"", "content", 1, ""};
    ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), scope, app::BrakeKind::kHalt)->needs_second_person);
    ASSERT_FALSE(fleet.app().Resume(fleet.Sre("bob"), scope, app::BrakeKind::kHalt)->needs_second_person);
  }
  int64_t Halts() {
    return std::count_if(fleet.watch().decisions().begin(), fleet.watch().decisions().end(),
                         [](const auto& row) { return row.action == "halt" && row.rule == "gate_crash"; });
  }
  int64_t Bad() {
    for (const app::GateReading& gate : fleet.Rollout(1).health.gates) {
      if (gate.gate == policy::GateKind::kCrash && gate.cohort.empty()) return gate.bad;
    }
    return -1;
  }
  FleetHarness fleet{CustomersOnly()};
  uint64_t seq = 1000;
};

TEST_F(Trap9Test, AfterAResumeOldEvidenceDoesNotTripAgainAndIsNotForgotten) {
  UntilHalted();
  Resume();
  EXPECT_EQ(Bad(), 0) << "the windows restart at the mark";
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, 3) << "what happened stays on record";
  EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kCrashed), 3);
  for (const bool restarted : {false, true}) {
    if (restarted) fleet.Restart();
    fleet.RunFor(absl::Minutes(30));
    EXPECT_EQ(Halts(), 1) << "the same evidence again";
    EXPECT_FALSE(fleet.Stopped(1));
    EXPECT_EQ(Bad(), 0);
    EXPECT_EQ(fleet.Rollout(1).ledger.exposed, 100);
  }
}

TEST_F(Trap9Test, AfterAResumeNewEvidenceStopsAsTheFirstDid) {
  UntilHalted();
  Resume();
  fleet.RunFor(absl::Minutes(30));
  Crash(0);
  Crash(10);
  EXPECT_EQ(Bad(), 2);
  EXPECT_EQ(Halts(), 1) << "two since the mark; the plan allows two";
  fleet.Restart();
  EXPECT_EQ(Bad(), 2) << "since the mark, also for the next process";
  Crash(11);
  EXPECT_EQ(Halts(), 2);
  EXPECT_TRUE(fleet.Stopped(1));
}

TEST(Trap10Test, DownloadedAndWaitingIsNeitherFailedNorSuccess) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.host(0).staged.contains(release.digest); }, absl::Hours(1)));
  ASSERT_EQ(fleet.Running(release.digest), 0);
  for (SimHost& host : fleet.hosts()) host.goodbye_next = true;  // the weekend
  fleet.RunFor(absl::Hours(60));
  EXPECT_EQ(fleet.Rollout(1).ledger.exposed, 0);
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, 0);
  EXPECT_EQ(fleet.StateOf("acme", "canary", 1), StageState::kOpen);
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST(Trap11Test, InstalledIsNotHealthyBeforeTheProbationEnds) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 1; }, absl::Hours(1)));
  fleet.RunFor(absl::Seconds(180));  // heard three times
  EXPECT_EQ(fleet.Rollout(1).health.healthy, 0);
  EXPECT_EQ(fleet.Running(release.digest), 1);
  fleet.RunFor(absl::Seconds(90));  // D = 225 s
  EXPECT_EQ(fleet.Rollout(1).health.healthy, 1);
}

class Trap12Test : public testing::TestWithParam<std::tuple<Effect, bool>> {};

TEST_P(Trap12Test, AHostThatWentBackByItselfIsNeverOfferedTheDigestAgain) {
  const auto [effect, restarts] = GetParam();
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet, 6, 0);
  fleet.effect = [effect = effect](const SimHost&, const Digest&) { return effect; };
  fleet.Start();
  fleet.Apply(PlanOf("acme", {RingNamed("canary")}));
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.hosts()[0].reverts + fleet.hosts()[1].reverts > 0; },
                             absl::Hours(12)));
  fleet.RunFor(absl::Minutes(5));
  if (restarts) fleet.Restart();
  fleet.RunFor(absl::Hours(12));
  for (const SimHost& host : fleet.hosts()) EXPECT_LE(host.grants, 1);
  EXPECT_EQ(fleet.Violations(), "");
}
INSTANTIATE_TEST_SUITE_P(HeardOfOrNotAndAfterARestart, Trap12Test,
                         testing::Combine(testing::Values(Effect::kFallsBackHeard, Effect::kFallsBackUnheard),
                                          testing::Bool()));

TEST(Trap12Test, AHostThatHadNothingAndWentBackToNothingIsReverted) {
  FleetHarness::Options options = CustomersOnly();
  options.factory_content = false;
  FleetHarness fleet(options);
  AddAcme(fleet, 4, 0);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kFallsBackHeard; };
  fleet.Start();
  fleet.Apply(PlanOf("acme", {RingNamed("canary")}));
  fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_GE(fleet.watch().Count("content", 1, Outcome::kReverted), 1);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, 0);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(Trap13Test, ALateArriverGetsWhatIsApprovedTodayAndNotWhatWasWhenItSlept) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet, 8, 0);
  fleet.Start();
  fleet.Apply(PlanOf("acme", {RingNamed("canary")}));
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.host(7).staged.contains(first.digest); }, absl::Hours(1)));
  fleet.host(7).away = true;
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(first.digest) == 7; }, absl::Hours(12)));
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.StateOf("acme", "canary", 1) == StageState::kPassed; },
                             absl::Hours(3)));
  const policy::Release second = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(second.digest) == 7; }, absl::Hours(12)));
  fleet.RunFor(absl::Hours(24 * 21));
  fleet.WakeUp(7);
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.host(7).running["content"] == second.digest; }, absl::Hours(6)));
  EXPECT_FALSE(fleet.host(7).activated_at.contains(first.digest));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(GoodbyeTest, OneSaidAfterActivationExemptsNobody) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 1; }, absl::Hours(1)));
  for (SimHost& host : fleet.hosts()) {
    if (host.running["content"] == release.digest) host.goodbye_next = true;
  }
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kSilent), 1);
  EXPECT_EQ(fleet.Running(release.digest), 1);
}

TEST(GoodbyeTest, OneSaidBeforeActivationIsNoHarmForAWhile) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  std::optional<AgentId> leased;
  fleet.effect = [&](const SimHost& host, const Digest&) {
    leased = host.id;
    return Effect::kNeverActivates;
  };
  fleet.Start();
  fleet.Apply(TwoRings());
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return leased.has_value(); }, absl::Hours(1)));
  fleet.HostOf(*leased).goodbye_next = true;  // shut down with the lease in its hand
  fleet.RunFor(absl::Minutes(25));
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, 0);
  fleet.RunFor(absl::Minutes(15));
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, 1);
}

TEST(GoodbyeTest, AProvenHostThatSaysGoodbyeSleeps) {
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy == 1; }, absl::Hours(1)));
  for (SimHost& host : fleet.hosts()) {
    if (host.running["content"] == release.digest &&
        fleet.now() - host.activated_at[release.digest] > absl::Minutes(3)) {
      host.goodbye_next = true;
    }
  }
  fleet.RunFor(absl::Minutes(30));
  EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kSilent), 0);
}

TEST(TakeBackTest, AProvenHostThatGoesBadTwiceIsTakenBackOnceAndItsRevertFreesOnce) {  // trap 14
  FleetHarness fleet(CustomersOnly());
  AddAcme(fleet);
  fleet.Start();
  fleet.Apply(TwoRings());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy >= 1; }, absl::Hours(1)));
  int bad = -1;
  for (int i = 0; i < 32; ++i) {
    const auto info = fleet.app().GetAgent(fleet.host(i).id);
    if (!info->exposures.empty() && info->exposures[0].outcome == Outcome::kConfirmed) bad = i;
  }
  ASSERT_GE(bad, 0);
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Minutes(10));
  const auto before = fleet.Rollout(1).health;
  const auto crash = [&](uint64_t seq) {
    app::AgentEvent event;
    event.seq = seq;
    event.kind = app::EventKind::kCrash;
    return std::vector<app::AgentEvent>{event};
  };
  ASSERT_TRUE(fleet.Say(bad, crash(1000)).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, before.healthy - 1);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, before.unproven + 1);
  ASSERT_TRUE(fleet.Say(bad, crash(1001)).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, before.healthy - 1);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, before.unproven + 1);
  fleet.host(bad).running["content"] = FleetHarness::Factory("content");
  ASSERT_TRUE(fleet.Say(bad, {}).ok());
  ASSERT_TRUE(fleet.Say(bad, {}).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, before.healthy - 1);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, before.unproven);
}

TEST(RestartTest, WhatTheGatesKnewSurvivesARestart) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 60);
  int crashes = 0;
  fleet.effect = [&](const SimHost&, const Digest&) {
    return ++crashes % 4 == 0 ? Effect::kCrashes : Effect::kGood;
  };
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates = Gates();
  fleet.Apply(plan);
  fleet.Publish();
  const auto bad = [&] {
    for (const app::GateReading& gate : fleet.Rollout(1).health.gates) {
      if (gate.gate == policy::GateKind::kCrash && gate.cohort.empty()) return gate.bad;
    }
    return int64_t{0};
  };
  ASSERT_TRUE(fleet.RunUntil([&] { return bad() == 1; }, absl::Hours(12)));
  fleet.Restart();
  EXPECT_EQ(bad(), 1);
}

}  // namespace
}  // namespace ringfence::test
