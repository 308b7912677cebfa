// Plans and decisions that are signed on the command line, and the plans of the page as the command reads
// them.
#include <filesystem>

#include "command_fixture.h"
#include "ringfence/base/hash.h"
#include "ringfence/plan/approval.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/sealed_key.h"

namespace ringfence::cli {
namespace {

using ::testing::HasSubstr;

class PlanSignTest : public CommandTest {
 protected:
  std::string KeyFile(const std::string& person, char letter) {
    return File(person + ".key", trust::ThrowawayKey(std::string(32, letter), person).value());
  }
  std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string Signed() const { return folder_ + "/signed.json"; }
  int Sign(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"plan", "sign", plan_, "--write", Signed()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  std::string plan_ = File("plan.yaml", kGoodPlan);
  std::string ann_ = KeyFile("ann", 'a'), ben_ = KeyFile("ben", 'b');
};

TEST_F(PlanSignTest, TheFirstNamesItsKeysAndSaysWhatToPin) {
  ASSERT_EQ(Sign({"--first", "--key", ann_, "--plan-key", ann_, "--plan-key", ben_, "--recovery-key", ben_}),
            0)
      << err();
  const auto link = plan::Extend(nullptr, Read(Signed()));
  ASSERT_TRUE(link.ok()) << link.status();
  EXPECT_EQ(link->statement.keys.keys.size(), 2u);
  EXPECT_EQ(link->statement.keys.keys[0].person, "ann");
  EXPECT_EQ(link->statement.recovery.keys.size(), 1u);
  EXPECT_THAT(err(), HasSubstr("ringfence-agent --tenant-root " + link->sha256.ToString()));
}

TEST_F(PlanSignTest, TheNextFollowsTheServersAndKeepsItsKeys) {
  ASSERT_EQ(Sign({"--first", "--key", ann_, "--plan-key", ann_}), 0) << err();
  const plan::SignedPlan first = plan::Extend(nullptr, Read(Signed())).value();
  v1::GetPlanResponse current;
  current.set_envelope(first.envelope);
  server_.On("PlanService/GetPlan", current);
  plan_ = File("plan.yaml", std::string(kGoodPlan) + "bucket_salt: x\n");
  ASSERT_EQ(Sign({"--key", ann_}), 0) << err();
  const auto next = plan::Extend(&first, Read(Signed()));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->statement.plan.bucket_salt, "x");
}

TEST_F(PlanSignTest, TwoPersonsSignOneAfterTheOther) {
  ASSERT_EQ(Sign({"--first", "--key", ann_, "--plan-key", ann_, "--plan-key", ben_, "--threshold", "2"}), 0)
      << err();
  EXPECT_FALSE(plan::Extend(nullptr, Read(Signed())).ok());
  ASSERT_EQ(Sign({"--add", Signed(), "--key", ben_}), 0) << err();
  EXPECT_TRUE(plan::Extend(nullptr, Read(Signed())).ok());
  plan_ = File("plan.yaml", std::string(kGoodPlan) + "bucket_salt: x\n");
  EXPECT_NE(Sign({"--add", Signed(), "--key", ben_}), 0);
  EXPECT_THAT(err(), HasSubstr("holds another plan"));
}

TEST_F(PlanSignTest, ASealedKeyWantsItsPassphrase) {
  const std::string sealed =
      File("sealed.key", trust::SealKey(std::string(32, 's'), "sue", "a long passphrase", 14).value());
  const std::string right = File("right", "a long passphrase\n"),
                    wrong = File("wrong", "another passphrase\n");
  EXPECT_EQ(Sign({"--first", "--key", sealed, "--plan-key", sealed, "--passphrase-file", right}), 0) << err();
  EXPECT_NE(Sign({"--first", "--key", sealed, "--plan-key", sealed, "--passphrase-file", wrong}), 0);
  EXPECT_NE(Sign({"--first", "--key", sealed, "--plan-key", sealed}), 0) << "nobody to ask";
}

TEST_F(PlanSignTest, WithoutAChainTheFirstHasToBeAskedFor) {
  server_.On("PlanService/GetPlan", v1::GetPlanResponse());
  EXPECT_NE(Sign({"--key", ann_}), 0);
  EXPECT_THAT(err(), HasSubstr("--first"));
  EXPECT_NE(Sign({"--first", "--key", ann_}), 0) << "names no key";
}

TEST_F(PlanSignTest, AFaultyPlanIsNotSigned) {
  plan_ = File("plan.yaml", "tenant: acme\nchannels:\n  - channel: content\nrings:\n  - name: canary\n");
  EXPECT_EQ(Sign({"--first", "--key", ann_, "--plan-key", ann_}), 2);
  EXPECT_THAT(err(), HasSubstr("plan.yaml:5:5: rings[0].waves"));
}

TEST_F(PlanSignTest, ASignedPlanIsAppliedAsItIs) {
  ASSERT_EQ(Sign({"--first", "--key", ann_, "--plan-key", ann_}), 0) << err();
  server_.Fail("PlanService/GetPlan", absl::NotFoundError("no plan"));
  server_.On("PlanService/ApplyPlan", Proto<v1::ApplyPlanResponse>(
                                          R"(applied { revision: 1 authority: "signed by the customer: plan 1"
                                             plan { tenant: "acme" } })"));
  ASSERT_EQ(Run({"plan", "apply", Signed(), "-m", "begin"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("revision 1"));
  EXPECT_THAT(out(), HasSubstr("signed by the customer"));
  EXPECT_THAT(server_.Asked("PlanService/ApplyPlan"), HasSubstr("envelope"));
  EXPECT_THAT(server_.Asked("PlanService/ApplyPlan"), Not(HasSubstr("rings")));
}

TEST_F(PlanSignTest, TheSameSignedPlanAgainChangesNothing) {
  ASSERT_EQ(Sign({"--first", "--key", ann_, "--plan-key", ann_}), 0) << err();
  const plan::SignedPlan first = plan::Extend(nullptr, Read(Signed())).value();
  v1::GetPlanResponse current;
  current.mutable_current()->set_revision(4);
  current.mutable_current()->set_sha256(std::string(first.sha256.raw()));
  server_.On("PlanService/GetPlan", current);
  ASSERT_EQ(Run({"plan", "apply", Signed(), "-m", "again"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("no change: revision 4"));
  EXPECT_EQ(server_.Asked("PlanService/ApplyPlan"), "");
}

TEST_F(PlanSignTest, TheHistoryShowsTheChainAndWhoHoldsThePlan) {
  server_.On("PlanService/ListPlanRevisions", Proto<v1::ListPlanRevisionsResponse>(R"(
    revisions { revision: 2 applied_by: "ann" plan_version: 1 sha256: "\001\002\003\004\005\006" authority: "signed by the customer: plan 1" }
    revisions { revision: 1 applied_by: "ann" authority: "vendor-managed: no cryptographic veto" })"));
  ASSERT_EQ(Run({"plan", "history", "acme"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("plan 1"));
  EXPECT_THAT(out(), HasSubstr("010203"));
  EXPECT_THAT(out(), HasSubstr("in force: signed by the customer"));
}

TEST_F(PlanSignTest, APlanWithoutKeysSaysThatNobodyHasAVeto) {
  server_.On(
      "PlanService/GetPlan",
      Proto<v1::GetPlanResponse>(
          R"(current { revision: 1 authority: "vendor-managed: no cryptographic veto" plan { tenant: "acme" } })"));
  ASSERT_EQ(Run({"plan", "show", "acme"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("# vendor-managed: no cryptographic veto"));
}

TEST_F(PlanSignTest, AnApprovalIsSignedForTheBytesThatTheServerHas) {
  server_.On("PlanService/ListApprovals", Proto<v1::ListApprovalsResponse>("next_seq: 5"));
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>(R"(current { plan { tenant: "acme" } })"));
  v1::GetReleaseResponse release;
  release.mutable_release()->mutable_manifest()->set_digest(std::string(32, '\7'));
  server_.On("ReleaseService/GetRelease", release);
  server_.On("PlanService/ApproveRelease",
             Proto<v1::ApproveReleaseResponse>(R"(approval { tenant: "acme" })"));
  ASSERT_EQ(Run({"release", "approve", "content/3", "--tenant", "acme", "--ring", "canary", "--key", ann_,
                 "--for", "7d", "--min-age", "12h", "-m", "tried"}),
            0)
      << err();
  v1::ApproveReleaseRequest asked;
  ASSERT_TRUE(
      google::protobuf::TextFormat::ParseFromString(server_.Asked("PlanService/ApproveRelease"), &asked));
  const auto envelope = trust::ParseEnvelope(asked.envelope());
  ASSERT_TRUE(envelope.ok());
  const plan::ApprovalStatement said = plan::ParseApprovalPayload(envelope->payload).value();
  EXPECT_EQ(said.seq, 5u);
  EXPECT_EQ(said.serial, 3u);
  EXPECT_EQ(said.rings, std::vector<std::string>{"canary"});
  EXPECT_EQ(said.digests.front().raw(), std::string(32, '\7'));
  EXPECT_EQ(said.not_after, absl::FromUnixSeconds(1'700'000'000) + absl::Hours(24 * 7));
  EXPECT_EQ(said.min_age, absl::Hours(12));
}

TEST_F(PlanSignTest, TheFivePlansOfThePageAreValid) {
  int plans = 0;
  for (const auto& entry : std::filesystem::directory_iterator("docs/plans")) {
    EXPECT_EQ(Run({"plan", "validate", entry.path().string()}), 0) << err();
    EXPECT_THAT(out(), HasSubstr("a legal plan for"));
    ++plans;
  }
  EXPECT_EQ(plans, 5);
}

}  // namespace
}  // namespace ringfence::cli
