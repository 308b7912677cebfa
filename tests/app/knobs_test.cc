// Every knob of a plan by what it changes: two plans that differ in it alone, on the same fleet or on two
// alike. The harness's time begins on Tuesday, 2023-11-14 22:13 UTC. Waves, caps, minimum age, pins and
// pauses are in plan_rules_test.cc; windows, approvals and barriers in plan_language_test.cc.
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::GateKind;
using policy::OnBreach;
using policy::Ppm;
using policy::RateGate;
using policy::SilenceGate;
using policy::SloGates;

// ---------------------------------------------------------------- which releases, and when

class KnobTest : public OneCustomerTest {
 protected:
  void Begin(const policy::Plan& wanted, int hosts = 6) { OneCustomerTest::Begin(wanted, hosts); }
  policy::Release PublishUrgent() {
    policy::Release urgent = fleet.NextRelease();
    urgent.urgent = true;
    return fleet.TryPublish(urgent).value();
  }
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
};

TEST_F(KnobTest, AChannelThatLagsTakesTheReleaseBeforeTheNewest) {
  plan.channels[0].lag = 1;
  Begin(plan);
  const policy::Release first = fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(first.digest), 0);
  const policy::Release second = fleet.Publish();
  EXPECT_TRUE(Until(6, first));
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(second.digest), 0);
}

TEST_F(KnobTest, AChannelWithARangeTakesNothingOutsideIt) {
  plan.channels[0].from_version = "v2";
  plan.channels[0].below_version = "v3";
  Begin(plan);
  const policy::Release first = fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(first.digest), 0);
  const policy::Release second = fleet.Publish();
  EXPECT_TRUE(Until(6, second));
  const policy::Release third = fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(third.digest), 0);
  EXPECT_EQ(fleet.Running(second.digest), 6);
}

TEST_F(KnobTest, ARingWhoseLastWaveIsCappedPassesOnThoseAndThenLetsTheOthersIn) {
  plan.rings[0].waves[0].max_hosts = 3;
  plan.rings[0].soak = absl::Hours(5);
  Begin(plan, 10);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(5));
  EXPECT_EQ(fleet.Running(release.digest), 3);
  EXPECT_TRUE(Until(10, release));
  EXPECT_EQ(fleet.StateOf("acme", "all", 1), policy::StageState::kPassed);
}

TEST_F(KnobTest, AVersionOnTheDenyListIsNeverTaken) {
  plan.deny = {{std::nullopt, "content", "v1", "it broke the lab", "Ann"}};
  Begin(plan);
  const policy::Release first = fleet.Publish();
  fleet.RunFor(absl::Hours(6));
  EXPECT_EQ(fleet.Running(first.digest), 0);
  EXPECT_TRUE(Until(6, fleet.Publish()));
}

// What a ring says of one channel holds there and in no other.
class RingRuleTest : public KnobTest,
                     public testing::WithParamInterface<std::function<void(policy::RingRule&)>> {};

TEST_P(RingRuleTest, HoldsInItsChannelOnly) {
  policy::ChannelRule sensor;
  sensor.channel = "sensor";
  plan.channels.push_back(sensor);
  policy::RingRule own;
  own.channel = "content";
  GetParam()(own);
  plan.rings[0].channels = {own};
  Begin(plan);
  const policy::Release content = fleet.Publish("content");
  const policy::Release program = fleet.Publish("sensor");
  EXPECT_TRUE(Until(6, program, absl::Hours(20)));
  EXPECT_EQ(fleet.Running(content.digest), 0);
  plan.rings[0].channels.clear();
  fleet.Apply(plan);
  EXPECT_TRUE(Until(6, content)) << "without the rule";
}
INSTANTIATE_TEST_SUITE_P(EachField, RingRuleTest,
                         testing::Values([](policy::RingRule& own) { own.lag = 1; },
                                         [](policy::RingRule& own) { own.min_age = absl::Hours(24 * 7); },
                                         [](policy::RingRule& own) {
                                           own.approval = policy::Approval::kExplicit;
                                         },
                                         [](policy::RingRule& own) {
                                           own.windows = {{{policy::Weekday::kSunday}, 120, 300, "UTC"}};
                                         }));

TEST_F(KnobTest, WindowsAreMeantInTheZoneOfThePlan) {
  plan.rings[0].windows = {{{}, 22 * 60 + 30, 23 * 60 + 50, ""}};
  plan.zone = "America/New_York";  // there it is a quarter past five in the afternoon
  Begin(plan);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Minutes(40));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  plan.zone = "";
  fleet.Apply(plan);
  fleet.RunFor(absl::Minutes(50));
  EXPECT_GT(fleet.Running(release.digest), 0);
}

TEST_F(KnobTest, NobodyIsLetInOnABlackoutDayAndEverybodyAfterIt) {
  plan.blackouts = {{"2023-11-14", "UTC", "inventory", "Ann", {}}};
  Begin(plan);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Minutes(105));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_TRUE(Until(6, release, absl::Hours(6)));
}

TEST_F(KnobTest, AFreezeOfAChannelLeavesTheOthersAlone) {
  policy::ChannelRule sensor;
  sensor.channel = "sensor";
  plan.channels.push_back(sensor);
  plan.freezes = {{fleet.now(), fleet.now() + absl::Hours(24), "r", "o", {{}, {"content"}}}};
  Begin(plan);
  const policy::Release content = fleet.Publish("content");
  EXPECT_TRUE(Until(6, fleet.Publish("sensor"), absl::Hours(20)));
  EXPECT_EQ(fleet.Running(content.digest), 0);
}

// ---------------------------------------------------------------- urgency

TEST_F(KnobTest, UrgencyThatOnlyNotifiesOpensNoWindow) {
  plan.rings[0].windows = {{{policy::Weekday::kSunday}, 120, 300, "UTC"}};
  plan.urgent = policy::Urgent{};  // notifies only
  Begin(plan);
  const policy::Release urgent = PublishUrgent();
  fleet.RunFor(absl::Hours(12));
  EXPECT_EQ(fleet.Running(urgent.digest), 0);
  plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {}, std::nullopt, std::nullopt, true};
  fleet.Apply(plan);
  EXPECT_TRUE(Until(6, urgent, absl::Hours(12)));
}

TEST_F(KnobTest, AnUrgentReleaseWaitsForTheMinimumAgeThatUrgencyHas) {
  plan.rings[0].min_age = absl::Hours(48);
  plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {}, absl::Hours(3), std::nullopt, false};
  Begin(plan);
  const policy::Release urgent = PublishUrgent();
  fleet.RunFor(absl::Minutes(170));
  EXPECT_EQ(fleet.Running(urgent.digest), 0);
  EXPECT_TRUE(Until(6, urgent, absl::Hours(12)));
}

// Until the second wave of a ring with a soak of 20 hours opens.
class UrgentSoakTest : public KnobTest {
 protected:
  absl::Duration SoakOf(bool urgent) {
    plan.rings[0] = RingNamed("all", {0.2, 1});
    plan.rings[0].soak = absl::Hours(20);
    Begin(plan, 10);
    if (urgent) {
      PublishUrgent();
    } else {
      fleet.Publish();
    }
    const auto wave = [&] {
      const storage::StageRow* stage = fleet.StageOf("acme", "all", 1);
      return stage == nullptr ? -1 : stage->wave;
    };
    EXPECT_TRUE(fleet.RunUntil([&] { return wave() == 0; }, absl::Hours(1)));
    const absl::Time opened = fleet.now();
    EXPECT_TRUE(fleet.RunUntil([&] { return wave() == 1; }, absl::Hours(30)));
    return fleet.now() - opened;
  }
};

TEST_F(UrgentSoakTest, IsTheShareThatThePlanAllows) {
  plan.urgent_soak_factor = Ppm(100'000);
  const absl::Duration soak = SoakOf(true);
  EXPECT_GE(soak, absl::Hours(2));
  EXPECT_LT(soak, absl::Hours(3));
}

TEST_F(UrgentSoakTest, IsTheFloorThatUrgencyHas) {
  plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {}, std::nullopt, absl::Hours(4), false};
  const absl::Duration soak = SoakOf(true);
  EXPECT_GE(soak, absl::Hours(4));
  EXPECT_LT(soak, absl::Hours(5));
}

TEST_F(UrgentSoakTest, IsNoShorterForWhatIsNotUrgent) {
  plan.urgent_soak_factor = Ppm(100'000);
  plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {}, std::nullopt, absl::Hours(4), false};
  EXPECT_GE(SoakOf(false), absl::Hours(20));
}

// ---------------------------------------------------------------- SLO gates

// A hundred hosts, proven long ago, so that the method has nothing to say any more; a hundred more without
// the release. The same harm under two plans: what differs is the knob.
class GateKnobTest : public testing::Test {
 protected:
  static constexpr int kHosts = 100, kNew = 10;  // of the hosts, the last ten have another system

  void Prove() {
    fleet.AddRing("acme", "all", kHosts - kNew);
    for (int i = 0; i < kNew; ++i) fleet.AddHost("acme", {{"ring", "all"}, {"os", "win11"}});
    fleet.AddRing("acme", "none", kHosts);
    fleet.Start();
    fleet.Apply(plan);
    release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy == kHosts; }, absl::Hours(48)));
  }
  void With(const SloGates& gates) {
    plan.gates = gates;
    fleet.Apply(plan);
    fleet.Step();
  }
  void Report(app::EventKind kind, int first, int count) {
    for (int i = first; i < first + count; ++i) {
      app::AgentEvent event;
      event.seq = ++seq;
      event.kind = kind;
      event.channel = "content";
      event.digest = release.digest;
      ASSERT_TRUE(fleet.Say(i, {event}).ok());
    }
    fleet.Step();
  }
  void GoAway(int first, int count) {
    for (int i = first; i < first + count; ++i) fleet.host(i).away = true;
  }
  // By the gate, and not by the method.
  bool HaltedBy(const std::string& gate) {
    EXPECT_FALSE(fleet.Decided("halt", "test_r"));
    EXPECT_FALSE(fleet.Decided("hold", "test_r"));
    EXPECT_FALSE(fleet.Decided("hold", "guard_a"));
    return fleet.Decided("halt", "gate_" + gate);
  }
  int64_t Bad(GateKind kind) {
    for (const app::GateReading& gate : fleet.Rollout(1).health.gates) {
      if (gate.gate == kind && gate.cohort.empty()) return gate.bad;
    }
    return -1;
  }

  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  FleetHarness fleet{CustomersOnly()};
  policy::Release release;
  uint64_t seq = 1000;
};

struct RateCase {
  std::string name;
  app::EventKind event;
  std::optional<RateGate> SloGates::*gate;
};
void PrintTo(const RateCase& rate, std::ostream* out) {
  *out << rate.name;
}
class RateGateTest : public GateKnobTest, public testing::WithParamInterface<RateCase> {
 protected:
  SloGates Gate(int64_t ppm, int64_t min_count, absl::Duration window) {
    SloGates gates;
    gates.*GetParam().gate = RateGate{Ppm(ppm), min_count, window};
    return gates;
  }
  void Harm(int first, int count) { Report(GetParam().event, first, count); }
  bool Halted() { return HaltedBy(GetParam().name); }
};

TEST_P(RateGateTest, StopsAboveItsRate) {
  Prove();
  With(Gate(50'000, 3, absl::Hours(6)));
  Harm(0, 5);
  EXPECT_FALSE(Halted()) << "five of a hundred are five per cent";
  With(Gate(49'000, 3, absl::Hours(6)));
  EXPECT_TRUE(Halted());
}

TEST_P(RateGateTest, StopsFromItsLeastCountOn) {
  Prove();
  With(Gate(10'000, 6, absl::Hours(6)));
  Harm(0, 5);
  EXPECT_FALSE(Halted());
  With(Gate(10'000, 5, absl::Hours(6)));
  EXPECT_TRUE(Halted());
}

TEST_P(RateGateTest, CountsWithinItsWindow) {
  Prove();
  With(Gate(50'000, 3, absl::Hours(1)));
  Harm(0, 3);
  fleet.RunFor(absl::Hours(2));
  Harm(3, 3);
  EXPECT_FALSE(Halted());
  With(Gate(50'000, 3, absl::Hours(6)));
  EXPECT_TRUE(Halted());
}

TEST_P(RateGateTest, JudgesEachValueOfItsCohortKeysByItself) {
  Prove();
  SloGates gates = Gate(50'000, 3, absl::Hours(6));
  With(gates);
  Harm(kHosts - kNew, 4);
  EXPECT_FALSE(Halted());
  gates.cohort_keys = {"os"};
  With(gates);
  EXPECT_TRUE(Halted());
  EXPECT_EQ(fleet.watch().decisions().back().cohort, "os=win11");
}

INSTANTIATE_TEST_SUITE_P(Each, RateGateTest,
                         testing::Values(RateCase{"crash", app::EventKind::kCrash, &SloGates::crash},
                                         RateCase{"degraded", app::EventKind::kDegraded,
                                                  &SloGates::degraded}));

class SilenceGateTest : public GateKnobTest {
 protected:
  static SloGates Gate(int missed, int64_t ppm, int64_t min_count, absl::Duration window) {
    SloGates gates;
    gates.silence = SilenceGate{missed, Ppm(ppm), min_count, window};
    gates.on_breach = OnBreach::kHalt;
    return gates;
  }
};

TEST_F(SilenceGateTest, StopsAboveItsExcess) {
  Prove();
  With(Gate(3, 300'000, 3, absl::Hours(1)));
  GoAway(0, 20);
  fleet.RunFor(absl::Minutes(8));
  ASSERT_EQ(Bad(GateKind::kSilence), 20);
  EXPECT_FALSE(fleet.Stopped(1));
  With(Gate(3, 50'000, 3, absl::Hours(1)));
  EXPECT_TRUE(HaltedBy("silence"));
}

TEST_F(SilenceGateTest, StopsFromItsLeastCountOn) {
  Prove();
  With(Gate(3, 50'000, 21, absl::Hours(1)));
  GoAway(0, 20);
  fleet.RunFor(absl::Minutes(8));
  EXPECT_FALSE(HaltedBy("silence"));
  With(Gate(3, 50'000, 20, absl::Hours(1)));
  EXPECT_TRUE(HaltedBy("silence"));
}

TEST_F(SilenceGateTest, CountsWithinItsWindow) {
  Prove();
  With(Gate(3, 50'000, 15, absl::Hours(1)));
  GoAway(0, 10);
  fleet.RunFor(absl::Hours(2));
  GoAway(10, 10);
  fleet.RunFor(absl::Minutes(8));
  EXPECT_FALSE(HaltedBy("silence"));
  With(Gate(3, 50'000, 15, absl::Hours(6)));
  EXPECT_TRUE(HaltedBy("silence"));
}

class MissedCheckInsTest : public SilenceGateTest, public testing::WithParamInterface<int> {};

TEST_P(MissedCheckInsTest, MakeSilence) {
  Prove();
  With(Gate(GetParam(), 50'000, 20, absl::Hours(1)));
  fleet.RunFor(absl::Minutes(20));
  GoAway(0, 20);
  fleet.RunFor(absl::Minutes(GetParam() - 1));
  EXPECT_EQ(Bad(GateKind::kSilence), 0);
  EXPECT_FALSE(HaltedBy("silence"));
  fleet.RunFor(absl::Minutes(3));
  EXPECT_EQ(Bad(GateKind::kSilence), 20);
  EXPECT_TRUE(HaltedBy("silence"));
}
INSTANTIATE_TEST_SUITE_P(FewAndMany, MissedCheckInsTest, testing::Values(3, 9));

class OnBreachTest : public GateKnobTest, public testing::WithParamInterface<OnBreach> {};

TEST_P(OnBreachTest, DoesThatAndNoMore) {
  Prove();
  SloGates gates;
  gates.crash = RateGate{Ppm(10'000), 3, absl::Hours(6)};
  gates.on_breach = GetParam();
  With(gates);
  Report(app::EventKind::kCrash, 0, 3);
  ASSERT_TRUE(fleet.Decided(GetParam() == OnBreach::kHold ? "hold" : "halt", "gate_crash"));
  bool held = false, halted = false, reverting = false;
  for (const auto& [scope, brake] : fleet.watch().brakes()) {
    held = held || brake.held;
    halted = halted || brake.halted;
    reverting = reverting || brake.reverting;
  }
  EXPECT_EQ(held, GetParam() == OnBreach::kHold);
  EXPECT_EQ(halted, GetParam() != OnBreach::kHold);
  EXPECT_EQ(reverting, GetParam() == OnBreach::kHaltAndRevert);
  fleet.RunFor(absl::Minutes(20));
  EXPECT_EQ(fleet.Running(release.digest), GetParam() == OnBreach::kHaltAndRevert ? 0 : kHosts);
}
INSTANTIATE_TEST_SUITE_P(Each, OnBreachTest,
                         testing::Values(OnBreach::kHold, OnBreach::kHalt, OnBreach::kHaltAndRevert));

}  // namespace
}  // namespace ringfence::test
