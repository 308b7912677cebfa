#include "ringfence/policy/host_eligibility.h"

#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/policy/builders.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

using ::testing::ElementsAreArray;

Plan ThePlan() {
  return MakePlan({MakeRing("canary"), MakeRing("broad", 1)});
}
Labels TheHost() {
  return MakeLabels({{"ring", "broad"}, {"platform", "windows"}, {"os", "win11"}});
}

TEST(LastingReasonTest, AHostOfThePlanThatIsTargetedAndCoveredHasNone) {
  EXPECT_EQ(LastingReason(ThePlan(), TheHost(), MakeRelease()), Reason::kNone);
}

TEST(LastingReasonTest, NamesWhatStandsInTheWay) {
  const auto after = [](const std::function<void(Plan&, Release&)>& change) {
    Plan plan = ThePlan();
    Release release = MakeRelease();
    change(plan, release);
    return LastingReason(plan, TheHost(), release);
  };
  EXPECT_EQ(after([](Plan& p, Release&) { p.rings.pop_back(); }), Reason::kNoRing);
  EXPECT_EQ(after([](Plan&, Release& r) { r.channel = "sensor"; }), Reason::kChannelNotInPlan);
  EXPECT_EQ(after([](Plan& p, Release&) { p.channels[0].mode = ChannelMode::kPaused; }),
            Reason::kChannelPaused);
  EXPECT_EQ(after([](Plan& p, Release&) {
              p.channels[0] = {"content", ChannelMode::kPinned, 0, "7.6"};
            }),
            Reason::kPinned);
  EXPECT_EQ(after([](Plan& p, Release&) {
              p.channels[0] = {"content", ChannelMode::kPinned, 0, "7.7"};
            }),
            Reason::kNone);
  EXPECT_EQ(after([](Plan&, Release& r) { r.targets = Having("platform", {"linux"}); }),
            Reason::kNotTargeted);
  EXPECT_EQ(after([](Plan&, Release& r) { r.matrix.pop_back(); }), Reason::kNotQualified);
}

TEST(EligibilityTest, WithoutALastingReasonAndWithEveryGateOpenTheHostIsEligible) {
  const Eligibility answer = Evaluate(ThePlan(), TheHost(), MakeRelease(), Moment{});
  EXPECT_TRUE(answer.eligible());
  EXPECT_EQ(answer.next, absl::InfiniteFuture());
  for (const GateAnswer& gate : answer.gates) {
    EXPECT_TRUE(gate.open) << Name(gate.gate);
    EXPECT_FALSE(gate.detail.empty()) << Name(gate.gate);
  }
}

TEST(EligibilityTest, AllGatesAreListedInTheirOrder) {
  std::vector<Reason> order;
  for (const GateAnswer& gate : Evaluate(ThePlan(), TheHost(), MakeRelease(), Moment{}).gates)
    order.push_back(gate.gate);
  EXPECT_THAT(order, ElementsAreArray({Reason::kNoRing,         Reason::kChannelNotInPlan,
                                       Reason::kChannelPaused,  Reason::kPinned,
                                       Reason::kVersionRange,   Reason::kDenied,
                                       Reason::kNotTargeted,    Reason::kNotQualified,
                                       Reason::kQuarantined,    Reason::kReverting,
                                       Reason::kRecalled,       Reason::kHalted,
                                       Reason::kHeld,           Reason::kVendorPaused,
                                       Reason::kTenantPaused,   Reason::kInternalNotPassed,
                                       Reason::kFinishingOther, Reason::kBarrier,
                                       Reason::kPlanExpired,    Reason::kApproval,
                                       Reason::kFrozen,         Reason::kBlackout,
                                       Reason::kWindow,         Reason::kStageWaiting,
                                       Reason::kBlind,          Reason::kAlreadyRunning}));
}

// Everything is closed; the gates are opened one after the other, and the first that is left is the reason.
TEST(EligibilityTest, TheReasonIsTheFirstClosedGate) {
  Plan plan = MakePlan({MakeRing("elsewhere")});
  plan.channels[0] = {"sensor", ChannelMode::kFollow, 0, ""};
  Release release = MakeRelease();
  release.targets = Having("platform", {"linux"});
  release.matrix = {Having("os", {"win10"})};
  Moment moment;
  moment.already_running = moment.quarantined = moment.reverting = moment.tenant_paused =
      moment.vendor_paused = true;
  moment.held = moment.halted = moment.recalled = moment.blind = true;
  moment.internal_passed = moment.ring_chose_it = false;
  moment.choice_reason = Reason::kMinAge;
  moment.stage = StageState::kWaiting;

  const std::vector<std::pair<Reason, std::function<void()>>> openings = {
      {Reason::kNoRing, [&] { plan.rings[0].selector = Selector{}; }},
      {Reason::kChannelNotInPlan,
       [&] {
         plan.channels[0] = {"content", ChannelMode::kPaused, 0, ""};
       }},
      {Reason::kChannelPaused,
       [&] {
         plan.channels[0] = {"content", ChannelMode::kPinned, 0, "7.6"};
       }},
      {Reason::kPinned, [&] { plan.channels[0].pinned_version = "7.7"; }},
      {Reason::kNotTargeted, [&] { release.targets = Selector{}; }},
      {Reason::kNotQualified, [&] { release.matrix = {Having("os", {"win11"})}; }},
      {Reason::kQuarantined, [&] { moment.quarantined = false; }},
      {Reason::kReverting, [&] { moment.reverting = false; }},
      {Reason::kRecalled, [&] { moment.recalled = false; }},
      {Reason::kHalted, [&] { moment.halted = false; }},
      {Reason::kHeld, [&] { moment.held = false; }},
      {Reason::kVendorPaused, [&] { moment.vendor_paused = false; }},
      {Reason::kTenantPaused, [&] { moment.tenant_paused = false; }},
      {Reason::kInternalNotPassed, [&] { moment.internal_passed = true; }},
      {Reason::kMinAge, [&] { moment.ring_chose_it = true; }},
      {Reason::kStageWaiting, [&] { moment.stage = StageState::kOpen; }},
      {Reason::kBlind, [&] { moment.blind = false; }},
      {Reason::kAlreadyRunning, [&] { moment.already_running = false; }},
  };
  for (const auto& [reason, open] : openings) {
    const Eligibility answer = Evaluate(plan, TheHost(), release, moment);
    EXPECT_STREQ(Name(answer.reason), Name(reason));
    open();
  }
  EXPECT_TRUE(Evaluate(plan, TheHost(), release, moment).eligible());
}

TEST(EligibilityTest, EveryClosedGateSaysWhoOrWhatOpensIt) {
  Moment moment;
  moment.already_running = moment.quarantined = moment.reverting = moment.tenant_paused =
      moment.vendor_paused = true;
  moment.held = moment.halted = moment.recalled = moment.blind = true;
  moment.internal_passed = moment.ring_chose_it = false;
  moment.stage = StageState::kWaiting;
  for (const GateAnswer& gate : Evaluate(Plan{}, Labels(), Release{}, moment).gates) {
    EXPECT_FALSE(gate.opens_by.empty()) << Name(gate.gate);
    if (gate.gate == Reason::kHalted) {
      EXPECT_EQ(gate.opens_by, "two persons of the vendor");
    }
    if (gate.gate == Reason::kTenantPaused) {
      EXPECT_EQ(gate.opens_by, "the tenant");
    }
    if (gate.gate == Reason::kInternalNotPassed) {
      EXPECT_EQ(gate.opens_by, "proof");
    }
    if (gate.gate == Reason::kStageWaiting) {
      EXPECT_EQ(gate.opens_by, "time");
    }
  }
}

TEST(EligibilityTest, SaysWhenAChoiceThatWaitsForAgeIsLookedAtAgain) {
  Moment moment;
  moment.ring_chose_it = false;
  moment.choice_reason = Reason::kMinAge;
  moment.revisit_at = absl::FromUnixSeconds(1'721'400'000);
  const Eligibility answer = Evaluate(ThePlan(), TheHost(), MakeRelease(), moment);
  EXPECT_EQ(answer.reason, Reason::kMinAge);
  EXPECT_EQ(answer.next, moment.revisit_at);
  // A halt is not opened by time, whatever the choice says.
  moment.halted = true;
  EXPECT_EQ(Evaluate(ThePlan(), TheHost(), MakeRelease(), moment).next, absl::InfiniteFuture());
}

TEST(EligibilityTest, AStageLetsInOnlyWhenItGivesLeases) {
  const auto reason_in = [](StageState state, bool vendor_paused = false) {
    Moment moment;
    moment.stage = state;
    moment.vendor_paused = vendor_paused;
    return Evaluate(ThePlan(), TheHost(), MakeRelease(), moment).reason;
  };
  for (int s = 0; s < 256; ++s) {
    const auto state = static_cast<StageState>(s);
    EXPECT_EQ(reason_in(state) == Reason::kNone, GivesLeases(state)) << s;
  }
  EXPECT_EQ(reason_in(StageState::kWaiting), Reason::kStageWaiting);
  EXPECT_EQ(reason_in(StageState::kPaused), Reason::kTenantPaused);
  EXPECT_EQ(reason_in(StageState::kPaused, true), Reason::kVendorPaused);
  EXPECT_EQ(reason_in(StageState::kHeld), Reason::kHeld);
  EXPECT_EQ(reason_in(StageState::kHalted), Reason::kHalted);
  EXPECT_EQ(reason_in(StageState::kSuperseded), Reason::kFinishingOther);
  EXPECT_EQ(reason_in(StageState::kRecalled), Reason::kRecalled);
}

// The part that may be remembered and the whole never disagree.
TEST(EligibilityTest, TheLastingReasonIsTheFirstClosedGateOfTheLastingOnes) {
  std::mt19937_64 random(test::Seed(20240719));
  for (int i = 0; i < 5'000; ++i) {
    Plan plan = ThePlan();
    Release release = MakeRelease();
    if (Chance(random, 0.2)) plan.rings.pop_back();
    if (Chance(random, 0.2)) plan.channels[0].channel = "sensor";
    plan.channels[0].mode = static_cast<ChannelMode>(Pick(random, 1, 3));
    plan.channels[0].pinned_version = absl::StrCat("7.", Pick(random, 6, 7));
    if (Chance(random, 0.2)) release.targets = Having("platform", {"linux"});
    if (Chance(random, 0.2)) release.matrix.pop_back();
    ASSERT_EQ(Evaluate(plan, TheHost(), release, Moment{}).reason, LastingReason(plan, TheHost(), release))
        << i;
  }
}

}  // namespace
}  // namespace ringfence::policy
