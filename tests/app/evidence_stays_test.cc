// Nothing that happens to a host takes back what it showed (invariant 8), no repeat adds to it, and no data
// is no proof: properties of the evidence, in the server.
#include <algorithm>
#include <functional>

#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

constexpr int kHosts = 200;

int FirstSufferer(FleetHarness& fleet) {
  for (size_t i = 0; i < fleet.hosts().size(); ++i) {
    if (!fleet.hosts()[i].suffers.empty()) return static_cast<int>(i);
  }
  return -1;
}

// M_R some minutes after the first host took a release that does this, when `act` was done to that host at
// once.
double EvidenceAfter(Effect effect, const std::function<void(FleetHarness&, int)>& act,
                     double repeated_events = 0) {
  FleetHarness::Options options;
  options.repeated_events = repeated_events;
  FleetHarness fleet(options);
  fleet.AddRing("vendor", "dogfood", kHosts);
  fleet.effect = [effect](const SimHost&, const Digest&) { return effect; };
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood"), RingNamed("other")});
  plan.gates.cohort_keys = {"os"};
  fleet.Apply(plan);
  fleet.Publish();
  EXPECT_TRUE(fleet.RunUntil([&] { return FirstSufferer(fleet) >= 0; }, absl::Hours(6)));
  act(fleet, FirstSufferer(fleet));
  fleet.RunFor(absl::Minutes(8));
  EXPECT_EQ(fleet.Violations(), "");
  return fleet.Rollout(1).health.m_r;
}

void Nothing(FleetHarness&, int) {}
void Delete(FleetHarness& fleet, int host) {
  EXPECT_TRUE(fleet.app().DeleteAgent(fleet.Sre(), fleet.host(host).id).ok());
}
void ToAnotherRing(FleetHarness& fleet, int host) {
  fleet.Relabel(host, {{"ring", "other"}, {"os", "win10"}});
}
void ToAnotherLabel(FleetHarness& fleet, int host) {
  fleet.Relabel(host, {{"ring", "dogfood"}, {"os", "win11"}});
}

TEST(EvidenceStaysTest, ABrickThatIsDeletedSpeaksAsLoudAsBefore) {
  const double as_it_was = EvidenceAfter(Effect::kBricks, Nothing);
  EXPECT_GT(as_it_was, 10);
  EXPECT_GE(EvidenceAfter(Effect::kBricks, Delete), as_it_was * (1 - 1e-9));
}

TEST(EvidenceStaysTest, AHostThatCrashedAndMovedOrChangedItsLabelsDoesToo) {
  const double as_it_was = EvidenceAfter(Effect::kCrashesOften, Nothing);
  EXPECT_GT(as_it_was, 5);
  EXPECT_GE(EvidenceAfter(Effect::kCrashesOften, ToAnotherRing), as_it_was * (1 - 1e-9));
  EXPECT_GE(EvidenceAfter(Effect::kCrashesOften, ToAnotherLabel), as_it_was * (1 - 1e-9));
}

TEST(EvidenceStaysTest, EventsThatAreToldAgainAddNothing) {
  const double once = EvidenceAfter(Effect::kCrashes, Nothing, 1e-12);  // the same chances, drawn alike
  EXPECT_NEAR(EvidenceAfter(Effect::kCrashes, Nothing, 1.0), once, 1e-9 * once);
}

// Hosts that check in half as often after they took the release, and neither fall silent nor crash: only the
// gauge of missed check-ins sees them.
TEST(EvidenceStaysTest, HostsThatAreHeardHalfAsOftenRaiseTheEvidence) {
  FleetHarness fleet;
  fleet.AddRing("vendor", "dogfood", 400);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kSlows; };
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  fleet.Publish();
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.m_r >= 1.2; }, absl::Hours(2)));
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, 0) << "neither silent nor crashed";
  fleet.RunFor(absl::Minutes(10));
  const auto evidence = fleet.app().Evidence("content", 1);
  ASSERT_TRUE(evidence.ok());
  int64_t gauges = 0;
  for (const storage::EvidenceRecordRow& record : evidence->records) {
    for (const storage::EvidenceEvent& event : record.events) {
      if (event.health_channel != policy::HealthChannel::kGauge) continue;
      ++gauges;
      EXPECT_GT(event.x, 0);
      EXPECT_LE(event.x, 1);
      EXPECT_EQ(event.c, 0);
    }
  }
  EXPECT_GT(gauges, 0);
  fleet.Step();
  const double before = fleet.Rollout(1).health.m_r;
  fleet.Restart();
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, before, 1e-9 * before) << "gauges are on record too";
  EXPECT_EQ(fleet.Violations(), "");
}

}  // namespace
}  // namespace ringfence::test
