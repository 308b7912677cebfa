// A plan that changes while a release is on its way: what is known stays known, what is tighter holds at
// once.
#include <memory>
#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::Reason;

class PlanChangeTest : public testing::Test {
 protected:
  void Begin(const policy::Plan& plan, int hosts = 30) {
    for (const policy::Ring& ring : plan.rings) fleet().AddRing("vendor", ring.name, hosts);
    fleet().Start();
    fleet().Apply(plan);
  }
  bool UntilRunning(const policy::Release& release, int64_t hosts) {
    return fleet().RunUntil([&] { return fleet().Running(release.digest) >= hosts; }, absl::Hours(24));
  }
  void Degrade(int index, const policy::Release& release) {
    app::AgentEvent event;
    event.seq = 1'000;
    event.kind = app::EventKind::kDegraded;
    event.channel = release.channel;
    event.digest = release.digest;
    ASSERT_TRUE(fleet().Say(index, {event}).ok());
  }
  void Anew() { owned = std::make_unique<FleetHarness>(); }
  std::unique_ptr<FleetHarness> owned = std::make_unique<FleetHarness>();
  FleetHarness& fleet() { return *owned; }
};

TEST_F(PlanChangeTest, AnotherWindowOfAGateKnowsWhatTheOldOneKnew) {
  for (const absl::Duration window : {absl::Hours(12), absl::Hours(3)}) {
    SCOPED_TRACE(window);
    Anew();
    policy::Plan plan = PlanOf("vendor", {RingNamed("all")});
    plan.gates.degraded = policy::RateGate{policy::Ppm(20'000), 3, absl::Hours(6)};
    plan.gates.on_breach = policy::OnBreach::kHold;
    Begin(plan);
    const policy::Release release = fleet().Publish();
    ASSERT_TRUE(UntilRunning(release, 30));
    Degrade(0, release);
    Degrade(1, release);
    fleet().RunFor(absl::Minutes(10));
    plan.gates.degraded->window = window;
    fleet().Apply(plan);
    fleet().RunFor(absl::Minutes(10));
    ASSERT_FALSE(fleet().Stopped(1));
    Degrade(2, release);
    fleet().Step();
    EXPECT_TRUE(fleet().Decided("hold", "gate_degraded"));
  }
}

TEST_F(PlanChangeTest, AShorterWindowLetsGoOfWhatIsTooOldForIt) {
  policy::Plan plan = PlanOf("vendor", {RingNamed("all")});
  plan.gates.degraded = policy::RateGate{policy::Ppm(20'000), 3, absl::Hours(6)};
  plan.gates.on_breach = policy::OnBreach::kHold;
  Begin(plan);
  const policy::Release release = fleet().Publish();
  ASSERT_TRUE(UntilRunning(release, 30));
  Degrade(0, release);
  Degrade(1, release);
  fleet().RunFor(absl::Hours(2));
  plan.gates.degraded->window = absl::Hours(1);
  fleet().Apply(plan);
  Degrade(2, release);
  fleet().Step();
  EXPECT_FALSE(fleet().Stopped(1));
}

TEST_F(PlanChangeTest, AnOpenWaveSoaksAsLongAsThePlanSaidWhenItOpenedAlsoAfterARestart) {
  policy::Ring ring = RingNamed("all", {0.1, 1});
  ring.soak = absl::Hours(10);
  Begin(PlanOf("vendor", {ring}));
  fleet().Publish();
  ASSERT_TRUE(fleet().RunUntil(
      [&] { return fleet().StateOf("vendor", "all", 1) == policy::StageState::kOpen; }, absl::Hours(1)));
  ring.soak = absl::Minutes(5);
  fleet().Apply(PlanOf("vendor", {ring}));
  EXPECT_EQ(fleet().Rollout(1).stages[0].soak, absl::Hours(10));
  fleet().RunFor(absl::Hours(5));
  fleet().Restart();
  fleet().RunFor(absl::Hours(4));
  EXPECT_EQ(fleet().StageOf("vendor", "all", 1)->wave, 0);
  EXPECT_EQ(fleet().Rollout(1).stages[0].soak, absl::Hours(10));
  ASSERT_TRUE(
      fleet().RunUntil([&] { return fleet().StageOf("vendor", "all", 1)->wave == 1; }, absl::Hours(3)));
  EXPECT_EQ(fleet().Rollout(1).stages[0].soak, absl::Minutes(5));
}

// A plan that is made tighter while a ring works on a release.
class TighterPlanTest : public PlanChangeTest {
 protected:
  // The release is on 4 hosts or more of "late", the second ring, which has more to come.
  void UntilHalfWay() {
    plan = PlanOf("vendor", {RingNamed("lead"), RingNamed("late")});
    Begin(plan, 40);
    release = fleet().Publish();
    ASSERT_TRUE(fleet().RunUntil([&] { return Late() >= 4; }, absl::Hours(48)));
    ASSERT_LT(Late(), 35);
  }
  int64_t Late() { return fleet().RunningIn("vendor", "late", release.digest); }
  // Nobody is let in any more, the ring does not pass, and people are told why.
  void ExpectStopped(Reason why) {
    int asker = 40;
    while (fleet().host(asker).running["content"] == release.digest) ++asker;
    const auto answer = fleet().AskLease(asker, "content", release.digest);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->reason, why);
    EXPECT_EQ(fleet().app().Explain(fleet().host(asker).id, "content", 1)->eligibility.reason, why);
    const int64_t late = Late();  // stragglers of the first ring may still come
    fleet().RunFor(absl::Hours(8));
    EXPECT_EQ(Late(), late);
    if (why != Reason::kPinned) {
      EXPECT_EQ(fleet().StateOf("vendor", "late", 1), policy::StageState::kOpen);
    }
    fleet().Restart();
    fleet().RunFor(absl::Hours(1));
    EXPECT_EQ(Late(), late);
  }
  policy::Plan plan;
  policy::Release release;
};

TEST_F(TighterPlanTest, AHigherMinimumAgeStopsAnOpenRingUntilTheReleaseIsOldEnough) {
  UntilHalfWay();
  plan.rings[1].min_age = absl::Hours(30);
  fleet().Apply(plan);
  ExpectStopped(Reason::kMinAge);
  EXPECT_TRUE(fleet().RunUntil([&] { return Late() == 40; }, absl::Hours(48)));
  EXPECT_EQ(fleet().Violations(), "");
}

TEST_F(TighterPlanTest, AHigherLagStopsAnOpenRingUntilANewerReleaseIsAhead) {
  UntilHalfWay();
  plan.rings[1].lag = 1;
  fleet().Apply(plan);
  ExpectStopped(Reason::kNothingToLag);
  const policy::Release newer = fleet().Publish();
  EXPECT_TRUE(fleet().RunUntil([&] { return Late() == 40; }, absl::Hours(96)));
  EXPECT_EQ(fleet().RunningIn("vendor", "late", newer.digest), 0);
  EXPECT_EQ(fleet().Violations(), "");
}

TEST_F(TighterPlanTest, APauseOrAPinStopsAnOpenRingAtOnce) {
  for (const bool pin : {false, true}) {
    SCOPED_TRACE(pin ? "pin" : "pause");
    Anew();
    UntilHalfWay();
    plan.channels[0].mode = pin ? policy::ChannelMode::kPinned : policy::ChannelMode::kPaused;
    if (pin) plan.channels[0].pinned_version = "another";
    fleet().Apply(plan);
    ExpectStopped(pin ? Reason::kPinned : Reason::kChannelPaused);
    plan.channels[0].mode = policy::ChannelMode::kFollow;
    plan.channels[0].pinned_version = "";
    fleet().Apply(plan);
    EXPECT_TRUE(fleet().RunUntil([&] { return Late() == 40; }, absl::Hours(48)));
  }
}

TEST_F(TighterPlanTest, ALeaseThatWasDrawnUnderTheOldPlanIsRefusedForWhatTheNewOneSays) {
  UntilHalfWay();
  std::optional<absl::StatusOr<app::LeaseReply>> answer;
  bool drawn = false;
  for (int round = 0; round < 300 && !drawn; ++round) {
    for (int i = 40; i < 80 && !drawn; ++i) {
      if (fleet().host(i).running["content"] == release.digest) continue;
      answer.reset();
      fleet().app().Lease({fleet().host(i).id, "content", release.digest, "boot-1"},
                          [&](absl::StatusOr<app::LeaseReply> reply) { answer = std::move(reply); });
      drawn = !answer.has_value();
    }
    if (!drawn) fleet().RunFor(absl::Seconds(61));
  }
  ASSERT_TRUE(drawn);
  plan.rings[1].min_age = absl::Hours(300);
  fleet().Apply(plan);
  ASSERT_TRUE(fleet().app().CommitOnce().ok());
  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_FALSE((*answer)->granted);
  EXPECT_EQ((*answer)->reason, Reason::kMinAge);
}

}  // namespace
}  // namespace ringfence::test
