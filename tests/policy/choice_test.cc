#include "ringfence/policy/choice.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'721'361'600);

// internal (first of the vendor's own), canary, N-1, N: the lagging ring stands before the leading one.
Plan LagBeforeLead() {
  return MakePlan({MakeRing("internal"), MakeRing("canary"), MakeRing("n-1", 1), MakeRing("n")});
}

// canary, N, N-1: the lagging ring comes last.
Plan LagAfterLead() {
  return MakePlan({MakeRing("canary"), MakeRing("n"), MakeRing("n-1", 1)});
}

Choice Choose(const Plan& plan, int ring, const std::vector<ReleaseProgress>& releases) {
  return ChooseRelease(plan, ring, "content", releases, /*first_of_internal=*/false, kNow);
}

ReleaseProgress Stopped(ReleaseProgress progress) {
  progress.stopped = true;
  return progress;
}

ReleaseProgress Aged(ReleaseProgress progress, absl::Duration healthy_age, absl::Duration age) {
  progress.healthy_age = healthy_age;
  progress.age = age;
  return progress;
}

// A release that passed exactly the rings whose flag is set.
ReleaseProgress Passed(uint64_t serial, std::vector<bool> rings) {
  ReleaseProgress progress = Travelled(serial, 0);
  progress.ring_passed = std::move(rings);
  return progress;
}

TEST(MayGoOnTest, ARingGoesOnWithWhatItTookUntilThePlanIsTighter) {
  Plan plan = LagAfterLead();
  const std::vector<ReleaseProgress> releases = {Travelled(1, 3), Aged(Travelled(2, 1), absl::Hours(2), {})};
  const auto may = [&](int ring) { return MayGoOn(plan, ring, "content", releases, 2, false); };
  EXPECT_EQ(may(1), Reason::kNone);
  plan.rings[1].min_age = absl::Hours(2);
  EXPECT_EQ(may(1), Reason::kNone);
  plan.rings[1].min_age = absl::Hours(3);
  EXPECT_EQ(may(1), Reason::kMinAge);
  plan.rings[1].min_age = absl::ZeroDuration();
  plan.rings[1].lag = 1;
  EXPECT_EQ(may(1), Reason::kNothingToLag);
  plan.rings[1].lag = 0;
  plan.channels[0].lag = 1;
  EXPECT_EQ(may(1), Reason::kNothingToLag);
  plan.channels[0].lag = 0;
  plan.channels[0].mode = ChannelMode::kPinned;
  plan.channels[0].pinned_version = "another";
  EXPECT_EQ(may(1), Reason::kPinned);
  plan.channels[0].mode = ChannelMode::kPaused;
  EXPECT_EQ(may(1), Reason::kChannelPaused);
  plan.channels.clear();
  EXPECT_EQ(may(1), Reason::kChannelNotInPlan);
}

TEST(MayGoOnTest, AHaltAheadOfALaggingRingDoesNotTakeItsReleaseBack) {
  const Plan plan = LagAfterLead();
  const std::vector<ReleaseProgress> releases = {Travelled(1, 2), Stopped(Travelled(2, 2))};
  EXPECT_EQ(Choose(plan, 2, releases).reason, Reason::kNothingToLag);
  EXPECT_EQ(MayGoOn(plan, 2, "content", releases, 1, false), Reason::kNone);
}

TEST(MayGoOnTest, ARingThatWasPutBeforeItIsNotAskedAboutTheReleaseItself) {
  Plan plan = LagAfterLead();
  plan.rings.insert(plan.rings.begin(), MakeRing("new"));
  EXPECT_EQ(MayGoOn(plan, 2, "content", {Passed(1, {false, true, false, false})}, 1, false), Reason::kNone);
}

TEST(ChoiceTest, TheFirstRingTakesTheNewestThatPassedTheInternalFleet) {
  ReleaseProgress fresh = Travelled(3, 0);
  fresh.internal_passed = false;
  EXPECT_EQ(Choose(LagAfterLead(), 0, {Travelled(1, 3), Travelled(2, 0)}).serial, 2u);
  EXPECT_EQ(Choose(LagAfterLead(), 0, {Travelled(1, 3), Travelled(2, 0), fresh}).serial, 2u);
}

TEST(ChoiceTest, WithTheLagBeforeTheLeadEachRingTakesWhatItsNameSays) {
  const Plan plan = LagBeforeLead();
  // 3 passed internal and canary only; 2 went further.
  const std::vector<ReleaseProgress> releases = {Travelled(1, 4), Travelled(2, 4), Travelled(3, 2)};
  EXPECT_EQ(Choose(plan, 1, releases).serial, 3u);
  EXPECT_EQ(Choose(plan, 2, releases).serial, 2u);  // one behind what canary passed
  EXPECT_EQ(Choose(plan, 3, releases).serial, 3u);  // N does not wait for the ring that lags
}

TEST(ChoiceTest, WithTheLagAfterTheLeadEachRingTakesWhatItsNameSays) {
  const Plan plan = LagAfterLead();
  const std::vector<ReleaseProgress> releases = {Travelled(1, 3), Travelled(2, 2), Travelled(3, 1)};
  EXPECT_EQ(Choose(plan, 0, releases).serial, 3u);
  EXPECT_EQ(Choose(plan, 1, releases).serial, 3u);
  // 3 has not passed N, so the newest there is 2, and one behind it is 1.
  EXPECT_EQ(Choose(plan, 2, releases).serial, 1u);
  EXPECT_EQ(Choose(plan, 2, {Travelled(1, 3), Travelled(2, 3), Travelled(3, 2)}).serial, 2u);
}

TEST(ChoiceTest, ASecondLaggingRingFollowsTheFirstAndFallsNoFurtherBehind) {
  const Plan plan = MakePlan({MakeRing("n"), MakeRing("a", 1), MakeRing("b", 1), MakeRing("c", 2)});
  const std::vector<ReleaseProgress> releases = {Travelled(1, 4), Passed(2, {true, true, true}),
                                                 Passed(3, {true, true}), Passed(4, {true})};
  EXPECT_EQ(Choose(plan, 1, releases).serial, 3u);
  EXPECT_EQ(Choose(plan, 2, releases).serial, 3u);
  EXPECT_EQ(Choose(plan, 3, releases).serial, 2u);
}

TEST(ChoiceTest, AChannelThatLagsLagsInEveryRingByTheSame) {
  Plan plan = LagAfterLead();
  plan.channels[0].lag = 1;
  const std::vector<ReleaseProgress> releases = {Travelled(1, 3), Travelled(2, 3), Travelled(3, 0)};
  for (const int ring : {0, 1, 2}) EXPECT_EQ(Choose(plan, ring, releases).serial, 2u) << ring;
}

TEST(ChoiceTest, HaltedAndRecalledReleasesDoNotCount) {
  const std::vector<ReleaseProgress> releases = {Travelled(1, 3), Travelled(2, 3), Stopped(Travelled(3, 3))};
  EXPECT_EQ(Choose(LagAfterLead(), 1, releases).serial, 2u);
  EXPECT_EQ(Choose(LagAfterLead(), 2, releases).serial, 1u);
}

TEST(ChoiceTest, WithTooFewToLagBehindTheRingKeepsWhatRuns) {
  const Choice choice = Choose(LagAfterLead(), 2, {Travelled(1, 3)});
  EXPECT_EQ(choice.serial, std::nullopt);
  EXPECT_EQ(choice.reason, Reason::kNothingToLag);
  EXPECT_EQ(choice.revisit_at, absl::InfiniteFuture());
  EXPECT_EQ(Choose(LagAfterLead(), 1, {Stopped(Travelled(1, 3))}).reason, Reason::kNothingToLag);
}

TEST(ChoiceTest, SaysWhyTheNewestDoesNotCome) {
  ReleaseProgress fresh = Travelled(2, 0);
  EXPECT_EQ(Choose(LagAfterLead(), 1, {fresh}).reason, Reason::kEarlierRingNotPassed);
  fresh.internal_passed = false;
  EXPECT_EQ(Choose(LagAfterLead(), 1, {fresh}).reason, Reason::kInternalNotPassed);
  // The newest is stopped: it is the next one that is asked.
  EXPECT_EQ(Choose(LagAfterLead(), 1, {fresh, Stopped(Travelled(3, 1))}).reason, Reason::kInternalNotPassed);
}

TEST(ChoiceTest, AnEmptyChannelHasNoRelease) {
  EXPECT_EQ(Choose(LagAfterLead(), 0, {}).reason, Reason::kNoRelease);
}

TEST(ChoiceTest, ThePlansRuleForTheChannelComesFirst) {
  Plan plan = LagAfterLead();
  EXPECT_EQ(ChooseRelease(plan, 0, "sensor", {}, false, kNow).reason, Reason::kChannelNotInPlan);
  plan.channels[0].mode = ChannelMode::kPaused;
  const Choice choice = Choose(plan, 0, {Travelled(1, 3)});
  EXPECT_EQ(choice.serial, std::nullopt);
  EXPECT_EQ(choice.reason, Reason::kChannelPaused);
}

TEST(ChoiceTest, APinTakesThatVersionAloneAndWithoutLag) {
  Plan plan = LagAfterLead();
  plan.channels[0].mode = ChannelMode::kPinned;
  plan.channels[0].pinned_version = "v2";
  const std::vector<ReleaseProgress> releases = {Travelled(1, 3), Travelled(2, 2), Travelled(3, 3)};
  for (const int ring : {0, 1, 2}) EXPECT_EQ(Choose(plan, ring, releases).serial, 2u) << ring;
}

TEST(ChoiceTest, APinSkipsNoRing) {
  Plan plan = LagAfterLead();
  plan.channels[0].mode = ChannelMode::kPinned;
  plan.channels[0].pinned_version = "v2";
  EXPECT_EQ(Choose(plan, 1, {Travelled(2, 0)}).reason, Reason::kEarlierRingNotPassed);
}

TEST(ChoiceTest, APinThatIsNotThereOrIsStoppedSaysSo) {
  Plan plan = LagAfterLead();
  plan.channels[0].mode = ChannelMode::kPinned;
  plan.channels[0].pinned_version = "v2";
  EXPECT_EQ(Choose(plan, 0, {Travelled(1, 3)}).reason, Reason::kPinned);
  EXPECT_EQ(Choose(plan, 0, {Travelled(1, 3), Stopped(Travelled(2, 3))}).reason, Reason::kHalted);
}

TEST(ChoiceTest, MinimumAgeIsCountedInHealthyTimeAndNamesWhenItCouldBeOver) {
  Plan plan = LagAfterLead();
  plan.rings[1].min_age = absl::Hours(24);
  const Choice young = Choose(plan, 1, {Aged(Travelled(1, 1), absl::Hours(20), absl::Hours(100))});
  EXPECT_EQ(young.serial, std::nullopt);
  EXPECT_EQ(young.reason, Reason::kMinAge);
  EXPECT_EQ(young.revisit_at, kNow + absl::Hours(4));
  EXPECT_EQ(Choose(plan, 1, {Aged(Travelled(1, 1), absl::Hours(24), absl::Hours(24))}).serial, 1u);
}

TEST(ChoiceTest, NobodySoaksBeforeTheInternalFleetSoItsFirstRingCountsPlainAge) {
  Plan plan = LagAfterLead();
  plan.rings[0].min_age = plan.rings[1].min_age = absl::Hours(2);
  const std::vector<ReleaseProgress> releases = {Aged(Travelled(1, 1), absl::ZeroDuration(), absl::Hours(3))};
  EXPECT_EQ(ChooseRelease(plan, 0, "content", releases, /*first_of_internal=*/true, kNow).serial, 1u);
  EXPECT_EQ(ChooseRelease(plan, 0, "content", releases, /*first_of_internal=*/false, kNow).reason,
            Reason::kMinAge);
  EXPECT_EQ(ChooseRelease(plan, 1, "content", releases, /*first_of_internal=*/true, kNow).reason,
            Reason::kMinAge);
}

// A release each hour, a day of minimum age: the ring always has one, and its lag is counted among the old
// enough.
TEST(ChoiceTest, AStreamOfReleasesNeverStarvesARing) {
  Plan plan = LagAfterLead();
  plan.rings[1].min_age = plan.rings[2].min_age = absl::Hours(24);
  std::vector<ReleaseProgress> releases;
  for (int hours_old = 60; hours_old >= 1; --hours_old) {
    releases.push_back(Aged(Travelled(static_cast<uint64_t>(61 - hours_old), 2), absl::Hours(hours_old),
                            absl::Hours(hours_old)));
  }
  EXPECT_EQ(Choose(plan, 0, releases).serial, 60u);
  EXPECT_EQ(Choose(plan, 1, releases).serial, 37u);  // 24 hours old
  EXPECT_EQ(Choose(plan, 2, releases).serial, 36u);  // the one before
  EXPECT_EQ(Choose(plan, 1, releases).revisit_at, kNow + absl::Hours(1));
}

TEST(ChoiceTest, ARingThatTheProgressDoesNotKnowHasNotPassed) {
  EXPECT_EQ(Choose(LagAfterLead(), 2, {Travelled(1, 1), Travelled(2, 1)}).reason,
            Reason::kEarlierRingNotPassed);
}

}  // namespace
}  // namespace ringfence::policy
