// One cohort at fault: the judge blocks it and the release goes on with the others, three times at most; one
// customer cannot stop everybody. docs/health-analysis.md, section 11.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/judge/halt_review.h"
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

std::vector<const storage::DecisionRow*> All(FleetHarness& fleet, const std::string& action) {
  std::vector<const storage::DecisionRow*> found;
  for (const storage::DecisionRow& row : fleet.watch().decisions()) {
    if (row.action == action) found.push_back(&row);
  }
  return found;
}

int64_t Dead(FleetHarness& fleet) {
  return std::count_if(fleet.hosts().begin(), fleet.hosts().end(),
                       [](const SimHost& host) { return host.dead; });
}

std::string Told(FleetHarness& fleet) {
  std::string text;
  for (const storage::DecisionRow& row : fleet.watch().decisions()) {
    absl::StrAppend(&text, absl::FormatTime(row.at), " ", row.action, " ", row.rule, " [", row.cohort, "] ",
                    row.why, "\n");
  }
  return text;
}

TEST(CohortBlockTest, TheCohortThatTheEvidenceNamesIsBlockedAndTheOthersGetTheRelease) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return Has(host, "dlp") ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil(
      [&] { return fleet.StateOf("vendor", "dogfood", 1) == policy::StageState::kPassed; }, absl::Hours(12)))
      << Told(fleet);
  const auto blocks = All(fleet, "block");
  ASSERT_EQ(blocks.size(), 1u) << Told(fleet);
  EXPECT_EQ(blocks[0]->cohort, "coinstalled=dlp");
  EXPECT_EQ(blocks[0]->rule, "test_r");
  EXPECT_THAT(blocks[0]->why, HasSubstr("3 of 3 hosts with coinstalled=dlp fell silent; 0 of "));
  EXPECT_TRUE(All(fleet, "hold").empty()) << Told(fleet);
  EXPECT_TRUE(All(fleet, "halt").empty());
  EXPECT_LE(Dead(fleet), 4) << "the novelty cap of a label value";
  EXPECT_EQ(fleet.Rollout(1).health.blocked, std::vector<std::string>{"coinstalled=dlp"});
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(CohortBlockTest, ABlockedCohortStaysBlockedOverARestart) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return Has(host, "dlp") ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(MixedPlan());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return !All(fleet, "block").empty(); }, absl::Hours(12)));
  fleet.Step();
  const int64_t dead = Dead(fleet);
  fleet.Restart();
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(Dead(fleet), dead);
  EXPECT_GT(fleet.Running(release.digest), 100);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(CohortBlockTest, AGateThatTripsOnThatCohortAloneWaitsForTheBlockInsteadOfHaltingEveryone) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return Has(host, "dlp") ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  policy::Plan plan = MixedPlan();
  const std::vector<std::string> keys = plan.gates.cohort_keys;
  plan.gates = Gates();
  plan.gates.cohort_keys = keys;
  fleet.Apply(plan);
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil(
      [&] { return fleet.StateOf("vendor", "dogfood", 1) == policy::StageState::kPassed; }, absl::Hours(12)))
      << Told(fleet);
  ASSERT_EQ(All(fleet, "block").size(), 1u) << Told(fleet);
  EXPECT_FALSE(fleet.Stopped(1)) << Told(fleet);
  EXPECT_LE(Dead(fleet), 4);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(CohortBlockTest, AGateThatTripsOnEveryKindOfHostHaltsAtOnce) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  fleet.Start();
  policy::Plan plan = MixedPlan();
  const std::vector<std::string> keys = plan.gates.cohort_keys;
  plan.gates = Gates();
  plan.gates.cohort_keys = keys;
  fleet.Apply(plan);
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(12)));
  EXPECT_TRUE(All(fleet, "block").empty()) << Told(fleet);
  EXPECT_LE(Dead(fleet), 4);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(CohortBlockTest, AfterThreeBlockedCohortsTheFourthStopsEveryone) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return Has(host, "dlp") ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  // As an earlier life of the server left it: three others were blocked.
  storage::JudgementRow row;
  row.channel = "content";
  row.serial = 1;
  row.k_max = 64;
  row.cells = row.blocked = {"coinstalled=a", "coinstalled=b", "coinstalled=c"};
  ASSERT_EQ(row.blocked.size(), policy::kMostBlockedCells);
  ASSERT_TRUE(fleet.store().ReadWrite([&](storage::Transaction& tx) { return tx.PutJudgement(row); }).ok());
  fleet.Restart();
  for (int people = 0; people < 5 && All(fleet, "halt").empty(); ++people) {
    // What is only held, a person lets go on.
    fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(2));
    if (fleet.Stopped(1) && All(fleet, "halt").empty()) {
      ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), {"", "content", 1, ""}, app::BrakeKind::kHold).ok());
    }
  }
  EXPECT_TRUE(All(fleet, "block").empty()) << Told(fleet);
  const auto halts = All(fleet, "halt");
  ASSERT_EQ(halts.size(), 1u) << Told(fleet);
  EXPECT_EQ(halts[0]->rule, "test_r");
  EXPECT_EQ(halts[0]->cohort, "coinstalled=dlp");
  EXPECT_THAT(halts[0]->why, HasSubstr("hosts with coinstalled=dlp fell silent; 0 of "));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(CohortBlockTest, AHaltForAllSaysInWordsWhatFellSilentAndWhatDidNot) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av"}, kMany);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return !All(fleet, "halt").empty(); }, absl::Hours(12))) << Told(fleet);
  EXPECT_THAT(
      All(fleet, "halt")[0]->why,
      ::testing::ContainsRegex("M_R = .* reached 1000: 4 of 4 updated hosts fell silent and 0 crashed; "
                               "of the controls of the same minutes 0 and 0 of [0-9]+"));
  EXPECT_TRUE(All(fleet, "block").empty());
  EXPECT_EQ(fleet.Violations(), "");
}

// The vendor's own fleet takes it well; of two customers one loses each host that takes it.
TEST(CohortBlockTest, OneCustomerThatSilencesItselfIsBlockedAndTheOthersAreHeldNotHalted) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 20);
  fleet.AddRing("acme", "all", 600);
  fleet.AddRing("globex", "all", 600);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return host.tenant == "acme" ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  for (const char* tenant : {"acme", "globex"}) fleet.Apply(PlanOf(tenant, {RingNamed("all")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return !All(fleet, "block").empty() || !All(fleet, "halt").empty(); },
                             absl::Hours(24)))
      << Told(fleet);
  const auto blocks = All(fleet, "block");
  ASSERT_EQ(blocks.size(), 1u) << Told(fleet);
  EXPECT_EQ(blocks[0]->cohort, "tenant acme");
  EXPECT_EQ(blocks[0]->tenant, "acme") << "nobody else's to read";
  EXPECT_TRUE(All(fleet, "halt").empty()) << Told(fleet);
  EXPECT_TRUE(fleet.Stopped(1)) << "the others are held until a person looked";
  for (const storage::DecisionRow* hold : All(fleet, "hold")) {
    EXPECT_THAT(hold->why, ::testing::Not(HasSubstr("acme")));
  }
  const int64_t dead = Dead(fleet);
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), {"", "content", 1, ""}, app::BrakeKind::kHold).ok());
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.RunningIn("globex", "all", release.digest) >= 500; },
                             absl::Hours(24)))
      << Told(fleet);
  EXPECT_EQ(Dead(fleet), dead);
  EXPECT_EQ(fleet.Violations(), "");
}

// ---- by people

const storage::Scope kRelease{"", "content", 1, ""};

void AddSmallRing(FleetHarness& fleet) {
  AddMixed(fleet, {"dlp", "av", "none", "av"}, 80);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return Has(host, "dlp") ? Effect::kBricks : Effect::kGood;
  };
}

bool Passed(FleetHarness& fleet) {
  return fleet.StateOf("vendor", "dogfood", 1) == policy::StageState::kPassed;
}

TEST(ExcludeTest, AfterPeopleExcludedTheCohortTheReleaseCompletesElsewhere) {
  FleetHarness fleet;
  AddSmallRing(fleet);
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates = Gates();  // of os alone: the label at fault is in no plan
  fleet.Apply(plan);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return Dead(fleet) >= 1; }, absl::Hours(24)));
  const auto reply = fleet.app().ExcludeCohort(fleet.Sre("ann", "it does not bear with dlp"), "content", 1,
                                               "coinstalled=dlp");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->blocked, std::vector<std::string>{"coinstalled=dlp"});
  EXPECT_GE(reply->hosts, 1);
  const int64_t dead = Dead(fleet);
  fleet.Step();
  fleet.Restart();  // and it is still so
  for (int people = 0; people < 5 && !Passed(fleet); ++people) {
    fleet.RunUntil([&] { return Passed(fleet) || fleet.Stopped(1); }, absl::Hours(24));
    if (fleet.Stopped(1)) {
      ASSERT_TRUE(All(fleet, "halt").empty()) << Told(fleet);
      ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, app::BrakeKind::kHold).ok());
    }
  }
  EXPECT_TRUE(Passed(fleet)) << Told(fleet);
  fleet.RunUntil([&] { return fleet.Running(release.digest) >= 60 + dead; }, absl::Hours(6));
  EXPECT_EQ(fleet.Running(release.digest), 60 + dead) << "all others, and those that are dead";
  EXPECT_EQ(Dead(fleet), dead);
  EXPECT_EQ(fleet.Rollout(1).health.blocked, std::vector<std::string>{"coinstalled=dlp"});
  const auto acts = All(fleet, "exclude");
  ASSERT_EQ(acts.size(), 1u);
  EXPECT_EQ(acts[0]->actor, "ann");
  EXPECT_EQ(acts[0]->why, "it does not bear with dlp");
  EXPECT_EQ(acts[0]->cohort, "coinstalled=dlp");
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(ExcludeTest, AHostThatTakesOnAnExcludedLabelIsOrderedBackAndSaysWhyItGetsNothing) {
  FleetHarness fleet;
  AddMixed(fleet, {"av"}, 30);
  AddMixed(fleet, {"dlp"}, 1);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok())
      << "before the first draw";
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 30; }, absl::Hours(24)));
  fleet.Relabel(0, {{"ring", "dogfood"}, {"os", "win10"}, {"coinstalled", "dlp"}});
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.host(0).reverts == 1; }, absl::Hours(1)));
  const auto why = fleet.app().Explain(fleet.host(30).id, "content", 1);
  ASSERT_TRUE(why.ok());
  EXPECT_EQ(fleet.Running(release.digest), 29);
  EXPECT_EQ(why->eligibility.reason, policy::Reason::kCohortBlocked);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(ExcludeTest, WhoWasUnblockedGetsTheReleaseAndOldEvidenceDoesNotCountAgain) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany);
  bool mended = false;
  fleet.effect = [&](const SimHost& host, const Digest&) {
    return Has(host, "dlp") && !mended ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(MixedPlan());
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return !All(fleet, "block").empty(); }, absl::Hours(12)));
  fleet.RunFor(absl::Minutes(1));
  const int64_t dead = Dead(fleet);
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
      << Told(fleet);
  EXPECT_EQ(Dead(fleet), dead);
  EXPECT_FALSE(fleet.Stopped(1)) << Told(fleet);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(ExcludeTest, WhoeverUnblocksACohortThatStillBreaksRisksAFewHostsAndNoMore) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av", "dlp"}, kMany / 3);
  fleet.effect = [](const SimHost& host, const Digest&) {
    return Has(host, "dlp") ? Effect::kBricks : Effect::kGood;
  };
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return Dead(fleet) >= 2; }, absl::Hours(12)));
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.RunFor(absl::Minutes(2));
  ASSERT_TRUE(fleet.app().UnblockCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.RunFor(absl::Hours(3));
  EXPECT_FALSE(Passed(fleet)) << Told(fleet);
  EXPECT_LE(Dead(fleet), 8) << "those that are dead stay in the cohort's budget";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(ExcludeTest, OnlyTheVendorsPeopleMayAndNeverWithoutAReason) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av"}, 10);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  fleet.Publish();
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

TEST(ExcludeTest, WhileTheStoreDoesNotAnswerNobodyIsLetInAgain) {
  FleetHarness fleet;
  AddMixed(fleet, {"dlp", "av"}, 10);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  fleet.Publish();
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.store().down = true;
  EXPECT_FALSE(fleet.app().UnblockCohort(fleet.Sre(), "content", 1, "coinstalled=dlp").ok());
  fleet.store().down = false;
  EXPECT_EQ(fleet.Rollout(1).health.blocked, std::vector<std::string>{"coinstalled=dlp"});
}

}  // namespace
}  // namespace ringfence::test
