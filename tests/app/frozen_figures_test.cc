// Denominators are frozen (invariant 8): whatever is done to a host that took the release, neither the harm
// nor the gates' figures change by it. Other servers forgot their bricked hosts when these were deleted,
// moved or grouped anew.
#include <functional>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

struct Act {
  std::string name;
  std::function<void(FleetHarness&, int host)> to;
  bool keeps_labels = true;  // then each label value's figures stay as well
};

void PrintTo(const Act& act, std::ostream* out) {
  *out << act.name;
}

policy::Plan TwoRings() {
  policy::Plan plan = PlanOf("acme", {RingNamed("canary"), RingNamed("all")});
  // They count and stop nothing: the figures are what is looked at.
  const policy::RateGate gate{policy::Ppm(1'000'000), 1'000, absl::Hours(24)};
  plan.gates.crash = plan.gates.degraded = gate;
  plan.gates.silence = policy::SilenceGate{3, policy::Ppm(1'000'000), 1'000, absl::Hours(24)};
  plan.gates.cohort_keys = {"os"};
  return plan;
}

class FrozenTest : public testing::Test {
 protected:
  static constexpr int kCrashed = 0, kDegraded = 1, kSilent = 2, kHealthy = 3, kHosts = 30;

  void SetUp() override {
    fleet.AddRing("acme", "canary", kHosts);
    fleet.AddRing("acme", "all", 10);
    fleet.Start();
    fleet.Apply(TwoRings());
    release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy >= kHosts; }, absl::Hours(24)));
    ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
    fleet.RunFor(absl::Minutes(10));
    fleet.host(kSilent).away = true;
    fleet.RunFor(absl::Minutes(10));
    Report(kCrashed, app::EventKind::kCrash);
    Report(kDegraded, app::EventKind::kDegraded);
    ASSERT_EQ(fleet.Rollout(1).ledger.harmed, 3);
  }
  void Report(int host, app::EventKind kind) {
    app::AgentEvent event;
    event.seq = 1'000;
    event.kind = kind;
    event.channel = "content";
    event.digest = release.digest;
    ASSERT_TRUE(fleet.Say(host, {event}).ok());
  }
  // The whole release: ledger, outcomes of all its stages, and what each gate reads.
  std::string Figures() {
    const app::RolloutInfo info = fleet.Rollout(1);
    std::string text = absl::StrCat("exposed ", info.ledger.exposed, " harmed ", info.ledger.harmed);
    app::OutcomeCounts sum;
    for (const app::StageInfo& stage : info.stages) {
      sum.exposed += stage.outcomes.exposed;
      sum.confirmed += stage.outcomes.confirmed;
      sum.crashed += stage.outcomes.crashed;
      sum.failed += stage.outcomes.failed;
      sum.silent += stage.outcomes.silent;
    }
    absl::StrAppend(&text, "; of ", sum.exposed, ": confirmed ", sum.confirmed, " crashed ", sum.crashed,
                    " failed ", sum.failed, " silent ", sum.silent);
    for (const app::GateReading& gate : info.health.gates) {
      if (gate.cohort.empty()) absl::StrAppend(&text, "; ", Reading(gate));
    }
    return text;
  }
  std::string Cohorts() {
    std::string text;
    for (const app::GateReading& gate : fleet.Rollout(1).health.gates) {
      if (!gate.cohort.empty()) absl::StrAppend(&text, gate.cohort, " ", Reading(gate), "; ");
    }
    return text;
  }
  static std::string Reading(const app::GateReading& gate) {
    return absl::StrCat(policy::Name(gate.gate), " ", gate.bad, " of ", gate.exposed);
  }

  FleetHarness fleet{CustomersOnly()};
  policy::Release release;
};

class FrozenFiguresTest : public FrozenTest, public testing::WithParamInterface<Act> {};

TEST_P(FrozenFiguresTest, StayWhatTheyAre) {
  const std::string before = Figures(), cohorts = Cohorts();
  ASSERT_NE(before.find("crash 1 of "), std::string::npos) << before;
  ASSERT_NE(before.find("degraded 1 of "), std::string::npos) << before;
  ASSERT_NE(before.find("silence 1 of "), std::string::npos) << before;
  ASSERT_NE(cohorts.find("os=win10 crash 1 of "), std::string::npos) << cohorts;
  for (const int host : {kCrashed, kDegraded, kSilent, kHealthy}) {
    SCOPED_TRACE(host);
    GetParam().to(fleet, host);
    fleet.Step();
    EXPECT_EQ(Figures(), before);
    if (GetParam().keeps_labels) {
      EXPECT_EQ(Cohorts(), cohorts);
    }
  }
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(FrozenTest, AHostThatWasDeletedCountsInACohortThatIsAskedAboutLater) {
  const auto by_ring = [&] {
    policy::Plan plan = TwoRings();
    plan.gates.cohort_keys = {"ring"};
    fleet.Apply(plan);
    return Cohorts();
  };
  const std::string before = by_ring();
  ASSERT_THAT(before, testing::HasSubstr("ring=canary crash 1 of "));
  fleet.Apply(TwoRings());
  ASSERT_TRUE(fleet.app().DeleteAgent(fleet.Sre(), fleet.host(kCrashed).id).ok());
  EXPECT_EQ(by_ring(), before);
}

// What it is labelled now, the server hears at a check-in; a host that is away says nothing.
void Relabel(FleetHarness& fleet, int host, const std::string& ring, const std::string& os) {
  fleet.Relabel(host, {{"ring", ring}, {"os", os}});
  if (fleet.host(host).away) return;
  fleet.host(host).send_labels = true;
  fleet.CheckInNow(host);
}

INSTANTIATE_TEST_SUITE_P(
    WhenAHostIs, FrozenFiguresTest,
    testing::Values(Act{"deleted",
                        [](FleetHarness& fleet, int host) {
                          EXPECT_TRUE(fleet.app().DeleteAgent(fleet.Sre(), fleet.host(host).id).ok());
                          fleet.host(host).removed = true;
                        }},
                    Act{"relabelled",
                        [](FleetHarness& fleet, int host) { Relabel(fleet, host, "canary", "win11"); },
                        /*keeps_labels=*/false},
                    Act{"moved", [](FleetHarness& fleet, int host) { Relabel(fleet, host, "all", "win10"); }},
                    Act{"moved out of every ring",
                        [](FleetHarness& fleet, int host) { Relabel(fleet, host, "none", "win10"); }},
                    Act{"regrouped by a plan that takes its ring away", [](FleetHarness& fleet, int) {
                          policy::Plan plan = TwoRings();
                          plan.rings.erase(plan.rings.begin());
                          fleet.Apply(plan);
                        }}));

}  // namespace
}  // namespace ringfence::test
