// Our own outage is not theirs (invariant 13): deafness, a stopped database, a process that stood still,
// doubt.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::StageState;
using storage::Outcome;

class OutageTest : public testing::Test {
 protected:
  void Begin(int hosts = 60) {
    fleet.AddRing("vendor", "dogfood", hosts);
    fleet.Start();
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood", {0.2, 1})});
    plan.gates = Gates();
    fleet.Apply(plan);
    release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 5; }, absl::Hours(4)));
  }
  void ExpectNothingHeldAgainstIt() {
    EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kSilent), 0);
    EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kCrashed), 0);
    EXPECT_FALSE(fleet.Stopped(1));
    EXPECT_EQ(fleet.Violations(), "");
  }
  bool GoesOn() {
    return fleet.RunUntil(
        [&] { return fleet.Running(release.digest) == static_cast<int64_t>(fleet.hosts().size()); },
        absl::Hours(24));
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(OutageTest, ADeafServerCallsNobodySilentPromotesNothingAndThenGoesOn) {
  Begin();
  const int wave = fleet.StageOf("vendor", "dogfood", 1)->wave;
  fleet.deaf = true;
  fleet.RunFor(absl::Minutes(5));
  EXPECT_TRUE(fleet.app().Status().blind);
  EXPECT_EQ(fleet.StageOf("vendor", "dogfood", 1)->wave, wave);
  fleet.deaf = false;
  fleet.watch().TimeWasGivenBack(fleet.now());
  fleet.RunFor(absl::Minutes(10));
  EXPECT_FALSE(fleet.app().Status().blind);
  ExpectNothingHeldAgainstIt();
  EXPECT_TRUE(GoesOn());
  ExpectNothingHeldAgainstIt();
}

TEST_F(OutageTest, WhileTheDatabaseIsStoppedNobodyGetsALeaseAndNobodyIsSilent) {
  Begin();
  fleet.store().down = true;
  const int64_t exposed = fleet.watch().Exposed("content", 1);
  fleet.RunFor(absl::Seconds(30));
  EXPECT_EQ(fleet.watch().Exposed("content", 1), exposed);
  EXPECT_FALSE(fleet.app().Status().database_up);
  fleet.store().down = false;
  fleet.RunFor(absl::Minutes(10));
  EXPECT_TRUE(fleet.app().Status().database_up);
  ExpectNothingHeldAgainstIt();
  EXPECT_TRUE(GoesOn());
}

TEST_F(OutageTest, AJumpOfTheClockByAnHourIsNoSilence) {
  Begin();
  fleet.clock().Advance(absl::Hours(1));
  fleet.watch().TimeWasGivenBack(fleet.now());
  fleet.RunFor(absl::Minutes(10));
  ExpectNothingHeldAgainstIt();
  EXPECT_TRUE(GoesOn());
}

TEST_F(OutageTest, AfterAStandstillTheFirstCheckInIsJudgedOnAClockThatStoodStillToo) {
  Begin();
  fleet.clock().Advance(absl::Hours(1));
  fleet.watch().TimeWasGivenBack(fleet.now());
  for (int i = 0; i < 60; ++i) fleet.CheckInNow(i);  // before any step of the engine
  fleet.Step();
  fleet.RunFor(absl::Minutes(10));
  ExpectNothingHeldAgainstIt();
}

TEST_F(OutageTest, AHostThatBricksWhileTheProcessStandsStillIsSilentSoonAfter) {
  Begin();
  int last = -1;
  for (int i = 0; i < 60; ++i) {
    if (fleet.host(i).activated_at.contains(release.digest)) last = i;
  }
  fleet.clock().Advance(absl::Hours(1));
  fleet.watch().TimeWasGivenBack(fleet.now());
  fleet.CheckInNow(last);
  fleet.host(last).dead = true;
  fleet.RunFor(absl::Minutes(8));
  EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kSilent), 1);
}

TEST_F(OutageTest, ARestartForgetsNoExposureAndGivesEveryHostAFreshDeadline) {
  Begin();
  const app::RolloutInfo before = fleet.Rollout(1);
  fleet.Restart();
  const app::RolloutInfo after = fleet.Rollout(1);
  EXPECT_EQ(after.ledger.exposed, before.ledger.exposed);
  EXPECT_LE(after.health.healthy, before.health.healthy);
  EXPECT_EQ(after.health.unproven + after.health.healthy, before.health.unproven + before.health.healthy);
  fleet.RunFor(absl::Minutes(20));
  ExpectNothingHeldAgainstIt();
  EXPECT_TRUE(GoesOn());
}

TEST_F(OutageTest, TenRestartsOnTheWayLoseNothing) {
  Begin();
  for (int i = 0; i < 10; ++i) {
    fleet.RunFor(absl::Minutes(7));
    fleet.Crash();
    fleet.RunFor(absl::Seconds(20));
    fleet.Restart();
  }
  ExpectNothingHeldAgainstIt();
  EXPECT_TRUE(GoesOn());
}

TEST_F(OutageTest, AStartThatTheStoreRunsTwiceCountsTheFleetOnce) {
  Begin();
  fleet.store().faults.rerun = 1;
  fleet.Restart();
  fleet.store().faults.rerun = 0;
  EXPECT_EQ(fleet.app().Status().agents, 60);
  EXPECT_EQ(fleet.Rollout(1).ledger.exposed, fleet.watch().Exposed("content", 1));
  fleet.RunFor(absl::Minutes(10));
  EXPECT_FALSE(fleet.app().Status().blind);
}

// The line of a site is cut, of hosts with and without the release.
class SiteOutageTest : public OutageTest {
 protected:
  SiteOutageTest() {
    for (int i = 0; i < 120; ++i) {
      fleet.AddHost("vendor",
                    {{"ring", "dogfood"}, {"os", "win10"}, {"site", i % 3 == 0 ? "north" : "south"}});
    }
    fleet.Start();
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood", {0.2, 1})});
    plan.gates = Gates();
    plan.gates.cohort_keys = {"os", "site"};
    fleet.Apply(plan);
    release = fleet.Publish();
  }
  bool Begin() {
    return fleet.RunUntil([&] { return InNorth() >= 6; }, absl::Hours(4)) &&
           fleet.Running(release.digest) < 60;
  }
  int64_t InNorth() {
    int64_t count = 0;
    for (int i = 0; i < 120; i += 3) count += fleet.host(i).activated_at.contains(release.digest) ? 1 : 0;
    return count;
  }
  void Cut() {
    for (int i = 0; i < 120; i += 3) fleet.host(i).away = true;
  }
  void Mend() {
    for (int i = 0; i < 120; i += 3) fleet.WakeUp(i);
  }
};

TEST_F(SiteOutageTest, IsNotTheReleasesDoing) {
  ASSERT_TRUE(Begin());
  Cut();
  fleet.RunFor(absl::Minutes(20));
  EXPECT_GE(fleet.watch().Count("content", 1, Outcome::kSilent), 6) << "they are silent all the same";
  EXPECT_FALSE(fleet.Stopped(1));
  Mend();
  EXPECT_TRUE(GoesOn());
  EXPECT_FALSE(fleet.Stopped(1));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(SiteOutageTest, HidesNoBricksElsewhere) {
  ASSERT_TRUE(Begin());
  Cut();
  for (int i = 0; i < 120; ++i) {
    if (i % 3 != 0 && fleet.host(i).activated_at.contains(release.digest)) fleet.host(i).dead = true;
  }
  fleet.RunFor(absl::Minutes(7));
  EXPECT_TRUE(fleet.Stopped(1));
}

// A third of the fleet, of every place and with and without the release alike, comes through a replica that
// is cut off from the one that leads: hosts are not heard, though they are well.
class ReplicaOutageTest : public OutageTest {
 protected:
  void SetUp() override {
    Begin(120);
    ASSERT_TRUE(fleet.RunUntil([&] { return ThroughIt() >= 3; }, absl::Hours(4)));
  }
  int64_t ThroughIt() {
    int64_t count = 0;
    for (int i = 0; i < 120; i += 3) count += fleet.host(i).activated_at.contains(release.digest) ? 1 : 0;
    return count;
  }
  void CutOffFor(absl::Duration time) {
    for (int i = 0; i < 120; i += 3) fleet.host(i).away = true;
    fleet.RunFor(time);
    for (int i = 0; i < 120; i += 3) fleet.WakeUp(i);
  }
};

TEST_F(ReplicaOutageTest, AMinuteOfItIsNoSilence) {
  CutOffFor(absl::Minutes(1));
  fleet.RunFor(absl::Minutes(10));
  ExpectNothingHeldAgainstIt();
  EXPECT_TRUE(GoesOn());
  ExpectNothingHeldAgainstIt();
}

TEST_F(ReplicaOutageTest, AQuarterOfAnHourOfItIsNotTheReleasesDoing) {
  CutOffFor(absl::Minutes(15));
  EXPECT_FALSE(fleet.Stopped(1));
  EXPECT_TRUE(GoesOn());
  EXPECT_FALSE(fleet.Stopped(1));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(OutageTest, AStageWhoseCommitWasInDoubtDoesNotStopTheServer) {
  fleet.AddRing("vendor", "dogfood", 10);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  release = fleet.Publish();
  fleet.store().next = {RecordingStore::Next::kDoubtDone};  // the step that makes the stage
  fleet.Step();
  EXPECT_FALSE(fleet.last_step.ok());
  fleet.Step();
  EXPECT_TRUE(fleet.last_step.ok()) << fleet.last_step;
  EXPECT_TRUE(GoesOn());
}

class DoubtTest : public OutageTest, public testing::WithParamInterface<bool> {};

TEST_P(DoubtTest, ALeaseInDoubtAndThenHaltedIsCountedIfItWasWritten) {
  Begin();
  const bool written = GetParam();
  // Everybody asks; the commit breaks.
  const int64_t exposed = fleet.watch().Exposed("content", 1);
  int64_t drawn = 0;
  for (int round = 0; round < 30 && drawn == 0; ++round) {
    fleet.RunFor(absl::Seconds(61));
    for (int i = 0; i < 60; ++i) {
      const SimHost& host = fleet.host(i);
      if (host.activated_at.contains(release.digest)) continue;
      fleet.store().next.assign(
          1, written ? RecordingStore::Next::kDoubtDone : RecordingStore::Next::kDoubtNotDone);
      const auto reply = fleet.AskLease(i, "content", release.digest);
      if (absl::IsUnavailable(reply.status())) ++drawn;
      fleet.store().next.clear();
      if (drawn > 0) break;
    }
  }
  ASSERT_EQ(drawn, 1);
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Minutes(10));
  EXPECT_TRUE(fleet.last_step.ok()) << fleet.last_step;
  EXPECT_EQ(fleet.Rollout(1).ledger.exposed, fleet.watch().Exposed("content", 1));
  EXPECT_GE(fleet.watch().Exposed("content", 1), exposed);
  EXPECT_EQ(fleet.Violations(), "");
}
INSTANTIATE_TEST_SUITE_P(WrittenOrNot, DoubtTest, testing::Bool());

}  // namespace
}  // namespace ringfence::test
