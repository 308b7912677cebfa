// One cohort at fault: the judge blocks it and the release goes on with the others, three times at most; one
// customer cannot stop everybody. docs/health-analysis.md, section 11.
#include <map>
#include "absl/strings/match.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/judge/halt_review.h"
#include "server/record/decision_replay.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using ::testing::HasSubstr;

// A ring of the vendor so large that few are drawn of many: then one event says much. Every third host has
// an agent that the release does not bear with.
constexpr int kMany = 1500;

bool Has(const SimHost& host, const char* agent) {
  return host.labels.Has("coinstalled", agent);
}

void AddMixed(FleetHarness& fleet, const std::vector<std::string>& agents, int count) {
  for (int i = 0; i < count; ++i) {
    fleet.AddHost("vendor", {{"ring", "dogfood"},
                             {"os", "win10"},
                             {"coinstalled", agents[static_cast<size_t>(i) % agents.size()]}});
  }
}

policy::Plan MixedPlan() {
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates.cohort_keys = {"coinstalled", "os"};
  return plan;
}

// A rollout in the vendor's own ring; what differs is who is in it, whom the release harms, and the plan.
class CohortTest : public testing::Test {
 protected:
  // Two of three hosts have the agent "dlp", and die of the release.
  void TwoOfThreeDie(int hosts = kMany) {
    AddMixed(fleet, {"dlp", "av", "dlp"}, hosts);
    HarmDlp();
  }
  void HarmDlp() {
    fleet.effect = [this](const SimHost& host, const Digest&) {
      return Has(host, "dlp") && !mended ? Effect::kBricks : Effect::kGood;
    };
  }
  void HarmEverybody() {
    fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  }
  void Begin(const policy::Plan& plan) {
    fleet.Start();
    fleet.Apply(plan);
    release = fleet.Publish();
  }
  static policy::Plan WithGates(policy::Plan plan) {
    const std::vector<std::string> keys = plan.gates.cohort_keys;
    plan.gates = Gates();
    plan.gates.cohort_keys = keys;
    return plan;
  }

  std::vector<const storage::DecisionRow*> All(const std::string& action) {
    std::vector<const storage::DecisionRow*> found;
    for (const storage::DecisionRow& row : fleet.watch().decisions()) {
      if (row.action == action) found.push_back(&row);
    }
    return found;
  }
  bool RunUntilAny(const std::string& action, absl::Duration at_most = absl::Hours(12)) {
    return fleet.RunUntil([&] { return !All(action).empty(); }, at_most);
  }
  bool Passed() { return fleet.StateOf("vendor", "dogfood", 1) == policy::StageState::kPassed; }
  int64_t Dead() {
    return std::count_if(fleet.hosts().begin(), fleet.hosts().end(),
                         [](const SimHost& host) { return host.dead; });
  }
  std::string Told() {
    std::string text;
    for (const storage::DecisionRow& row : fleet.watch().decisions()) {
      absl::StrAppend(&text, absl::FormatTime(row.at), " ", row.action, " ", row.rule, " [", row.cohort, "] ",
                      row.why, "\n");
    }
    return text;
  }
  void TearDown() override { EXPECT_EQ(fleet.Violations(), ""); }

  FleetHarness fleet;
  policy::Release release;
  bool mended = false;  // the release does no harm any more
};
using CohortBlockTest = CohortTest;
using ExcludeTest = CohortTest;

const storage::Scope kRelease{"", "content", 1, ""};

TEST_F(CohortBlockTest, TheCohortThatTheEvidenceNamesIsBlockedAndTheOthersGetTheRelease) {
  TwoOfThreeDie();
  Begin(MixedPlan());
  ASSERT_TRUE(fleet.RunUntil([&] { return Passed(); }, absl::Hours(12))) << Told();
  const auto blocks = All("block");
  ASSERT_EQ(blocks.size(), 1u) << Told();
  EXPECT_EQ(blocks[0]->cohort, "coinstalled=dlp");
  EXPECT_EQ(blocks[0]->rule, "test_r");
  EXPECT_THAT(blocks[0]->why, HasSubstr("3 of 3 hosts with coinstalled=dlp fell silent; 0 of "));
  EXPECT_TRUE(All("hold").empty()) << Told();
  EXPECT_TRUE(All("halt").empty());
  EXPECT_LE(Dead(), 4) << "the novelty cap of a label value";
  EXPECT_EQ(fleet.Rollout(1).health.blocked, std::vector<std::string>{"coinstalled=dlp"});
}

// Why not everyone was halted can be computed again from the decision alone.
TEST_F(CohortBlockTest, TheReviewOfAHaltComesOutAgainFromItsRecordAndAForgedOneDoesNot) {
  TwoOfThreeDie();
  Begin(MixedPlan());
  ASSERT_TRUE(RunUntilAny("block"));
  const storage::DecisionRow& row = *All("block")[0];
  const auto replay = [&](const std::string& evidence) {
    return record::Replay({row.action, row.rule, row.actor, row.why, row.at, evidence}).value();
  };
  const record::Replayed replayed = replay(row.evidence);
  EXPECT_TRUE(replayed.equal());
  std::map<std::string, std::string> computed;
  for (const record::Compared& one : replayed.compared) computed[one.what] = one.computed;
  EXPECT_THAT(computed["named"], HasSubstr("coinstalled=dlp "));
  EXPECT_EQ(computed["review"], "block_go_on");
  EXPECT_EQ(computed["kept from"], "coinstalled=dlp");
  EXPECT_TRUE(computed.contains("residual"));
  EXPECT_FALSE(
      replay(absl::StrReplaceAll(row.evidence, {{"\"may_block\":true", "\"may_block\":false"}})).equal());
  EXPECT_FALSE(replay(absl::StrReplaceAll(row.evidence, {{"block_go_on", "block_hold"}})).equal());
}

TEST_F(CohortBlockTest, ABlockedCohortStaysBlockedOverARestart) {
  TwoOfThreeDie();
  Begin(MixedPlan());
  ASSERT_TRUE(RunUntilAny("block"));
  fleet.Step();
  const int64_t dead = Dead();
  fleet.Restart();
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(Dead(), dead);
  EXPECT_GT(fleet.Running(release.digest), 100);
}

TEST_F(CohortBlockTest, AGateThatTripsOnThatCohortAloneWaitsForTheBlockInsteadOfHaltingEveryone) {
  TwoOfThreeDie();
  Begin(WithGates(MixedPlan()));
  ASSERT_TRUE(fleet.RunUntil([&] { return Passed(); }, absl::Hours(12))) << Told();
  ASSERT_EQ(All("block").size(), 1u) << Told();
  EXPECT_FALSE(fleet.Stopped(1)) << Told();
  EXPECT_LE(Dead(), 4);
}

TEST_F(CohortBlockTest, AGateThatTripsOnEveryKindOfHostHaltsAtOnce) {
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  HarmEverybody();
  Begin(WithGates(MixedPlan()));
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(12)));
  EXPECT_TRUE(All("block").empty()) << Told();
  EXPECT_LE(Dead(), 4);
}

TEST_F(CohortBlockTest, AfterThreeBlockedCohortsTheFourthStopsEveryone) {
  TwoOfThreeDie();
  Begin(MixedPlan());
  // As an earlier life of the server left it: three others were blocked.
  storage::JudgementRow row;
  row.channel = "content";
  row.serial = 1;
  row.k_max = 64;
  row.cells = row.blocked = {"coinstalled=a", "coinstalled=b", "coinstalled=c"};
  ASSERT_EQ(row.blocked.size(), policy::kMostBlockedCells);
  ASSERT_TRUE(fleet.store().ReadWrite([&](storage::Transaction& tx) { return tx.PutJudgement(row); }).ok());
  fleet.Restart();
  for (int people = 0; people < 5 && All("halt").empty(); ++people) {
    // What is only held, a person lets go on.
    fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(2));
    if (fleet.Stopped(1) && All("halt").empty()) {
      ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), {"", "content", 1, ""}, app::BrakeKind::kHold).ok());
    }
  }
  EXPECT_TRUE(All("block").empty()) << Told();
  const auto halts = All("halt");
  ASSERT_EQ(halts.size(), 1u) << Told();
  EXPECT_EQ(halts[0]->rule, "test_r");
  EXPECT_EQ(halts[0]->cohort, "coinstalled=dlp");
  EXPECT_THAT(halts[0]->why, HasSubstr("hosts with coinstalled=dlp fell silent; 0 of "));
}

TEST_F(CohortBlockTest, AHaltForAllSaysInWordsWhatFellSilentAndWhatDidNot) {
  AddMixed(fleet, {"dlp", "av"}, kMany);
  HarmEverybody();
  Begin(MixedPlan());
  ASSERT_TRUE(RunUntilAny("halt")) << Told();
  EXPECT_THAT(
      All("halt")[0]->why,
      ::testing::ContainsRegex("M_R = .* reached 1000: 4 of 4 updated hosts fell silent and 0 crashed; "
                               "of the controls of the same minutes 0 and 0 of [0-9]+"));
  EXPECT_TRUE(All("block").empty());
}

// The vendor's own fleet takes it well; of two customers one loses each host that takes it.
TEST_F(CohortBlockTest, OneCustomerThatSilencesItselfIsBlockedAndTheOthersAreHeldNotHalted) {
  fleet.AddRing("vendor", "dogfood", 20);
  fleet.AddRing("acme", "all", 600);
  fleet.AddRing("globex", "all", 600);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return host.tenant == "acme" ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  for (const char* tenant : {"acme", "globex"}) fleet.Apply(PlanOf(tenant, {RingNamed("all")}));
  release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return !All("block").empty() || !All("halt").empty(); }, absl::Hours(24)))
      << Told();
  const auto blocks = All("block");
  ASSERT_EQ(blocks.size(), 1u) << Told();
  EXPECT_EQ(blocks[0]->cohort, "tenant acme");
  EXPECT_EQ(blocks[0]->tenant, "acme") << "nobody else's to read";
  EXPECT_TRUE(All("halt").empty()) << Told();
  EXPECT_TRUE(fleet.Stopped(1)) << "the others are held until a person looked";
  for (const storage::DecisionRow* hold : All("hold")) {
    EXPECT_THAT(hold->why, ::testing::Not(HasSubstr("acme")));
  }
  const int64_t dead = Dead();
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), {"", "content", 1, ""}, app::BrakeKind::kHold).ok());
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.RunningIn("globex", "all", release.digest) >= 500; },
                             absl::Hours(24)))
      << Told();
  EXPECT_EQ(Dead(), dead);
}

// ---- by people

TEST_F(ExcludeTest, AfterPeopleExcludedTheCohortTheReleaseCompletesElsewhere) {
  AddMixed(fleet, {"dlp", "av", "none", "av"}, 80);
  HarmDlp();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates = Gates();  // of os alone: the label at fault is in no plan
  Begin(plan);
  ASSERT_TRUE(fleet.RunUntil([&] { return Dead() >= 1; }, absl::Hours(24)));
  const auto reply = fleet.app().ExcludeCohort(fleet.Sre("ann", "it does not bear with dlp"), "content", 1,
                                               "coinstalled=dlp");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->blocked, std::vector<std::string>{"coinstalled=dlp"});
  EXPECT_GE(reply->hosts, 1);
  const int64_t dead = Dead();
  fleet.Step();
  fleet.Restart();  // and it is still so
  for (int people = 0; people < 5 && !Passed(); ++people) {
    fleet.RunUntil([&] { return Passed() || fleet.Stopped(1); }, absl::Hours(24));
    if (fleet.Stopped(1)) {
      ASSERT_TRUE(All("halt").empty()) << Told();
      ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, app::BrakeKind::kHold).ok());
    }
  }
  EXPECT_TRUE(Passed()) << Told();
  fleet.RunUntil([&] { return fleet.Running(release.digest) >= 60 + dead; }, absl::Hours(6));
  EXPECT_EQ(fleet.Running(release.digest), 60 + dead) << "all others, and those that are dead";
  EXPECT_EQ(Dead(), dead);
  EXPECT_EQ(fleet.Rollout(1).health.blocked, std::vector<std::string>{"coinstalled=dlp"});
  const auto acts = All("exclude");
  ASSERT_EQ(acts.size(), 1u);
  EXPECT_EQ(acts[0]->actor, "ann");
  EXPECT_EQ(acts[0]->why, "it does not bear with dlp");
  EXPECT_EQ(acts[0]->cohort, "coinstalled=dlp");
}

TEST_F(ExcludeTest, AHostThatTakesOnAnExcludedLabelIsOrderedBackAndSaysWhyItGetsNothing) {
  AddMixed(fleet, {"av"}, 30);
  AddMixed(fleet, {"dlp"}, 1);
  Begin(PlanOf("vendor", {RingNamed("dogfood")}));
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok())
      << "before the first draw";
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 30; }, absl::Hours(24)));
  fleet.Relabel(0, {{"ring", "dogfood"}, {"os", "win10"}, {"coinstalled", "dlp"}});
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.host(0).reverts == 1; }, absl::Hours(1)));
  const auto why = fleet.app().Explain(fleet.host(30).id, "content", 1);
  ASSERT_TRUE(why.ok());
  EXPECT_EQ(fleet.Running(release.digest), 29);
  EXPECT_EQ(why->eligibility.reason, policy::Reason::kCohortBlocked);
}

TEST_F(ExcludeTest, WhoWasUnblockedGetsTheReleaseAndOldEvidenceDoesNotCountAgain) {
  TwoOfThreeDie();
  Begin(MixedPlan());
  ASSERT_TRUE(RunUntilAny("block"));
  fleet.RunFor(absl::Minutes(1));
  const int64_t dead = Dead();
  mended = true;
  const auto reply =
      fleet.app().UnblockCohort(fleet.Sre("bob", "their agent was mended"), "content", 1, "coinstalled=dlp");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->blocked.empty());
  fleet.Step();
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, 1, 1e-9);
  fleet.Restart();
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, 1, 1e-9) << "nor after a restart";
  const auto evidence = fleet.app().Evidence("content", 1);
  ASSERT_TRUE(evidence.ok());
  for (const storage::EvidenceRecordRow& record : evidence->records) EXPECT_TRUE(record.events.empty());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= kMany / 2; }, absl::Hours(12)))
      << Told();
  EXPECT_EQ(Dead(), dead);
  EXPECT_FALSE(fleet.Stopped(1)) << Told();
}

TEST_F(ExcludeTest, WhoeverUnblocksACohortThatStillBreaksRisksAFewHostsAndNoMore) {
  TwoOfThreeDie(kMany / 3);
  Begin(MixedPlan());
  ASSERT_TRUE(fleet.RunUntil([&] { return Dead() >= 2; }, absl::Hours(12)));
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.RunFor(absl::Minutes(2));
  ASSERT_TRUE(fleet.app().UnblockCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.RunFor(absl::Hours(3));
  EXPECT_FALSE(Passed()) << Told();
  EXPECT_LE(Dead(), 8) << "those that are dead stay in the cohort's budget";
}

TEST_F(ExcludeTest, OnlyTheVendorsPeopleMayAndNeverWithoutAReason) {
  AddMixed(fleet, {"dlp", "av"}, 10);
  Begin(PlanOf("vendor", {RingNamed("dogfood")}));
  app::App& app = fleet.app();
  const std::string dlp = "coinstalled=dlp";
  const auto code = [](const auto& answer) { return answer.status().code(); };
  EXPECT_EQ(code(app.ExcludeCohort(fleet.Admin("vendor"), "content", 1, dlp)),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(app.ExcludeCohort(fleet.Sre("ann", ""), "content", 1, dlp)),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(app.UnblockCohort(fleet.Sre("ann", ""), "content", 1, dlp)),
            absl::StatusCode::kInvalidArgument);
  for (const char* none : {"", "dlp", "=dlp", "coinstalled=", "tenant acme"}) {
    EXPECT_EQ(code(app.ExcludeCohort(fleet.Sre(), "content", 1, none)), absl::StatusCode::kInvalidArgument)
        << none;
  }
  EXPECT_EQ(code(app.UnblockCohort(fleet.Sre(), "content", 1, dlp)), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(app.ExcludeCohort(fleet.Sre(), "content", 7, dlp)), absl::StatusCode::kNotFound);

  const app::Act act = fleet.Sre();
  ASSERT_TRUE(app.ExcludeCohort(act, "content", 1, dlp).ok());
  const auto again = app.ExcludeCohort(act, "content", 1, dlp);
  ASSERT_TRUE(again.ok()) << "the same request has the same answer";
  EXPECT_EQ(again->blocked, std::vector<std::string>{dlp});
  EXPECT_EQ(code(app.ExcludeCohort(act, "content", 1, "coinstalled=av")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(app.ExcludeCohort(fleet.Sre(), "content", 1, dlp)), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(app.UnblockCohort(fleet.Admin("vendor"), "content", 1, dlp)),
            absl::StatusCode::kPermissionDenied);
  storage::AuditFilter filter;
  const auto audit = app.Audit(filter);
  ASSERT_TRUE(audit.ok());
  EXPECT_EQ(std::count_if(audit->begin(), audit->end(),
                          [](const storage::AuditRow& row) { return row.act == "rollout.exclude"; }),
            1);
}

TEST_F(ExcludeTest, WhileTheStoreDoesNotAnswerNobodyIsLetInAgain) {
  AddMixed(fleet, {"dlp", "av"}, 10);
  Begin(PlanOf("vendor", {RingNamed("dogfood")}));
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.store().down = true;
  EXPECT_FALSE(fleet.app().UnblockCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.store().down = false;
  EXPECT_EQ(fleet.Rollout(1).health.blocked, std::vector<std::string>{"coinstalled=dlp"});
}

}  // namespace
}  // namespace ringfence::test
