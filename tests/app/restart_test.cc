// What a restart must not forget (invariants 8 and 9): what was counted once is not counted again, what went
// bad stays counted, and what is ordered back is ordered back by the next process too.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::GateKind;
using storage::Outcome;

class AfterRestartTest : public testing::Test {
 protected:
  void Begin(int hosts = 60) {
    fleet.AddRing("vendor", "dogfood", hosts);
    fleet.Start();
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
    plan.gates = Gates();
    fleet.Apply(plan);
    release = fleet.Publish();
  }
  // A host that was proven.
  int Proven() {
    int found = -1;
    const auto look = [&] {
      for (int i = 0; found < 0 && i < static_cast<int>(fleet.hosts().size()); ++i) {
        const auto info = fleet.app().GetAgent(fleet.host(i).id);
        if (!info->exposures.empty() && info->exposures[0].outcome == Outcome::kConfirmed) found = i;
      }
      return found >= 0;
    };
    EXPECT_TRUE(fleet.RunUntil(look, absl::Hours(4)));
    return found;
  }
  std::vector<app::AgentEvent> Report(app::EventKind kind, uint64_t seq) {
    app::AgentEvent event;
    event.seq = seq;
    event.kind = kind;
    return {event};
  }
  int64_t Bad(GateKind kind, const std::string& tenant = "") {
    const app::RolloutInfo info = fleet.app().GetRollout("content", 1, tenant).value();
    for (const app::GateReading& gate : info.health.gates) {
      if (gate.gate == kind && gate.cohort.empty()) return gate.bad;
    }
    return -1;
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(AfterRestartTest, AReportThatComesAgainIsNotCountedAgain) {
  Begin();
  const int host = Proven();
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Minutes(10));
  const int64_t healthy = fleet.Rollout(1).health.healthy;
  ASSERT_TRUE(fleet.Say(host, Report(app::EventKind::kCrash, 1000)).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy - 1);
  fleet.RunFor(absl::Minutes(10));
  ASSERT_EQ(fleet.Rollout(1).health.healthy, healthy);  // proven anew
  fleet.Restart();
  fleet.RunFor(absl::Minutes(10));
  ASSERT_EQ(fleet.Rollout(1).health.healthy, healthy);
  ASSERT_TRUE(fleet.Say(host, Report(app::EventKind::kCrash, 1000)).ok());  // the answer was lost
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy);
}

TEST_F(AfterRestartTest, AHostThatCrashedAndWentBackIsStillOneOfTheBad) {
  Begin();
  const int host = Proven();
  ASSERT_TRUE(fleet.Say(host, Report(app::EventKind::kCrash, 1000)).ok());
  fleet.host(host).running["content"] = FleetHarness::Factory("content");
  ASSERT_TRUE(fleet.Say(host, {}).ok());
  fleet.RunFor(absl::Minutes(1));
  ASSERT_EQ(fleet.watch().Count("content", 1, Outcome::kReverted), 1);
  ASSERT_EQ(Bad(GateKind::kCrash), 1);
  fleet.Restart();
  EXPECT_EQ(Bad(GateKind::kCrash), 1);
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(Bad(GateKind::kCrash), 0) << "the window is over";
}

TEST_F(AfterRestartTest, AHostThatReportedABadMetricAndWasProvenAnewIsStillOneOfTheBad) {
  Begin();
  const int host = Proven();
  ASSERT_TRUE(fleet.Say(host, Report(app::EventKind::kDegraded, 1000)).ok());
  fleet.RunFor(absl::Minutes(10));
  ASSERT_EQ(fleet.watch().Count("content", 1, Outcome::kFailed), 0);
  ASSERT_EQ(Bad(GateKind::kDegraded), 1);
  fleet.Restart();
  EXPECT_EQ(Bad(GateKind::kDegraded), 1);
}

TEST_F(AfterRestartTest, AHostThatWasSilentAndCameBackIsNoReasonToStop) {
  Begin();
  const int host = Proven();
  fleet.host(host).away = true;
  fleet.RunFor(absl::Minutes(10));
  fleet.WakeUp(host);
  fleet.RunFor(absl::Minutes(10));
  ASSERT_EQ(Bad(GateKind::kSilence), 1);
  fleet.Restart();
  EXPECT_EQ(Bad(GateKind::kSilence), 0) << "what the others did meanwhile is not known";
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 60; }, absl::Hours(24)));
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST_F(AfterRestartTest, ASiteThatIsDarkOverARestartIsNoReasonToStop) {
  for (int i = 0; i < 120; ++i) {
    fleet.AddHost("vendor", {{"ring", "dogfood"}, {"os", "win10"}, {"site", i % 3 == 0 ? "north" : "south"}});
  }
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates = Gates();
  plan.gates.cohort_keys = {"os", "site"};
  fleet.Apply(plan);
  release = fleet.Publish();
  const auto in_north = [&] {
    int64_t count = 0;
    for (int i = 0; i < 120; i += 3) count += fleet.host(i).activated_at.contains(release.digest) ? 1 : 0;
    return count;
  };
  ASSERT_TRUE(fleet.RunUntil([&] { return in_north() >= 8; }, absl::Hours(4)));
  for (int i = 0; i < 120; i += 3) fleet.host(i).away = true;
  fleet.RunFor(absl::Minutes(10));
  ASSERT_GE(Bad(GateKind::kSilence), 8);
  fleet.Restart();
  fleet.RunFor(absl::Minutes(10));
  for (int i = 0; i < 120; i += 3) fleet.WakeUp(i);
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 120; }, absl::Hours(24)));
  EXPECT_FALSE(fleet.Stopped(1)) << fleet.watch().decisions().back().why;
}

TEST_F(AfterRestartTest, AHostThatIsFoundOnAnOldRecalledReleaseIsOrderedBack) {
  Begin(4);
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 4; }, absl::Hours(12)));
  policy::Release newest;
  for (int i = 0; i < 10; ++i) newest = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(newest.digest) == 4; }, absl::Hours(48)));
  fleet.Restart();  // nobody runs the first release, so its exposures are not loaded
  fleet.host(0).running["content"] = release.digest;  // the loader fell back to it
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  const auto reply = fleet.Say(0, {});
  ASSERT_TRUE(reply.ok());
  ASSERT_NE(reply->directives, nullptr);
  bool ordered = false;
  for (const app::Directive& directive : *reply->directives) {
    ordered =
        ordered || (directive.kind == app::DirectiveKind::kRevert && directive.digest == release.digest);
  }
  EXPECT_TRUE(ordered);
}

TEST_F(AfterRestartTest, TheDeadlineOfAProbationThatBeganAnewStays) {
  Begin();
  const int host = Proven();
  const auto row = [&] {
    for (const auto& [key, one] : fleet.watch().exposures()) {
      if (one.agent == fleet.host(host).id) return one;
    }
    return storage::ExposureRow();
  };
  const absl::Time first = row().deadline;
  fleet.RunFor(absl::Minutes(30));
  ASSERT_TRUE(fleet.Say(host, Report(app::EventKind::kCrash, 1000)).ok());
  fleet.RunFor(absl::Minutes(10));
  ASSERT_EQ(row().outcome, Outcome::kConfirmed);
  const absl::Time second = row().deadline;
  ASSERT_GT(second, first + absl::Minutes(29));
  fleet.Restart();
  fleet.host(host).running["content"] = FleetHarness::Factory("content");
  ASSERT_TRUE(fleet.Say(host, {}).ok());
  fleet.RunFor(absl::Minutes(1));
  ASSERT_EQ(row().outcome, Outcome::kReverted);
  EXPECT_EQ(row().deadline, second) << "written over with what was never asked of it";
}

TEST(ResumeTest, OneTenantsResumeLeavesTheEvidenceOfTheOthers) {
  FleetHarness fleet(CustomersOnly());
  fleet.AddRing("acme", "all", 40);
  fleet.AddRing("beta", "all", 40);
  fleet.Start();
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  plan.gates = Gates();
  plan.gates.crash->min_count = 30;  // acme bears more
  fleet.Apply(plan);
  plan = PlanOf("beta", {RingNamed("all")});
  plan.gates = Gates();
  fleet.Apply(plan);
  fleet.Publish();
  const auto bad = [&](const std::string& tenant) {
    const app::RolloutInfo info = fleet.app().GetRollout("content", 1, tenant).value();
    for (const app::GateReading& gate : info.health.gates) {
      if (gate.gate == GateKind::kCrash && gate.cohort.empty()) return gate.bad;
    }
    return int64_t{-1};
  };
  const storage::Scope scope{"beta", "content", 1, ""};
  const auto halted = [&] {
    const auto brakes = fleet.watch().brakes();
    const auto it = brakes.find(scope);
    return it != brakes.end() && it->second.halted;
  };
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy >= 30; }, absl::Hours(12)));
  int crashed = 0;
  for (int i = 0; i < 80 && crashed < 3; ++i) {
    const auto info = fleet.app().GetAgent(fleet.host(i).id);
    if (fleet.host(i).tenant != "beta" || info->exposures.empty()) continue;
    if (info->exposures[0].outcome != Outcome::kConfirmed) continue;
    app::AgentEvent event;
    event.seq = 1000;
    event.kind = app::EventKind::kCrash;
    ASSERT_TRUE(fleet.Say(i, {event}).ok());
    ++crashed;
  }
  ASSERT_TRUE(fleet.RunUntil(halted, absl::Minutes(1)));
  ASSERT_EQ(bad("acme"), 3);
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), scope, app::BrakeKind::kHalt).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("bob"), scope, app::BrakeKind::kHalt).ok());
  EXPECT_EQ(bad("acme"), 3) << "what acme's gate knew is forgotten";
  EXPECT_EQ(bad("beta"), 0);
  fleet.RunFor(absl::Minutes(30));
  EXPECT_FALSE(halted()) << "the same evidence again";
  fleet.Restart();
  EXPECT_EQ(bad("acme"), 3);
  EXPECT_EQ(bad("beta"), 0);
  fleet.RunFor(absl::Minutes(10));
  EXPECT_FALSE(halted()) << "the same evidence after a restart";
}

}  // namespace
}  // namespace ringfence::test
