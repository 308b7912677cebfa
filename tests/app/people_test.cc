// What people do to rollouts: pause, hold, halt, resume, roll back, recall; who may, and what a repeated or
// doubtful call does.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using app::BrakeKind;
using policy::Reason;
using policy::StageState;
using storage::Outcome;
using storage::Scope;

const Scope kRelease{"", "content", 1, ""};

// The vendor's fleet of 30 hosts on the way to the first release.
class PeopleTest : public testing::Test {
 protected:
  void Begin(int hosts = 30, std::optional<policy::SloGates> gates = std::nullopt) {
    fleet.AddRing("vendor", "dogfood", hosts);
    fleet.Start();
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
    if (gates.has_value()) plan.gates = *gates;
    fleet.Apply(plan);
    release = fleet.Publish();
  }
  bool UntilRunning(int64_t hosts) {
    return fleet.RunUntil([&] { return fleet.Running(release.digest) >= hosts; }, absl::Hours(12));
  }
  Reason Asked(int host) {
    const auto reply = fleet.AskLease(host, "content", release.digest);
    return !reply.ok() ? Reason::kNoRelease : reply->granted ? Reason::kNone : reply->reason;
  }
  int SomeoneWithout() {
    for (int i = 0; i < static_cast<int>(fleet.hosts().size()); ++i) {
      if (!fleet.host(i).activated_at.contains(release.digest) &&
          fleet.host(i).staged.contains(release.digest))
        return i;
    }
    return -1;
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(PeopleTest, TheTenantsPauseBeatsTheVendorsPushAndTheVendorsHaltTheTenantsGo) {
  Begin();
  ASSERT_TRUE(UntilRunning(1));
  const int host = SomeoneWithout();
  const Scope own{"vendor", "content", 0, ""};
  ASSERT_TRUE(fleet.app().Pause(fleet.Admin("vendor"), own).ok());
  EXPECT_EQ(Asked(host), Reason::kTenantPaused);
  // The vendor's go is not the tenant's.
  EXPECT_TRUE(absl::IsFailedPrecondition(fleet.app().Resume(fleet.Sre(), own, BrakeKind::kPause).status()));
  EXPECT_EQ(Asked(host), Reason::kTenantPaused);
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Admin("vendor"), own, BrakeKind::kPause).ok());
  EXPECT_EQ(Asked(host), Reason::kHalted);
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().Resume(fleet.Admin("vendor"), kRelease, BrakeKind::kHalt).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().Resume(fleet.Admin("vendor"), {"vendor", "content", 1, ""}, BrakeKind::kHalt).status()));
  EXPECT_EQ(Asked(host), Reason::kHalted);
}

TEST_F(PeopleTest, ATenantsPeopleActOnTheirOwnTenantOnlyAndViewersOnNothing) {
  Begin();
  fleet.AddHost("acme", {{"ring", "canary"}});
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().Pause(fleet.Admin("acme"), kRelease).status()));
  EXPECT_TRUE(
      absl::IsPermissionDenied(fleet.app().Halt(fleet.Admin("acme"), {"vendor", "content", 1, ""}).status()));
  app::Act viewer = fleet.Admin("acme");
  viewer.actor.role = app::Role::kTenantViewer;
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().Pause(viewer, {"acme", "", 0, ""}).status()));
  EXPECT_TRUE(fleet.app().Pause(fleet.Admin("acme"), {"acme", "", 0, ""}).ok());
}

TEST_F(PeopleTest, AResumeAfterAHaltNeedsTwoDifferentPersons) {
  Begin();
  ASSERT_TRUE(UntilRunning(1));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), kRelease).ok());
  EXPECT_TRUE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt)->needs_second_person);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).status()));
  EXPECT_TRUE(fleet.Stopped(1));
  const auto second = fleet.app().Resume(fleet.Sre("bob"), kRelease, BrakeKind::kHalt);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->needs_second_person);
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST_F(PeopleTest, TheFirstApprovalIsRecordedAsOneAndResumesNothing) {
  Begin();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), kRelease).ok());
  // Whoever takes a halt for a pause is told what it is.
  EXPECT_THAT(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kPause).status().message(),
              ::testing::HasSubstr("it is halted"));
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).ok());
  const auto audit = fleet.app().Audit({});
  ASSERT_TRUE(audit.ok());
  EXPECT_EQ(audit->front().act, "rollout.approve_resume");
  EXPECT_EQ(audit->front().target, "content/1");
  EXPECT_THAT(audit->front().after, ::testing::HasSubstr("approved by ann"));
  EXPECT_EQ(fleet.app().Decisions({})->front().action, "approve_resume");
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("bob"), kRelease, BrakeKind::kHalt).ok());
  EXPECT_EQ(fleet.app().Audit({})->front().act, "rollout.resume");
}

TEST_F(PeopleTest, AReleaseThatCannotStartSaysWhy) {
  fleet.Start();
  fleet.Publish();
  const auto why = [&] { return fleet.app().GetRollout("content", 1, "")->why; };
  EXPECT_THAT(why(), ::testing::HasSubstr("vendor has no plan"));
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  EXPECT_THAT(why(), ::testing::HasSubstr("no host of the vendor's own tenant"));
  const auto notices = fleet.app().Status().notices;
  EXPECT_THAT(notices, ::testing::Contains(why()));
}

TEST_F(PeopleTest, TheFirstApprovalIsRememberedAcrossARestart) {
  Begin();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), kRelease).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).ok());
  fleet.Restart();
  EXPECT_FALSE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).ok());
  EXPECT_FALSE(fleet.app().Resume(fleet.Sre("bob"), kRelease, BrakeKind::kHalt)->needs_second_person);
}

TEST_F(PeopleTest, ANewHaltForgetsAnOldApproval) {
  Begin();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), kRelease).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).ok());
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("carl"), kRelease).ok());
  EXPECT_TRUE(fleet.app().Resume(fleet.Sre("bob"), kRelease, BrakeKind::kHalt)->needs_second_person);
}

TEST_F(PeopleTest, AHaltDropsWhatIsStagedAndLetsNobodyActivateIt) {
  Begin();
  ASSERT_TRUE(UntilRunning(1));
  const int host = SomeoneWithout();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  fleet.RunFor(absl::Minutes(5));
  EXPECT_FALSE(fleet.host(host).staged.contains(release.digest));
  EXPECT_FALSE(fleet.app().MayFetch(fleet.host(host).id, release.digest).ok());
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PeopleTest, AHaltBeatsAResumeThatWasGivenBefore) {  // trap 7
  Begin();
  ASSERT_TRUE(UntilRunning(1));
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), kRelease).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, BrakeKind::kPause).ok());
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const int64_t running = fleet.Running(release.digest);
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), running);
}

TEST_F(PeopleTest, WhilePausedHealthIsStillJudged) {  // trap 6
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricksLater; };
  Begin(60, Gates());
  ASSERT_TRUE(UntilRunning(8));
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), kRelease).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(2)));
}

TEST_F(PeopleTest, ARequestIdIsAnsweredAgainAndNotDoneAgain) {
  Begin();
  const app::Act pause = fleet.Sre();
  const auto first = fleet.app().Pause(pause, kRelease);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, BrakeKind::kPause).ok());
  const auto again = fleet.app().Pause(pause, kRelease);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(fleet.Rollout(1).brakes.size() > 0 && fleet.Rollout(1).brakes[0].vendor_paused)
      << "not done again";
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().Halt(pause, kRelease).status()));
  app::Act stolen = pause;
  stolen.actor.person = "eve";
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().Pause(stolen, kRelease).status()));
  app::Act nameless = fleet.Sre();
  nameless.request_id = "";
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().Pause(nameless, kRelease).status()));
}

TEST_F(PeopleTest, AHaltStopsHereAtOnceWhenTheDatabaseIsGone) {
  Begin();
  ASSERT_TRUE(UntilRunning(1));
  const int host = SomeoneWithout();
  fleet.store().down = true;
  const app::Act halt = fleet.Sre();
  EXPECT_TRUE(absl::IsUnavailable(fleet.app().Halt(halt, kRelease).status()));
  fleet.store().down = false;
  EXPECT_EQ(Asked(host), Reason::kHalted);
  fleet.Step();
  ASSERT_TRUE(fleet.app().Halt(halt, kRelease).ok());
  fleet.Restart();
  EXPECT_TRUE(fleet.Stopped(1));
}

TEST_F(PeopleTest, AResumeInDoubtIsInForceOnceItIsRepeated) {
  Begin();
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), kRelease).ok());
  fleet.store().next = {RecordingStore::Next::kDoubtDone};
  const app::Act act = fleet.Sre();
  EXPECT_TRUE(absl::IsDeadlineExceeded(fleet.app().Resume(act, kRelease, BrakeKind::kPause).status()));
  const auto again = fleet.app().Resume(act, kRelease, BrakeKind::kPause);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->brake.vendor_paused);
  EXPECT_TRUE(UntilRunning(1));
}

TEST_F(PeopleTest, ASecondApprovalInDoubtReleasesOnceItIsRepeated) {
  Begin();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), kRelease).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).ok());
  fleet.store().next = {RecordingStore::Next::kDoubtDone};
  const app::Act act = fleet.Sre("bob");
  EXPECT_FALSE(fleet.app().Resume(act, kRelease, BrakeKind::kHalt).ok());
  const auto again = fleet.app().Resume(act, kRelease, BrakeKind::kHalt);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->needs_second_person);
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST_F(PeopleTest, AnUndecidedHoldOrdersTheExposedBackAfterItsTimeAlsoAcrossARestart) {  // trap 16
  fleet.effect = [&](const SimHost& host, const Digest&) {
    return host.id.bytes[1] % 2 == 0 ? Effect::kActivationFails : Effect::kGood;
  };
  Begin(60);
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Decided("hold", "activation_failures"); }, absl::Hours(24)));
  const int64_t running = fleet.Running(release.digest);
  ASSERT_GE(running, 1);
  fleet.RunFor(absl::Minutes(15));
  EXPECT_GE(fleet.Running(release.digest), running) << "30 minutes were given";
  const int64_t held = fleet.Running(release.digest);
  fleet.Restart();
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(fleet.Running(release.digest), held);
  fleet.RunFor(absl::Minutes(15));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_TRUE(fleet.Decided("revert", "hold_undecided"));
  EXPECT_TRUE(fleet.Stopped(1)) << "it stays held";
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PeopleTest, ActivationFailuresHoldFromTheThirdHostOnAndAResumedHoldDoesNotTripOnThem) {
  int failed = 0;
  fleet.effect = [&](const SimHost&, const Digest&) {
    return ++failed <= 6 && failed % 2 == 0 ? Effect::kActivationFails : Effect::kGood;
  };
  Begin(60);
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(24)));
  EXPECT_TRUE(fleet.Decided("hold", "activation_failures"));
  EXPECT_FALSE(fleet.Decided("halt", ""));
  EXPECT_EQ(failed, 6);
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, BrakeKind::kHold).ok());
  fleet.RunFor(absl::Minutes(30));
  EXPECT_FALSE(fleet.Stopped(1)) << "old evidence trips again";
  fleet.Restart();
  fleet.RunFor(absl::Minutes(30));
  EXPECT_FALSE(fleet.Stopped(1)) << "old evidence trips again after a restart";
}

TEST_F(PeopleTest, ARollbackOrdersBackTenAMinuteAtMost) {
  Begin(120);
  ASSERT_TRUE(UntilRunning(60));
  const auto reply = fleet.app().RollBack(fleet.Sre(), kRelease);
  ASSERT_TRUE(reply.ok());
  EXPECT_GE(reply->hosts, 60);
  std::vector<std::pair<absl::Time, int64_t>> history;
  fleet.RunUntil(
      [&] {
        history.emplace_back(fleet.now(), fleet.Running(release.digest));
        return history.back().second == 0;
      },
      absl::Hours(1));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  for (const auto& [at, running] : history) {
    for (const auto& [later, left] : history) {
      // Ordered within one minute, done within the moments after.
      if (later < at || later - at > absl::Seconds(45)) continue;
      EXPECT_LE(running - left, 12);
    }
  }
  EXPECT_EQ(fleet.watch().Count("content", 1, Outcome::kReverted), reply->hosts);
  EXPECT_EQ(fleet.Rollout(1).revert_outstanding, 0);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PeopleTest, ARollbackGoesInTheOrderOfTheHostsPlaces) {
  Begin(120);
  ASSERT_TRUE(UntilRunning(100));
  const auto reply = fleet.app().RollBack(fleet.Sre(), kRelease);
  ASSERT_TRUE(reply.ok());
  const absl::Time begun = fleet.now();
  std::map<AgentId, int64_t> minute;  // in which a host went back
  ASSERT_TRUE(fleet.RunUntil(
      [&] {
        for (const SimHost& host : fleet.hosts()) {
          if (host.reverts > 0) minute.try_emplace(host.id, absl::ToInt64Minutes(fleet.now() - begun));
        }
        return fleet.Running(release.digest) == 0;
      },
      absl::Hours(1)));
  ASSERT_GE(minute.size(), 100u);
  int early = 0;
  for (const auto& [agent, at] : minute) {
    const double place = static_cast<double>(policy::PlaceOf(release.digest, agent)) * 0x1p-64;
    EXPECT_LE(place * static_cast<double>(reply->hosts), 12 * static_cast<double>(at + 1))
        << "it went in minute " << at << ", before its turn";
    early += at < 3 ? 1 : 0;
  }
  EXPECT_GE(early, 15) << "nobody waits for nothing";
}

TEST_F(PeopleTest, ARollbackIsToldAlsoWhileALeaseIsInTheHand) {
  Begin();
  ASSERT_TRUE(UntilRunning(4));
  ASSERT_TRUE(fleet.app().RollBack(fleet.Sre(), kRelease).ok());
  fleet.RunFor(absl::Minutes(15));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, 0);
}

TEST_F(PeopleTest, ARecalledReleaseGoesBackEverywhereAndNeverComesAgain) {
  Begin();
  ASSERT_TRUE(UntilRunning(6));
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 0; }, absl::Minutes(20)));
  fleet.RunFor(absl::Minutes(5));
  EXPECT_EQ(fleet.StateOf("vendor", "dogfood", 1), StageState::kRecalled);
  for (const char* person : {"ann", "bob"}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(
        fleet.app().Resume(fleet.Sre(person), kRelease, BrakeKind::kHalt).status()));
  }
  EXPECT_EQ(fleet.app().ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  fleet.Restart();
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_EQ(fleet.Violations(), "");
  const policy::Release fix = fleet.Publish();
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(fix.digest) == 30; }, absl::Hours(24)));
}

TEST_F(PeopleTest, AReleaseOfABrakeLeavesTheOthers) {
  Begin();
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), kRelease).ok());
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"vendor", "", 0, ""}).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, BrakeKind::kPause).ok());
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), {"vendor", "", 0, ""}, BrakeKind::kPause).ok());
  EXPECT_TRUE(UntilRunning(1));
}

TEST_F(PeopleTest, AWaitingStageOfARemovedRingSurvivesAHaltAndItsResume) {
  fleet.AddRing("vendor", "dogfood", 8);
  fleet.AddRing("vendor", "second", 8);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood"), RingNamed("second")}));
  release = fleet.Publish();
  fleet.Step();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), kRelease).ok());
  fleet.RunFor(absl::Minutes(1));
  fleet.Apply(PlanOf("vendor", {RingNamed("second")}));
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), kRelease, BrakeKind::kHalt).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("bob"), kRelease, BrakeKind::kHalt).ok());
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PeopleTest, OneRefusedFileInTheVendorsOwnFleetHalts) {
  bool one = false;
  fleet.refuses = [&](const SimHost&, const Digest&) { return !std::exchange(one, true); };
  Begin();
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Decided("halt", "rejected_file"); }, absl::Hours(1)));
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), 0);
}

// No database takes half a character, and the halt would be lost with it.
TEST_F(PeopleTest, ARefusalsReasonIsCutBetweenCharacters) {
  Begin();
  app::AgentEvent event;
  event.seq = 1;
  event.kind = app::EventKind::kRejected;
  event.channel = "content";
  event.digest = release.digest;
  event.detail = std::string(199, 'x') + "\xc3\xbc";
  ASSERT_TRUE(fleet.Say(0, {event}).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Decided("halt", "rejected_file"); }, absl::Hours(1)));
  const auto decisions = fleet.app().Decisions({});
  const auto halt = std::find_if(decisions->begin(), decisions->end(),
                                 [](const auto& one) { return one.rule == "rejected_file"; });
  ASSERT_NE(halt, decisions->end());
  EXPECT_EQ(halt->why, "1 agents refused the file: " + std::string(199, 'x'));
}

TEST_F(PeopleTest, ARefusedFileNamedByAnAgentOfATenantWithoutAPlanHoldsThatTenantOnly) {
  Begin();
  const int stranger = fleet.AddHost("acme", {{"ring", "canary"}});
  app::AgentEvent event;
  event.seq = 1;
  event.kind = app::EventKind::kRejected;
  event.channel = "content";
  event.digest = release.digest;
  ASSERT_TRUE(fleet.Say(stranger, {event}).ok());
  fleet.Step();
  EXPECT_TRUE(UntilRunning(1));
}

}  // namespace
}  // namespace ringfence::test
