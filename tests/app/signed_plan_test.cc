// Customers that sign, in the whole application: the chain, signed decisions, what hosts are handed, and what
// becomes of a host's refusal.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/plan/signing.h"
#include "tests/support/customers_only.h"

namespace ringfence::test {
namespace {

using plan::FirstOf;
using plan::KeysOf;
using plan::SealApproval;
using plan::SealPlan;
using testing::HasSubstr;

class SignedPlanTest : public OneCustomerTest {
 protected:
  void Begin(int hosts = 2) {
    for (const policy::Ring& ring : ThePlan().rings) fleet.AddRing("acme", ring.name, hosts);
    fleet.Start();
  }
  static policy::Plan ThePlan() {
    policy::Ring lab = RingNamed("lab"), theatres = RingNamed("theatres");
    theatres.approval = policy::Approval::kExplicit;
    return PlanOf("acme", {lab, theatres});
  }
  absl::StatusOr<storage::PlanRow> Bring(const std::string& envelope, int64_t expected) {
    return fleet.app().ApplySignedPlan(fleet.Admin("acme"), envelope, expected);
  }
  // The next of the server's chain.
  plan::PlanStatement Next() {
    plan::PlanStatement next = head.statement;
    ++next.version;
    next.prev = head.sha256;
    return next;
  }
  void Sign(const plan::PlanStatement& statement, const std::string& signers, int64_t expected) {
    const std::string envelope = SealPlan(statement, signers);
    const auto row = Bring(envelope, expected);
    ASSERT_TRUE(row.ok()) << row.status();
    head = plan::Extend(statement.version == 1 ? nullptr : &head, envelope).value();
  }
  // A yes is for the bytes under the name now, unless it says other ones.
  plan::ApprovalStatement Say(bool approve, uint64_t serial) {
    plan::ApprovalStatement said;
    said.seq = fleet.app().NextSeq("acme");
    said.tenant = "acme";
    said.approve = approve;
    said.channel = "content";
    said.serial = serial;
    const auto known = fleet.app().ListReleases("content");
    for (const storage::ReleaseRow& row : *known) {
      if (approve && row.release.serial == serial) said.digests = {row.release.digest};
    }
    return said;
  }
  int64_t Audits(const std::string& act) {
    storage::AuditFilter filter;
    const auto rows = fleet.app().Audit(filter);
    return std::count_if(rows->begin(), rows->end(), [&](const auto& row) { return row.act == act; });
  }
  plan::SignedPlan head;
};

TEST_F(SignedPlanTest, TheChainIsKeptHandedOutAndSurvivesARestart) {
  Begin();
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  plan::PlanStatement second = Next();
  second.plan.rings[0].soak = absl::Hours(2);
  Sign(second, "a", 1);
  for (int start = 0; start < 2; ++start) {
    const auto chain = fleet.app().SignedPlans("acme");
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_EQ(chain[1].revision, 2);
    EXPECT_EQ(chain[1].prev, chain[0].sha256);
    EXPECT_THAT(chain[1].authority, HasSubstr("signed by the customer: plan 2"));
    EXPECT_EQ(fleet.app().FetchPlan("acme", 0, 0).size(), 2u);
    EXPECT_EQ(fleet.app().FetchPlan("acme", 2, 0).size(), 1u);
    EXPECT_TRUE(fleet.app().FetchPlan("acme", 3, 0).empty());
    EXPECT_TRUE(fleet.app().FetchPlan("bolt", 0, 0).empty());
    fleet.Restart();
  }
  EXPECT_EQ(fleet.app().PlanHistory("acme")->front().plan.rings[0].soak, absl::Hours(2));
}

TEST_F(SignedPlanTest, AGapAndAForkKeepTheOldPlanAndAreOnRecord) {
  Begin();
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  plan::PlanStatement gap = Next();
  ++gap.version;
  plan::PlanStatement fork = FirstOf(ThePlan(), KeysOf("a"));
  fork.plan.rings[0].soak = absl::Hours(3);
  for (const plan::PlanStatement& bad : {gap, fork}) {
    const absl::Status status = Bring(SealPlan(bad, "a"), 1).status();
    EXPECT_TRUE(plan::IsFork(status)) << status;
  }
  EXPECT_EQ(Audits("plan_fork"), 2);
  EXPECT_EQ(fleet.app().PlanHistory("acme")->size(), 1u);
  EXPECT_EQ(fleet.app().SignedPlans("acme").size(), 1u);
}

TEST_F(SignedPlanTest, WithoutTheKeysNobodySetsThePlanOfACustomerThatSigns) {
  Begin();
  fleet.Apply(ThePlan());
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(fleet.TryApply(ThePlan()).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Bring(SealPlan(Next(), "x"), 2).status()));
  EXPECT_TRUE(absl::IsAborted(Bring(SealPlan(Next(), "a"), 0).status())) << "an old view of the revisions";
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().ApplySignedPlan(fleet.Admin("bolt"), SealPlan(Next(), "a"), 2).status()));
  EXPECT_TRUE(
      absl::IsPermissionDenied(fleet.app().ApplySignedPlan(fleet.Sre(), SealPlan(Next(), "a"), 2).status()));
}

TEST_F(SignedPlanTest, TheSameAgainIsAnsweredAsItWas) {
  Begin();
  const std::string envelope = SealPlan(FirstOf(ThePlan(), KeysOf("a")), "a");
  EXPECT_EQ(Bring(envelope, 0)->revision, 1);
  EXPECT_EQ(Bring(envelope, 1)->revision, 1);
  EXPECT_EQ(fleet.app().PlanHistory("acme")->size(), 1u);
}

TEST_F(SignedPlanTest, ASignedYesLetsAReleaseInAndAnUnsignedOneDoesNot) {
  Begin();
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(2, release));
  storage::ConsentRow row;
  row.tenant = "acme";
  row.channel = "content";
  row.serial = 1;
  row.approved = true;
  EXPECT_TRUE(absl::IsFailedPrecondition(fleet.app().Consent(fleet.Admin("acme"), row).status()));
  plan::ApprovalStatement yes = Say(true, 1);
  yes.digests = {release.digest};
  yes.rings = {"theatres"};
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(yes, "x"), true).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(yes, "a"), false).status()))
      << "says yes, was brought as a no";
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 0);
  const auto said = fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(yes, "a"), true);
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(fleet.app().NextSeq("acme"), 2u);
  EXPECT_EQ(fleet.app().FetchPlan("acme", 2, 1).size(), 1u);
  fleet.Restart();
  EXPECT_TRUE(Until(4, release));
}

TEST_F(SignedPlanTest, ASignedYesHastensOnlyWhileItLasts) {
  policy::Plan plan = ThePlan();
  plan.rings[1].approval = policy::Approval::kAuto;
  plan.rings[1].min_age = absl::Hours(24 * 30);
  plan.rings[1].hasten_to = absl::ZeroDuration();
  plan.rings[1].soak = absl::Hours(6);
  plan.rings[1].waves = {{policy::Ppm(100'000), {}}, {policy::Ppm(1'000'000), {}}};
  Begin(/*hosts=*/20);
  Sign(FirstOf(plan, KeysOf("a")), "a", 0);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(20, release));
  plan::ApprovalStatement yes = Say(true, 1);
  yes.rings = {"theatres"};
  yes.min_age = absl::Hours(1);
  yes.not_after = fleet.now() + absl::Hours(4);
  const auto said = fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(yes, "a"), true);
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(said->min_age, absl::Hours(1));
  ASSERT_TRUE(Until(22, release, absl::Hours(3))) << "the first wave";
  fleet.RunFor(absl::Hours(24));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 2) << "it has ended, and the age is a month";
  EXPECT_THAT(*fleet.app().Approvals("acme"), testing::IsEmpty());
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(SignedPlanTest, AYesIsForBytesAndNotForTheirName) {
  Begin();
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  const policy::Release release = fleet.Publish();
  plan::ApprovalStatement yes = Say(true, 1);
  yes.digests = {Sha256("what the person was shown under this name")};
  const auto other = fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(yes, "a"), true);
  EXPECT_TRUE(absl::IsInvalidArgument(other.status())) << other.status();
  EXPECT_THAT(other.status().message(), HasSubstr(release.digest.ToString()));
  fleet.RunFor(absl::Hours(12));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 0);
  EXPECT_EQ(fleet.app().Explain(fleet.host(2).id, "content", 1)->eligibility.reason,
            policy::Reason::kApproval);
  EXPECT_TRUE(fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(Say(true, 1), "a"), true).ok());
  EXPECT_TRUE(Until(4, release));
}

TEST_F(SignedPlanTest, ALeaseNamesTheSignedPlanAndAHostWithAnotherIsToldSoAndNotExposed) {
  Begin(/*hosts=*/10);
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  plan::PlanStatement second = Next();
  second.plan.rings[0].soak = absl::Hours(2);
  const Digest old = head.sha256;
  Sign(second, "a", 1);
  const policy::Release release = fleet.Publish();
  const auto ask = [&](int host, const Digest& plan) {
    app::LeaseRequest request{fleet.host(host).id, "content", release.digest, "boot-1"};
    request.plan_sha256 = plan;
    std::optional<absl::StatusOr<app::LeaseReply>> answer;
    fleet.app().Lease(request, [&](absl::StatusOr<app::LeaseReply> reply) { answer = std::move(reply); });
    EXPECT_TRUE(fleet.app().CommitOnce().ok());
    return answer->value();
  };
  const auto exposed = [&] { return fleet.app().GetRollout("content", 1, "")->ledger.exposed; };
  app::LeaseReply granted;
  ASSERT_TRUE(fleet.RunUntil(
      [&] {
        for (int i = 0; i < 10; ++i) {
          if (!fleet.host(i).staged.contains(release.digest)) continue;
          const int64_t before = exposed();
          for (const Digest& other : {old, Sha256("of nobody")}) {
            const app::LeaseReply reply = ask(i, other);
            EXPECT_FALSE(reply.granted);
            EXPECT_EQ(reply.reason, policy::Reason::kOtherPlan);
          }
          EXPECT_EQ(exposed(), before);
          granted = ask(i, head.sha256);
          if (granted.granted) return true;
        }
        return false;
      },
      absl::Hours(6)));
  EXPECT_EQ(granted.terms.plan_version, 2u);
  EXPECT_EQ(granted.terms.plan_sha256, head.sha256);
}

TEST_F(SignedPlanTest, ANoAfterAYesHoldsForGood) {
  Begin();
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  const policy::Release release = fleet.Publish();
  for (const bool approve : {true, false}) {
    EXPECT_TRUE(
        fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(Say(approve, 1), "a"), approve).ok());
  }
  EXPECT_TRUE(fleet.app().SignedConsent(fleet.Admin("acme"), SealApproval(Say(true, 1), "a"), true).ok());
  fleet.RunFor(absl::Hours(12));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 0);
  EXPECT_EQ(fleet.app().Explain(fleet.host(2).id, "content", 1)->eligibility.reason, policy::Reason::kDenied);
}

TEST_F(SignedPlanTest, AHostsRefusalIsAnIncident) {
  Begin();
  Sign(FirstOf(ThePlan(), KeysOf("a")), "a", 0);
  const policy::Release release = fleet.Publish();
  app::AgentEvent refused;
  refused.seq = 100;
  refused.kind = app::EventKind::kPlanRefused;
  refused.channel = "content";
  refused.digest = release.digest;
  refused.metric = "window";
  refused.detail = "outside the windows";
  ASSERT_TRUE(fleet.Say(0, {refused, refused}).ok());
  fleet.Step();
  EXPECT_EQ(Audits("plan_refused"), 1) << "each report once";
  EXPECT_TRUE(fleet.Decided("plan_refused", "pinned_plan"));
  refused.metric = "anything that a host may write";
  refused.seq = 101;
  ASSERT_TRUE(fleet.Say(0, {refused}).ok());
  fleet.Step();
  storage::AuditFilter filter;
  EXPECT_EQ(fleet.app().Audit(filter)->front().reason, "other");
}

TEST_F(SignedPlanTest, AHostIsNotOrderedBackFurtherThanItsPlanSays) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  plan.rollback_depth = 1;
  fleet.AddRing("acme", "all", 4);
  fleet.Start();
  fleet.Apply(plan);
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(Until(4, first));
  const policy::Release second = fleet.Publish();
  ASSERT_TRUE(Until(4, second));
  ASSERT_TRUE(fleet.app().RollBack(fleet.Sre(), {"", "content", 2, ""}).ok());
  EXPECT_TRUE(Until(4, first)) << "one release back";
  plan.rollback_depth = 0;
  fleet.Apply(plan);
  ASSERT_TRUE(fleet.app().RollBack(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.Running(first.digest), 4);
}

TEST_F(SignedPlanTest, APlatformThatWasNotTestedIsForTheFirstRingAloneIfThePlanSaysSo) {
  policy::Plan plan = PlanOf("acme", {RingNamed("lab"), RingNamed("rest")});
  plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly;
  for (const char* ring : {"lab", "lab", "rest"}) fleet.AddHost("acme", {{"ring", ring}, {"os", "beta"}});
  fleet.AddHost("acme", {{"ring", "rest"}, {"os", "win10"}});
  fleet.Start();
  fleet.Apply(plan);
  policy::Release release = fleet.NextRelease();
  release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
  const auto published = fleet.TryPublish(release);
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_TRUE(Until(3, *published));
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.RunningIn("acme", "lab", published->digest), 2);
  EXPECT_EQ(fleet.RunningIn("acme", "rest", published->digest), 1);
  EXPECT_EQ(fleet.Violations(), "");
}

}  // namespace
}  // namespace ringfence::test
