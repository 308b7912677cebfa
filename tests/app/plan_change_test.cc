// A plan that changes while a release is on its way: what is known stays known, what is tighter holds at
// once.
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::Reason;

class PlanChangeTest : public testing::Test {
 protected:
  void Begin(const policy::Plan& plan, int hosts = 30) {
    for (const policy::Ring& ring : plan.rings) fleet().AddRing("vendor", ring.name, hosts);
    fleet().Start();
    fleet().Apply(plan);
  }
  bool UntilRunning(const policy::Release& release, int64_t hosts) {
    return fleet().RunUntil([&] { return fleet().Running(release.digest) >= hosts; }, absl::Hours(24));
  }
  void Degrade(int index, const policy::Release& release) {
    app::AgentEvent event;
    event.seq = 1'000;
    event.kind = app::EventKind::kDegraded;
    event.channel = release.channel;
    event.digest = release.digest;
    ASSERT_TRUE(fleet().Say(index, {event}).ok());
  }
  void Anew() { owned = std::make_unique<FleetHarness>(); }
  std::unique_ptr<FleetHarness> owned = std::make_unique<FleetHarness>();
  FleetHarness& fleet() { return *owned; }
};

TEST_F(PlanChangeTest, AnotherWindowOfAGateKnowsWhatTheOldOneKnew) {
  for (const absl::Duration window : {absl::Hours(12), absl::Hours(3)}) {
    SCOPED_TRACE(window);
    Anew();
    policy::Plan plan = PlanOf("vendor", {RingNamed("all")});
    plan.gates.degraded = policy::RateGate{policy::Ppm(20'000), 3, absl::Hours(6)};
    plan.gates.on_breach = policy::OnBreach::kHold;
    Begin(plan);
    const policy::Release release = fleet().Publish();
    ASSERT_TRUE(UntilRunning(release, 30));
    Degrade(0, release);
    Degrade(1, release);
    fleet().RunFor(absl::Minutes(10));
    plan.gates.degraded->window = window;
    fleet().Apply(plan);
    fleet().RunFor(absl::Minutes(10));
    ASSERT_FALSE(fleet().Stopped(1));
    Degrade(2, release);
    fleet().Step();
    EXPECT_TRUE(fleet().Decided("hold", "gate_degraded"));
  }
}

TEST_F(PlanChangeTest, AShorterWindowLetsGoOfWhatIsTooOldForIt) {
  policy::Plan plan = PlanOf("vendor", {RingNamed("all")});
  plan.gates.degraded = policy::RateGate{policy::Ppm(20'000), 3, absl::Hours(6)};
  plan.gates.on_breach = policy::OnBreach::kHold;
  Begin(plan);
  const policy::Release release = fleet().Publish();
  ASSERT_TRUE(UntilRunning(release, 30));
  Degrade(0, release);
  Degrade(1, release);
  fleet().RunFor(absl::Hours(2));
  plan.gates.degraded->window = absl::Hours(1);
  fleet().Apply(plan);
  Degrade(2, release);
  fleet().Step();
  EXPECT_FALSE(fleet().Stopped(1));
}

}  // namespace
}  // namespace ringfence::test
