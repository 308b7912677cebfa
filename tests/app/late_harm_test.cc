// Harm that comes after a host has proven itself: phantoms and soak spells, the watch after a rollout is
// complete, and hosts that announce what the release was not tested on.
#include <algorithm>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::HealthChannel;

// One ring of the vendor's, without SLO gates: what is stopped, the method stopped.
class SoakTest : public testing::Test {
 protected:
  void Begin(int hosts = 600) {
    fleet.AddRing("vendor", "dogfood", hosts);
    fleet.Start();
    policy::Ring ring = RingNamed("dogfood", {0.02, 0.1, 1.0});
    ring.soak = absl::Minutes(45);
    fleet.Apply(PlanOf("vendor", {ring}));
    release = fleet.Publish();
  }
  // Sums over all lives of the server.
  storage::EvidenceRow Sum(HealthChannel channel) {
    storage::EvidenceRow sum;
    EXPECT_TRUE(fleet.store()
                    .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      sum = {};
                      const auto rows = tx.Evidence("content", 1);
                      for (const storage::EvidenceRow& row : *rows) {
                        if (row.health_channel != channel || !row.cell.empty()) continue;
                        sum.bad_treated += row.bad_treated;
                        sum.all_treated += row.all_treated;
                        sum.bad_control += row.bad_control;
                        sum.all_control += row.all_control;
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return sum;
  }
  int64_t Dead() {
    int64_t dead = 0;
    for (const SimHost& host : fleet.hosts()) dead += host.dead ? 1 : 0;
    return dead;
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(SoakTest, PhantomsWaitFromTheFirstHostOnAndTheRolloutCompletes) {
  Begin();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 4; }, absl::Hours(2)));
  fleet.RunFor(absl::Minutes(2));
  const storage::EvidenceRow early = Sum(HealthChannel::kCrashSoak);
  EXPECT_GE(early.all_treated, 1);
  EXPECT_GE(early.all_control, 20) << "many for each of the first";
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 600; }, absl::Hours(12)));
  fleet.RunFor(absl::Hours(2));
  EXPECT_FALSE(fleet.Stopped(1));
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, 1, 1e-9) << "nothing bad happened to anybody";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(SoakTest, HostsThatDieLongAfterTheirProbationStopTheRelease) {
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricksLater; };
  Begin();
  ASSERT_TRUE(fleet.RunUntil(
      [&] { return fleet.Decided("halt", "test_r") || fleet.Decided("hold", "test_r"); }, absl::Hours(6)));
  const storage::EvidenceRow silence = Sum(HealthChannel::kSilence);
  const storage::EvidenceRow late = Sum(HealthChannel::kSilenceSoak);
  EXPECT_GT(late.bad_treated, silence.bad_treated) << "the soak saw it";
  EXPECT_EQ(late.bad_control, 0);
  EXPECT_LE(fleet.Running(release.digest), 60) << "a tenth of the ring, by the waves";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(SoakTest, ARestartKeepsWhatWasSeenAndVoidsWhatIsOpen) {
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricksLater; };
  Begin();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return Sum(HealthChannel::kSilenceSoak).bad_treated >= 1; }, absl::Hours(3)));
  fleet.RunFor(absl::Minutes(1));
  const storage::EvidenceRow before = Sum(HealthChannel::kSilenceSoak);
  const double m_r = fleet.Rollout(1).health.m_r;
  EXPECT_GT(m_r, 1.0);
  fleet.Restart();
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, m_r, 1e-9 * m_r);
  // Open spells of both arms are gone: who dies now is a matter for the next draws, and nobody is counted
  // twice.
  const int64_t treated = before.bad_treated;
  fleet.Step();
  EXPECT_EQ(Sum(HealthChannel::kSilenceSoak).bad_treated, treated);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(SoakTest, ACrashOfAPhantomCountsInItsOwnArm) {
  Begin();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return Sum(HealthChannel::kCrashSoak).all_control >= 20; }, absl::Hours(2)));
  fleet.RunFor(absl::Minutes(10));  // past D: what is open now is the soak
  uint64_t seq = 9000;
  int crashed = 0;
  for (int i = 0; i < 600 && crashed < 30; ++i) {
    // A phantom was told to come back much later than a control is.
    if (fleet.host(i).last_answer != policy::Reason::kNotDrawn ||
        fleet.host(i).last_retry < absl::Minutes(20))
      continue;
    app::AgentEvent crash;
    crash.seq = ++seq;
    crash.kind = app::EventKind::kCrash;
    ASSERT_TRUE(fleet.Say(i, {crash}).ok());
    ++crashed;
  }
  ASSERT_GE(crashed, 10);
  fleet.RunFor(absl::Minutes(1));
  EXPECT_EQ(Sum(HealthChannel::kCrashSoak).bad_control, crashed);
  EXPECT_EQ(Sum(HealthChannel::kCrashSoak).bad_treated, 0);
  EXPECT_LT(fleet.Rollout(1).health.m_r, 1.0);
}

TEST(WatchAfterCompletionTest, HarmAWeekLaterStopsTheReleaseAndOrdersItsHostsBack) {
  FleetHarness::Options options;
  options.step = absl::Minutes(1);
  FleetHarness fleet(options);
  for (int i = 0; i < 60; ++i)
    fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "debian"}, {"kernel", "18"}});
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates = Gates();
  plan.gates.cohort_keys = {"kernel"};
  fleet.Apply(plan);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil(
      [&] { return fleet.StateOf("vendor", "dogfood", 1) == policy::StageState::kPassed; }, absl::Hours(12)));
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 60; }, absl::Hours(12)));
  fleet.RunFor(absl::Hours(7 * 24));
  ASSERT_FALSE(fleet.Stopped(1));
  for (int i = 0; i < 12; ++i) {
    fleet.Relabel(i, {{"ring", "dogfood"}, {"os", "debian"}, {"kernel", "20"}});
    fleet.host(i).send_labels = true;
    fleet.CheckInNow(i);
    app::AgentEvent crash;
    crash.seq = 7000;
    crash.kind = app::EventKind::kCrash;
    ASSERT_TRUE(fleet.Say(i, {crash}).ok());
  }
  fleet.RunFor(absl::Minutes(2));
  EXPECT_TRUE(fleet.Decided("halt", "gate_crash"));
  EXPECT_EQ(fleet.StateOf("vendor", "dogfood", 1), policy::StageState::kHalted);
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 0; }, absl::Hours(1)));
  EXPECT_EQ(fleet.Violations(), "");
}

class PendingTest : public testing::Test {
 protected:
  static std::vector<policy::Labels::Pair> Debian(const char* kernel, const char* pending = nullptr) {
    std::vector<policy::Labels::Pair> labels = {{"ring", "dogfood"}, {"os", "debian"}, {"kernel", kernel}};
    if (pending != nullptr) labels.push_back({"pending.kernel", pending});
    return labels;
  }
  void Announce(int host, const char* kernel) {
    fleet.Relabel(host, Debian("18", kernel));
    fleet.host(host).send_labels = true;
    fleet.CheckInNow(host);
  }
  bool IsToldToGoBack(int host) {
    for (const app::Directive& directive : fleet.host(host).directives) {
      if (directive.kind == app::DirectiveKind::kRevert) return true;
    }
    return false;
  }
  void Begin() {
    for (int i = 0; i < 30; ++i) fleet.AddHost("vendor", Debian("18"));
    fleet.Start();
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
    plan.gates = Gates();
    plan.gates.cohort_keys = {"kernel"};
    fleet.Apply(plan);
    policy::Release next = fleet.NextRelease();
    next.matrix = {{{{"os", {"debian"}}, {"kernel", {"18", "19"}}}}};
    release = fleet.TryPublish(next).value();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 30; }, absl::Hours(24)));
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(PendingTest, AHostThatIsAboutToBootAKernelOutOfTheMatrixGoesBackBeforeAndNobodyElseDoes) {
  Begin();
  Announce(3, "20");
  EXPECT_TRUE(IsToldToGoBack(3));
  fleet.RunFor(absl::Minutes(10));
  EXPECT_FALSE(fleet.host(3).running.contains("content") &&
               fleet.host(3).running["content"] == release.digest);
  EXPECT_EQ(fleet.Running(release.digest), 29);
  EXPECT_FALSE(fleet.Stopped(1));
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, 0);
  EXPECT_EQ(fleet.app().Explain(fleet.host(3).id, "content", 1)->eligibility.reason,
            policy::Reason::kNotQualified);

  storage::DecisionFilter filter;
  const auto decisions = fleet.app().Decisions(filter).value();
  int told = 0;
  for (const storage::DecisionRow& row : decisions) {
    if (row.rule != "pending_not_qualified") continue;
    ++told;
    EXPECT_EQ(row.action, "block");
    EXPECT_EQ(row.cohort, "kernel=20");
  }
  EXPECT_EQ(told, 1);
  Announce(4, "20");
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(fleet.Running(release.digest), 28);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PendingTest, TheDecisionAboutALabelValueIsNotMadeAgainAfterARestart) {
  Begin();
  Announce(3, "20");
  fleet.RunFor(absl::Minutes(10));
  fleet.Restart();
  Announce(4, "20");
  EXPECT_TRUE(IsToldToGoBack(4)) << "it is ordered back all the same";
  fleet.RunFor(absl::Minutes(10));
  const auto& decisions = fleet.watch().decisions();
  EXPECT_EQ(
      std::count_if(decisions.begin(), decisions.end(),
                    [](const storage::DecisionRow& row) { return row.rule == "pending_not_qualified"; }),
      1);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PendingTest, InAFirstRingThatMayTryOtherPlatformsNobodyIsSentBack) {
  Begin();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly;
  fleet.Apply(plan);
  Announce(3, "20");
  EXPECT_FALSE(IsToldToGoBack(3));
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(fleet.Running(release.digest), 30);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PendingTest, AnUpgradeWithinTheMatrixChangesNothing) {
  Begin();
  Announce(3, "19");
  EXPECT_FALSE(IsToldToGoBack(3));
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(fleet.Running(release.digest), 30);
}

TEST_F(PendingTest, WhoHasGoneBackIsNotOfferedTheReleaseAgainOnTheNewKernel) {
  Begin();
  Announce(3, "20");
  fleet.RunFor(absl::Minutes(5));
  fleet.Relabel(3, Debian("20"));
  fleet.host(3).send_labels = true;
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), 29);
  EXPECT_EQ(fleet.Violations(), "");
}

// A customer's canary with kinds of hosts that the vendor's own fleet does not have.
class RepresentationTest : public testing::Test {
 protected:
  void Begin(policy::UncoveredCohorts what) {
    for (int i = 0; i < 20; ++i) fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "win10"}});
    for (int i = 0; i < 12; ++i)
      fleet.AddHost("acme", {{"ring", "canary"}, {"os", i < 9 ? "debian12" : i < 11 ? "xp" : "win10"}});
    fleet.Start();
    policy::Plan vendor = PlanOf("vendor", {RingNamed("dogfood")});
    vendor.gates.cohort_keys = {"os"};
    fleet.Apply(vendor);
    acme.uncovered_cohorts = what;
    acme.gates.cohort_keys = {"os"};
    fleet.Apply(acme);
    release = fleet.Publish();
  }
  bool Opens(absl::Duration within) {
    return fleet.RunUntil([&] { return fleet.StateOf("acme", "canary", 1) == policy::StageState::kOpen; },
                          within);
  }
  // Held, and nobody has been let in.
  void ExpectHeld() {
    ASSERT_TRUE(
        fleet.RunUntil([&] { return fleet.StateOf("vendor", "dogfood", 1) == policy::StageState::kPassed; },
                       absl::Hours(12)));
    EXPECT_FALSE(Opens(absl::Hours(6)));
    EXPECT_EQ(fleet.RunningIn("acme", "canary", release.digest), 0);
  }
  int64_t Waits() {
    const auto& decisions = fleet.watch().decisions();
    return std::count_if(decisions.begin(), decisions.end(), [](const storage::DecisionRow& row) {
      return row.action == "wait" && row.rule == "uncovered_cohorts";
    });
  }

  FleetHarness fleet;
  policy::Plan acme = PlanOf("acme", {RingNamed("canary")});
  policy::Release release;
};

TEST_F(RepresentationTest, APlanThatHoldsKeepsTheRingClosedAndSaysWhyOnceAndToEachHost) {
  Begin(policy::UncoveredCohorts::kHold);
  ExpectHeld();
  EXPECT_EQ(Waits(), 1);
  const auto why = fleet.app().Explain(fleet.host(25).id, "content", 1);
  ASSERT_TRUE(why.ok());
  EXPECT_EQ(why->eligibility.reason, policy::Reason::kUncoveredCohorts);
  const auto gate = std::find_if(why->eligibility.gates.begin(), why->eligibility.gates.end(),
                                 [](const auto& g) { return g.gate == policy::Reason::kUncoveredCohorts; });
  ASSERT_NE(gate, why->eligibility.gates.end());
  EXPECT_EQ(gate->detail, "os=debian12, os=xp");
  EXPECT_EQ(gate->opens_by, "proof");
  fleet.Restart();
  fleet.RunFor(absl::Hours(1));
  EXPECT_EQ(Waits(), 1) << "nor again after a restart";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(RepresentationTest, ItOpensWhenHostsOfThoseKindsHaveProvenItElsewhere) {
  Begin(policy::UncoveredCohorts::kHold);
  ExpectHeld();
  for (int i = 0; i < 2; ++i) {
    fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "debian12"}});
    fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "xp"}});
  }
  EXPECT_TRUE(Opens(absl::Hours(12)));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(RepresentationTest, ItOpensWhenThePlanOnlyWarnsOrTheVendorLeavesThoseHostsOut) {
  Begin(policy::UncoveredCohorts::kHold);
  ExpectHeld();
  ASSERT_TRUE(fleet.app().ExcludeCohort(fleet.Sre(), "content", 1, "os=xp").ok());
  EXPECT_FALSE(Opens(absl::Hours(1))) << "os=debian12 is left";
  acme.uncovered_cohorts = policy::UncoveredCohorts::kWarn;
  fleet.Apply(acme);
  EXPECT_TRUE(Opens(absl::Hours(1)));
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.RunningIn("acme", "canary", release.digest) == 10; },
                             absl::Hours(24)))
      << "all but the two that are left out";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(RepresentationTest, TheDecisionThatOpensARingNamesWhatNoEarlierRingHasProven) {
  Begin(policy::UncoveredCohorts::kWarn);
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.StateOf("acme", "canary", 1) == policy::StageState::kOpen; },
                             absl::Hours(12)));
  const auto decisions = fleet.app().Decisions({}).value();
  std::map<std::string, std::string> why;
  for (const storage::DecisionRow& row : decisions) {
    if (row.action == "open_wave" && row.rule == "waiting_opens") why[row.ring] = row.why;
  }
  EXPECT_THAT(why["canary"],
              testing::HasSubstr("No earlier ring has proven it on hosts with os=debian12, os=xp."));
  EXPECT_THAT(why["dogfood"], testing::Not(testing::HasSubstr("No earlier ring"))) << "none comes before it";
}

}  // namespace
}  // namespace ringfence::test
