// Urgent releases are announced and acknowledged; they move as the plan says and in no other way. And asking
// for a way around is an act that is refused and kept.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using ::testing::HasSubstr;

class UrgentTest : public testing::Test {
 protected:
  UrgentTest() {
    fleet.AddRing("vendor", "dogfood", 4);
    fleet.AddRing("acme", "canary", 4);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    fleet.Apply(PlanOf("acme", {RingNamed("canary")}));
    policy::Release urgent = fleet.NextRelease();
    urgent.urgent = true;
    release = fleet.TryPublish(urgent).value();
  }
  storage::AcknowledgementRow For(const std::string& tenant, uint64_t serial = 1) {
    storage::AcknowledgementRow wanted;
    wanted.tenant = tenant;
    wanted.channel = "content";
    wanted.serial = serial;
    return wanted;
  }
  int64_t Denied() {
    int64_t denied = 0;
    const auto audit = fleet.app().Audit({});
    for (const storage::AuditRow& row : *audit) denied += row.act == "bypass_denied" ? 1 : 0;
    return denied;
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(UrgentTest, IsAnnouncedToEveryTenantWithWhatItsPlanMakesOfIt) {
  EXPECT_TRUE(fleet.Decided("announce", "urgent"));
  policy::Plan plan = PlanOf("acme", {RingNamed("canary")});
  plan.urgent =
      policy::Urgent{policy::UrgentMode::kAllow, {"canary"}, absl::Hours(1), absl::Minutes(10), true};
  fleet.Apply(plan);
  const auto all = fleet.app().UrgentReleases("");
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 2U);
  for (const app::UrgentInfo& info : *all) {
    EXPECT_EQ(info.release.release.serial, release.serial);
    EXPECT_FALSE(info.acknowledged.has_value());
    EXPECT_THAT(info.effect, info.tenant == "acme"
                                 ? HasSubstr("ring canary: age 1h, soak 10m, outside windows")
                                 : HasSubstr("nothing move faster"));
  }
  EXPECT_EQ(fleet.app().UrgentReleases("acme")->size(), 1U);
  fleet.Publish();  // is not urgent
  EXPECT_EQ(fleet.app().UrgentReleases("acme")->size(), 1U);
}

TEST_F(UrgentTest, IsAcknowledgedOnceByTheTenantsOwnPeopleAndThatIsKept) {
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().Acknowledge(fleet.Sre(), For("acme")).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().Acknowledge(fleet.Admin("globex"), For("acme")).status()));
  const app::Act act = fleet.Admin("acme", "seen, the night shift knows");
  ASSERT_TRUE(fleet.app().Acknowledge(act, For("acme")).ok());
  EXPECT_TRUE(fleet.app().Acknowledge(act, For("acme")).ok()) << "the same request again";
  EXPECT_TRUE(absl::IsFailedPrecondition(fleet.app().Acknowledge(fleet.Admin("acme"), For("acme")).status()));
  EXPECT_TRUE(absl::IsNotFound(fleet.app().Acknowledge(fleet.Admin("acme"), For("acme", 9)).status()));
  fleet.Restart();
  const auto known = fleet.app().UrgentReleases("acme");
  ASSERT_TRUE(known->front().acknowledged.has_value());
  EXPECT_EQ(known->front().acknowledged->reason, "seen, the night shift knows");
  EXPECT_TRUE(fleet.Decided("acknowledge", "operator"));
}

TEST_F(UrgentTest, WhoHasNotAcknowledgedItIsCountedUntilItIsRecalled) {
  policy::Plan other = PlanOf("globex", {RingNamed("canary")});
  other.channels[0].channel = "sensor";
  fleet.Apply(other);  // it is not announced to who has no such channel
  const auto waiting = [&](uint64_t serial, const std::string& tenant = "") {
    return fleet.app().GetRollout("content", serial, tenant)->unacknowledged;
  };
  EXPECT_EQ(waiting(1), 2);
  EXPECT_EQ(waiting(1, "acme"), 1);
  ASSERT_TRUE(fleet.app().Acknowledge(fleet.Admin("acme"), For("acme")).ok());
  EXPECT_EQ(waiting(1), 1);
  EXPECT_EQ(waiting(1, "acme"), 0);
  EXPECT_EQ(waiting(fleet.Publish().serial), 0) << "it is not urgent";
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  EXPECT_EQ(waiting(1), 0);
}

TEST_F(UrgentTest, AnAcknowledgementMovesNothing) {
  const std::string before = fleet.StageOf("vendor", "dogfood", 1) == nullptr ? "" : "open";
  ASSERT_TRUE(fleet.app().Acknowledge(fleet.Admin("acme"), For("acme")).ok());
  fleet.RunFor(absl::Minutes(1));
  EXPECT_EQ(fleet.RunningIn("acme", "canary", release.digest), 0);
  EXPECT_EQ(fleet.StageOf("acme", "canary", 1) == nullptr ||
                fleet.StateOf("acme", "canary", 1) == policy::StageState::kWaiting,
            true);
}

TEST_F(UrgentTest, WhatIsNotUrgentHasNothingToAcknowledge) {
  const policy::Release normal = fleet.Publish();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      fleet.app().Acknowledge(fleet.Admin("acme"), For("acme", normal.serial)).status()));
}

TEST_F(UrgentTest, WhoeverAsksForAWayAroundIsRefusedAndOnRecordOnce) {
  int64_t asked = 0;
  for (const app::BypassKind kind : {app::BypassKind::kSkipRing, app::BypassKind::kShortenSoak,
                                     app::BypassKind::kWidenWave, app::BypassKind::kIgnorePlan}) {
    const app::Act act = fleet.Sre("sam", "the customer is on the phone");
    for (int i = 0; i < 2; ++i) {
      const absl::Status denied = fleet.app().DenyBypass(act, {kind, {"acme", "content", 1, "canary"}});
      EXPECT_TRUE(absl::IsPermissionDenied(denied)) << denied;
      EXPECT_THAT(denied.message(), HasSubstr(absl::StrCat("bypass_denied: ", app::Name(kind))));
    }
    EXPECT_EQ(Denied(), ++asked);
  }
  const auto audit = fleet.app().Audit({});
  EXPECT_EQ(audit->front().person, "sam");
  EXPECT_EQ(audit->front().tenant, "acme");
  EXPECT_EQ(audit->front().reason, "the customer is on the phone");
}

}  // namespace
}  // namespace ringfence::test
