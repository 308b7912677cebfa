// A repeated request id has no further effect and gets the same answer: of every act, also after a restart,
// also when the first answer was lost.
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using Next = RecordingStore::Next;

class RequestsTest : public testing::Test {
 protected:
  void SetUp() override {
    fleet.AddRing("vendor", "dogfood", 8);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  }
  int64_t Audited(const std::string& request_id) {
    int64_t count = 0;
    const auto rows = fleet.app().Audit({});
    for (const storage::AuditRow& row : *rows) count += row.request_id == request_id ? 1 : 0;
    return count;
  }
  absl::StatusOr<app::PublishReply> Publish(const app::Act& act, const policy::Release& release) {
    return fleet.app().Publish(act, {release, FleetHarness::BytesOf(release)});
  }
  absl::StatusOr<app::EnrolReply> Enrol(const std::string& token, int host) {
    return fleet.app().Enrol({token, fleet.host(host).id, fleet.host(host).labels, "boot-9"});
  }
  FleetHarness fleet;
};

TEST_F(RequestsTest, APublicationIsAnsweredAgainAlsoWhenTheReleaseWasRecalledSince) {
  fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "xp"}});
  policy::Release release = fleet.NextRelease();
  release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
  const app::Act act = fleet.Releaser();
  const auto first = Publish(act, release);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->warnings.size(), 1u);
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  for (int restarts = 0; restarts < 2; ++restarts, fleet.Restart()) {
    const auto again = Publish(act, release);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->row, first->row);
    EXPECT_EQ(again->warnings, first->warnings);
  }
  EXPECT_EQ(Audited(act.request_id), 1);
  EXPECT_EQ(fleet.app().ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  policy::Release other = release;
  other.urgent = true;
  EXPECT_TRUE(absl::IsInvalidArgument(Publish(act, other).status()));
}

TEST_F(RequestsTest, APublicationInDoubtIsThereOnceItIsRepeated) {
  const policy::Release release = fleet.NextRelease();
  const app::Act act = fleet.Releaser();
  fleet.store().next = {Next::kDoubtDone};
  EXPECT_TRUE(absl::IsDeadlineExceeded(Publish(act, release).status()));
  ASSERT_TRUE(Publish(act, release).ok());
  EXPECT_EQ(Audited(act.request_id), 1);
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 8; }, absl::Hours(12)));
}

TEST_F(RequestsTest, ARecallIsAnsweredAgain) {
  fleet.Publish();
  const app::Act act = fleet.Sre();
  const auto first = fleet.app().Recall(act, "content", 1);
  ASSERT_TRUE(first.ok());
  for (int restarts = 0; restarts < 2; ++restarts, fleet.Restart()) {
    const auto again = fleet.app().Recall(act, "content", 1);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *first);
  }
  EXPECT_EQ(Audited(act.request_id), 1);
}

TEST_F(RequestsTest, ADeletionIsNotDoneAgainToAnAgentThatEnrolledSince) {
  const app::Act act = fleet.Admin("vendor");
  ASSERT_TRUE(fleet.app().DeleteAgent(act, fleet.host(2).id).ok());
  EXPECT_TRUE(fleet.app().DeleteAgent(act, fleet.host(2).id).ok());
  const auto token = fleet.app().CreateEnrolToken(fleet.Sre(), "vendor", absl::Hours(1));
  ASSERT_TRUE(Enrol(token->token, 2).ok());
  for (int restarts = 0; restarts < 2; ++restarts, fleet.Restart()) {
    EXPECT_TRUE(fleet.app().DeleteAgent(act, fleet.host(2).id).ok());
    EXPECT_TRUE(fleet.Say(2, {}).ok()) << "deleted again";
  }
  EXPECT_EQ(Audited(act.request_id), 1);
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().DeleteAgent(act, fleet.host(3).id)));
  app::Act nameless = fleet.Admin("vendor");
  nameless.request_id = "";
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().DeleteAgent(nameless, fleet.host(3).id)));
}

TEST_F(RequestsTest, ADeletionInDoubtIsInForceOnceItIsRepeated) {
  const app::Act act = fleet.Admin("vendor");
  fleet.store().next = {Next::kDoubtDone};
  EXPECT_TRUE(absl::IsDeadlineExceeded(fleet.app().DeleteAgent(act, fleet.host(2).id)));
  ASSERT_TRUE(fleet.app().DeleteAgent(act, fleet.host(2).id).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.Say(2, {}).status()));
}

TEST_F(RequestsTest, AnEnrolmentTokenIsTheSameAndWorksOnce) {
  const app::Act act = fleet.Admin("vendor");
  fleet.store().next = {Next::kDoubtDone};
  EXPECT_FALSE(fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1)).ok());
  const auto first = fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1));
  ASSERT_TRUE(first.ok()) << first.status();
  fleet.RunFor(absl::Minutes(5));
  for (int restarts = 0; restarts < 2; ++restarts, fleet.Restart()) {
    const auto again = fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->token, first->token);
    EXPECT_EQ(again->expires_at, first->expires_at);
  }
  EXPECT_EQ(Audited(act.request_id), 1);
  EXPECT_TRUE(Enrol(first->token, 2).ok());
  EXPECT_EQ(fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1))->token, first->token);
  EXPECT_TRUE(absl::IsUnauthenticated(Enrol(first->token, 3).status())) << "made anew by a repeat";
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(2)).status()));
}

TEST_F(RequestsTest, ATokenFollowsFromTheRequestTheTenantAndTheCredentialTogether) {
  app::Act act = fleet.Sre();
  const std::string token = fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1))->token;
  EXPECT_EQ(token.size(), 64u);
  app::Act other = fleet.Sre();
  EXPECT_NE(fleet.app().CreateEnrolToken(other, "vendor", absl::Hours(1))->token, token);
  act.actor.key = "another credential of the same person";
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1)).status()));
  act = fleet.Sre();
  act.actor.key = "";
  EXPECT_TRUE(
      absl::IsFailedPrecondition(fleet.app().CreateEnrolToken(act, "vendor", absl::Hours(1)).status()));
}

}  // namespace
}  // namespace ringfence::test
