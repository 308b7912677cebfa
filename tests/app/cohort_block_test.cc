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

}  // namespace
}  // namespace ringfence::test
