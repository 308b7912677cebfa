#include "ringfence/policy/pinned_plan.h"

#include "gtest/gtest.h"
#include "ringfence/policy/bucket.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

// A Monday, noon.
const absl::Time kNow = absl::FromCivil(absl::CivilSecond(2026, 11, 23, 12, 0, 0), absl::UTCTimeZone());

class PinnedPlanTest : public testing::Test {
 protected:
  Reason Ask() {
    std::vector<Milestone> published;
    for (const uint64_t serial : serials) published.push_back({serial, versions[serial]});
    HostView view{published, running, age, consent, now, hastened};
    return EvaluateOnHost(plan, labels, release, view).reason;
  }
  Plan plan = MakePlan({MakeRing("canary"), MakeRing("rest", 1)});
  Labels labels = MakeLabels({{"ring", "rest"}, {"platform", "windows"}, {"os", "win10"}});
  Release release = MakeRelease(7);
  std::vector<uint64_t> serials{6, 7, 8};
  std::map<uint64_t, std::string> versions{{5, "7.5"}, {6, "7.6"}, {7, "7.7"}, {8, "7.8"}, {9, "7.9"}};
  uint64_t running = 6;
  absl::Duration age = absl::Hours(48);
  Consent consent = Consent::kNone;
  absl::Time now = kNow;
  std::optional<absl::Duration> hastened;
};

TEST_F(PinnedPlanTest, WhatThePlanAllowsIsAllowed) {
  EXPECT_EQ(Ask(), Reason::kNone);
}

TEST_F(PinnedPlanTest, TheNewestIsNotForARingThatLags) {
  serials = {6, 7};
  EXPECT_EQ(Ask(), Reason::kNothingToLag);
  plan.channels[0] = PinTo("content", "7.7");
  EXPECT_EQ(Ask(), Reason::kNone) << "a pinned version is not lagged behind";
}

TEST_F(PinnedPlanTest, AYoungReleaseIsRefusedButForTheSlackOfTheClocks) {
  plan.rings[1].min_age = absl::Hours(48) + kHostSlack;
  EXPECT_EQ(Ask(), Reason::kNone);
  plan.rings[1].min_age += absl::Seconds(1);
  EXPECT_EQ(Ask(), Reason::kMinAge);
  plan.urgent = Urgent{UrgentMode::kAllow, {}, absl::Hours(1), std::nullopt, false};
  EXPECT_EQ(Ask(), Reason::kMinAge);
  release.urgent = true;
  EXPECT_EQ(Ask(), Reason::kNone);
}

TEST_F(PinnedPlanTest, AWindowIsOpenAMomentBeforeAndAfter) {
  plan.rings[1].windows = {{{Weekday::kMonday}, 12 * 60 + 2, 14 * 60, "UTC"}};
  EXPECT_EQ(Ask(), Reason::kNone);
  now = kNow - absl::Seconds(1);
  EXPECT_EQ(Ask(), Reason::kWindow);
  now = kNow + absl::Hours(2) + absl::Seconds(119);
  EXPECT_EQ(Ask(), Reason::kNone);
  now = kNow + absl::Hours(2) + absl::Minutes(3);
  EXPECT_EQ(Ask(), Reason::kWindow);
}

TEST_F(PinnedPlanTest, AFreezeHoldsAndSoDoesAMissingYes) {
  plan.freezes = {{kNow - absl::Hours(1), kNow + absl::Hours(1), "trade", "retail", {}}};
  EXPECT_EQ(Ask(), Reason::kFrozen);
  plan.freezes.clear();
  plan.rings[1].approval = Approval::kExplicit;
  EXPECT_EQ(Ask(), Reason::kApproval);
  consent = Consent::kApproved;
  EXPECT_EQ(Ask(), Reason::kNone);
  consent = Consent::kDenied;
  EXPECT_EQ(Ask(), Reason::kDenied);
}

TEST_F(PinnedPlanTest, AnApprovalShortensTheAgeNoFurtherThanTheRingLets) {
  plan.rings[1].min_age = absl::Hours(24 * 7);
  hastened = absl::Hours(1);
  EXPECT_EQ(Ask(), Reason::kMinAge) << "the ring lets none";
  plan.rings[1].hasten_to = absl::Hours(72);
  EXPECT_EQ(Ask(), Reason::kMinAge) << "no further than this";
  plan.rings[1].hasten_to = absl::Hours(24);
  EXPECT_EQ(Ask(), Reason::kNone);
  hastened = absl::Hours(60);
  EXPECT_EQ(Ask(), Reason::kMinAge) << "nor than it asks for";
  hastened.reset();
  EXPECT_EQ(Ask(), Reason::kMinAge) << "nor without one";
}

TEST_F(PinnedPlanTest, PastThePlansTimeNothingIsTakenButForTheSlackOfTheClocks) {
  plan.valid_until = kNow;
  now = kNow + kHostSlack - absl::Seconds(1);
  EXPECT_EQ(Ask(), Reason::kNone);
  now = kNow + kHostSlack;
  EXPECT_EQ(Ask(), Reason::kPlanExpired);
}

TEST_F(PinnedPlanTest, APlatformThatWasNotTestedIsForTheFirstRingIfThePlanSaysSo) {
  labels = MakeLabels({{"ring", "canary"}, {"platform", "windows"}, {"os", "beta"}});
  EXPECT_EQ(Ask(), Reason::kNotQualified);
  plan.unqualified_platform = UnqualifiedPlatform::kFirstRingOnly;
  EXPECT_EQ(Ask(), Reason::kNone);
  labels = MakeLabels({{"ring", "rest"}, {"platform", "windows"}, {"os", "beta"}});
  EXPECT_EQ(Ask(), Reason::kNotQualified);
}

TEST_F(PinnedPlanTest, ABarrierComesFirst) {
  plan.channels[0].barriers = {"7.6"};
  running = 5;
  EXPECT_EQ(Ask(), Reason::kBarrier);
  running = 6;
  EXPECT_EQ(Ask(), Reason::kNone);
}

TEST_F(PinnedPlanTest, AHostInNoRingTakesNothingAndADeniedReleaseNobody) {
  plan.deny.resize(1);
  plan.deny[0].channel = "content";
  plan.deny[0].version = "7.7";
  EXPECT_EQ(Ask(), Reason::kDenied);
  labels = MakeLabels({{"ring", "none"}});
  EXPECT_EQ(Ask(), Reason::kNoRing);
}

TEST(MayGoBackTest, CountsReleasesBackAndNeverFurther) {
  Plan plan = MakePlan({MakeRing("all")});
  const std::vector<uint64_t> serials{3, 5, 8, 9};
  EXPECT_TRUE(MayGoBack(plan, serials, 9, 3)) << "no limit";
  plan.rollback_depth = 2;
  EXPECT_TRUE(MayGoBack(plan, serials, 9, 8));
  EXPECT_TRUE(MayGoBack(plan, serials, 9, 5));
  EXPECT_FALSE(MayGoBack(plan, serials, 9, 3));
  EXPECT_FALSE(MayGoBack(plan, serials, 9, 4)) << "not a release that is known";
  plan.rollback_depth = 0;
  EXPECT_FALSE(MayGoBack(plan, serials, 9, 8));
}

}  // namespace
}  // namespace ringfence::policy
