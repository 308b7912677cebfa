// Until when a plan holds, and approvals that shorten an age, by their effect in production wiring. The
// harness's time begins on Tuesday, 2023-11-14 22:13 UTC.
#include <string>

#include "absl/time/civil_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"

namespace ringfence::test {
namespace {

using policy::Reason;
using ::testing::IsEmpty;

absl::Time Utc(int day, int hour) {
  return absl::FromCivil(absl::CivilHour(2023, 11, day, hour), absl::UTCTimeZone());
}

class PlanTermsTest : public OneCustomerTest {
 protected:
  void RunTo(absl::Time time) { fleet.RunFor(time - fleet.now()); }
  policy::Eligibility Why(int host) {
    return fleet.app().Explain(fleet.host(host).id, "content", 1).value().eligibility;
  }
  absl::Status Approve(const std::string& ring, std::optional<absl::Duration> age) {
    storage::ConsentRow wanted;
    wanted.tenant = "acme";
    wanted.channel = "content";
    wanted.serial = 1;
    wanted.ring = ring;
    wanted.approved = true;
    wanted.min_age = age;
    return fleet.app().Consent(fleet.Admin("acme"), wanted).status();
  }
};

// ---------------------------------------------------------------- the plan's own time

TEST_F(PlanTermsTest, PastThePlansTimeNobodyIsLetInWhatRunsStaysAndANewerPlanGoesOn) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all", {0.1, 1})});
  plan.rings[0].soak = absl::Hours(2);
  plan.valid_until = Utc(15, 0);
  Begin(plan, 30);
  const policy::Release release = fleet.Publish();
  RunTo(Utc(15, 12));
  const int64_t before = fleet.Running(release.digest);
  EXPECT_GT(before, 0);
  EXPECT_LE(before, 3) << "the first wave";
  for (const auto& [key, row] : fleet.watch().exposures()) EXPECT_LT(row.exposed_at, Utc(15, 0));
  const policy::Eligibility why = Why(29).reason == Reason::kAlreadyRunning ? Why(28) : Why(29);
  EXPECT_EQ(why.reason, Reason::kPlanExpired);
  EXPECT_EQ(why.next, absl::InfiniteFuture()) << "no time mends it";
  EXPECT_EQ(fleet.StageOf("acme", "all", 1)->wave, 0);
  const auto preview = fleet.app().PreviewPlan(plan);
  ASSERT_FALSE(preview.projected_now.empty());
  const auto& holds = preview.projected_now[0].rings[0].holds;
  ASSERT_FALSE(holds.empty());
  EXPECT_EQ(holds[0].reason, Reason::kPlanExpired);
  EXPECT_EQ(preview.now[0].reason, Reason::kPlanExpired);
  plan.valid_until.reset();
  fleet.Apply(plan);
  EXPECT_TRUE(Until(30, release));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanTermsTest, APreviewForeseesTheEndOfThePlan) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all", {0.1, 1})});
  plan.rings[0].soak = absl::Hours(6);
  plan.valid_until = fleet.now() + absl::Hours(2);
  Begin(plan, 30);
  fleet.Publish();
  fleet.RunFor(absl::Minutes(30));
  const auto preview = fleet.app().PreviewPlan(plan);
  const policy::ProjectedRing& ring = preview.projected_now.at(0).rings.at(0);
  ASSERT_EQ(ring.waves.size(), 1u);
  EXPECT_EQ(ring.waves[0].passes, absl::InfiniteFuture());
  ASSERT_EQ(ring.holds.size(), 1u);
  EXPECT_EQ(ring.holds[0].reason, Reason::kPlanExpired);
  EXPECT_GE(ring.holds[0].from, *plan.valid_until);
  EXPECT_LT(ring.holds[0].from, *plan.valid_until + absl::Minutes(1));
}

// ---------------------------------------------------------------- an approval that hastens

TEST_F(PlanTermsTest, AnApprovalShortensTheAgeAsFarAsTheRingLets) {
  policy::Plan plan = PlanOf("acme", {RingNamed("lab"), RingNamed("rest")});
  plan.rings[1].min_age = absl::Hours(24 * 7);
  plan.rings[1].hasten_to = absl::Hours(10);
  Begin(plan, 4);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(4, release));
  EXPECT_TRUE(absl::IsFailedPrecondition(Approve("lab", absl::Hours(1)))) << "that ring lets nobody";
  EXPECT_TRUE(absl::IsFailedPrecondition(Approve("rest", std::nullopt))) << "nobody is asked";
  ASSERT_TRUE(Approve("rest", absl::Hours(1)).ok());
  const absl::Time published = release.published_at;
  for (int start = 0; start < 2; ++start) {
    const auto preview = fleet.app().PreviewPlan(plan);
    const auto& waves = preview.projected_now.at(0).rings.at(1).waves;
    ASSERT_FALSE(waves.empty());
    EXPECT_LT(waves[0].opens, published + absl::Hours(14)) << "the preview knows of it";
    fleet.Restart();
  }
  fleet.RunFor(published + absl::Hours(9) - fleet.now());
  EXPECT_EQ(fleet.RunningIn("acme", "rest", release.digest), 0);
  EXPECT_EQ(Why(4).reason, Reason::kMinAge);
  ASSERT_TRUE(Until(8, release, absl::Hours(12))) << "ten hours of health, not the one asked for, nor a week";
  for (const auto& [key, row] : fleet.watch().exposures()) {
    if (row.ring != "rest") continue;
    EXPECT_GE(row.exposed_at, published + absl::Hours(10));
  }
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanTermsTest, AnApprovalThatHastensIsListedAndOneRingsIsNotAnothers) {
  policy::Plan plan = PlanOf("acme", {RingNamed("lab"), RingNamed("rest"), RingNamed("last")});
  for (policy::Ring& ring : plan.rings) {
    ring.min_age = absl::Hours(48);
    ring.hasten_to = absl::ZeroDuration();
  }
  plan.rings[0].min_age = absl::ZeroDuration();
  Begin(plan, 4);
  const policy::Release release = fleet.Publish();
  EXPECT_THAT(*fleet.app().Approvals("acme"), IsEmpty()) << "nobody waits for a person";
  ASSERT_TRUE(Approve("rest", absl::ZeroDuration()).ok());
  const auto listed = fleet.app().Approvals("acme");
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].row.ring, "rest");
  EXPECT_EQ((*listed)[0].row.min_age, absl::ZeroDuration());
  ASSERT_TRUE(Until(8, release));
  fleet.RunFor(absl::Hours(4));
  EXPECT_EQ(fleet.RunningIn("acme", "last", release.digest), 0);
  EXPECT_EQ(Why(8).reason, Reason::kMinAge);
}

}  // namespace
}  // namespace ringfence::test
