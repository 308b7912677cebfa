#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/plan.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Plan Legal() {
  Plan plan = MakePlan({MakeRing("canary"), MakeRing("broad", 1)});
  plan.channels.push_back(PinTo("sensor", "7.11"));
  plan.gates = AllGates();
  plan.urgent_soak_factor = Ppm(250'000);
  return plan;
}

std::vector<std::string> PathsOf(const Plan& plan) {
  std::vector<std::string> paths;
  for (const Fault& fault : Validate(plan)) paths.push_back(fault.path);
  return paths;
}

// The paths of the faults that a change of the legal plan brings.
std::vector<std::string> After(const std::function<void(Plan&)>& spoil) {
  Plan plan = Legal();
  spoil(plan);
  return PathsOf(plan);
}

TEST(PlanValidationTest, ALegalPlanHasNoFault) {
  EXPECT_THAT(PathsOf(Legal()), IsEmpty());
}

TEST(PlanValidationTest, TheBoundsThemselvesAreLegal) {
  EXPECT_THAT(After([](Plan& p) {
                p.rings[0].soak = absl::ZeroDuration();
                p.rings[0].min_age = absl::Hours(24 * 365);
                p.rings[0].lag = 2;
                p.rings[0].hosts_per_minute = 1;
                p.rings[0].waves = {{Ppm(1), 1}, {Ppm(2), 1}, {Ppm(1'000'000), std::nullopt}};
                p.channels[1].pinned_version = std::string(128, '7');
                p.gates.crash = RateGate{Ppm(0), 1, absl::Minutes(1)};
                p.gates.degraded = RateGate{Ppm(1'000'000), 1, absl::Hours(24 * 30)};
                p.gates.silence = SilenceGate{2, Ppm(0), 1, absl::Minutes(1)};
                p.gates.cohort_keys = {std::string(64, 'k')};
                p.urgent_soak_factor = Ppm(1);
                p.hold_revert_after = absl::Minutes(1);
              }),
              IsEmpty());
  EXPECT_THAT(After([](Plan& p) {
                p.urgent_soak_factor = Ppm(1'000'000);
                p.hold_revert_after = absl::Hours(24 * 7);
                p.gates.silence->missed_checkins = 100;
              }),
              IsEmpty());
}

TEST(PlanValidationTest, TheTenantIsASlug) {
  for (const std::string bad : {"", "Acme", "a_b", "acme ", "\xff"}) {
    EXPECT_THAT(After([&](Plan& p) { p.tenant = bad; }), ElementsAre("tenant"));
  }
  EXPECT_THAT(After([](Plan& p) { p.tenant = std::string(64, 'a'); }), ElementsAre("tenant"));
}

TEST(PlanValidationTest, ChannelsAreNamedOnceAndThereIsAtLeastOne) {
  EXPECT_THAT(After([](Plan& p) { p.channels.clear(); }), ElementsAre("channels"));
  EXPECT_THAT(After([](Plan& p) { p.channels[0].channel = "Content"; }), ElementsAre("channels[0].channel"));
  EXPECT_THAT(After([](Plan& p) { p.channels[1].channel = "content"; }), ElementsAre("channels[1].channel"));
  EXPECT_THAT(After([](Plan& p) {
                for (size_t i = 0; i < kMaxChannels; ++i)
                  p.channels.push_back(MakeRule("c" + std::to_string(i)));
              }),
              ElementsAre("channels"));
}

TEST(PlanValidationTest, AChannelFollowsIsPinnedOrIsPaused) {
  EXPECT_THAT(After([](Plan& p) { p.channels[0].mode = static_cast<ChannelMode>(0); }),
              ElementsAre("channels[0].mode"));
  EXPECT_THAT(After([](Plan& p) { p.channels[0].mode = static_cast<ChannelMode>(200); }),
              ElementsAre("channels[0].mode"));
  EXPECT_THAT(After([](Plan& p) { p.channels[0].lag = -1; }), ElementsAre("channels[0].lag"));
  EXPECT_THAT(After([](Plan& p) { p.channels[0].lag = 3; }), ElementsAre("channels[0].lag"));
}

TEST(PlanValidationTest, APinnedVersionComesWithAPinAndOnlyThen) {
  EXPECT_THAT(After([](Plan& p) { p.channels[0].pinned_version = "7.11"; }),
              ElementsAre("channels[0].pinned_version"));
  EXPECT_THAT(After([](Plan& p) { p.channels[1].pinned_version = ""; }),
              ElementsAre("channels[1].pinned_version"));
  EXPECT_THAT(After([](Plan& p) { p.channels[1].pinned_version = std::string(129, '7'); }),
              ElementsAre("channels[1].pinned_version"));
  EXPECT_THAT(After([](Plan& p) { p.channels[1].pinned_version = "7\xc3"; }),
              ElementsAre("channels[1].pinned_version"));
}

TEST(PlanValidationTest, RingsAreNamedOnceAndThereIsAtLeastOne) {
  EXPECT_THAT(After([](Plan& p) { p.rings.clear(); }), ElementsAre("rings"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].name = "canary"; }), ElementsAre("rings[1].name"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].name = "N-1"; }), ElementsAre("rings[1].name"));
  EXPECT_THAT(After([](Plan& p) {
                for (size_t i = 0; i < kMaxRings; ++i) p.rings.push_back(MakeRing("r" + std::to_string(i)));
              }),
              ElementsAre("rings"));
}

TEST(PlanValidationTest, ARingHasALegalSelectorLagSoakAgeAndRate) {
  EXPECT_THAT(After([](Plan& p) { p.rings[1].selector = Having("os", {}); }),
              ElementsAre("rings[1].selector.all_of[0].any_of"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].lag = -1; }), ElementsAre("rings[1].lag"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].lag = 3; }), ElementsAre("rings[1].lag"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].soak = -absl::Seconds(1); }), ElementsAre("rings[1].soak"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].soak = absl::InfiniteDuration(); }),
              ElementsAre("rings[1].soak"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].min_age = -absl::InfiniteDuration(); }),
              ElementsAre("rings[1].min_age"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].min_age = absl::Hours(24 * 365) + absl::Nanoseconds(1); }),
              ElementsAre("rings[1].min_age"));
  EXPECT_THAT(After([](Plan& p) { p.rings[1].hosts_per_minute = 0; }),
              ElementsAre("rings[1].hosts_per_minute"));
}

TEST(PlanValidationTest, WavesRiseStrictlyToTheWholeRing) {
  const auto with = [](std::vector<Wave> waves) { return After([&](Plan& p) { p.rings[0].waves = waves; }); };
  EXPECT_THAT(with({}), ElementsAre("rings[0].waves"));
  EXPECT_THAT(with({{Ppm(0), {}}, {Ppm(1'000'000), {}}}), ElementsAre("rings[0].waves[0].share"));
  EXPECT_THAT(with({{Ppm(-5), {}}, {Ppm(1'000'000), {}}}), ElementsAre("rings[0].waves[0].share"));
  EXPECT_THAT(with({{Ppm(1'000'001), {}}}), ElementsAre("rings[0].waves[0].share"));
  EXPECT_THAT(with({{Ppm(500'000), {}}}), ElementsAre("rings[0].waves[0].share"));
  EXPECT_THAT(with({{Ppm(500'000), {}}, {Ppm(500'000), {}}, {Ppm(1'000'000), {}}}),
              ElementsAre("rings[0].waves[1].share"));
  EXPECT_THAT(with({{Ppm(1'000'000), {}}, {Ppm(1'000'000), {}}}), ElementsAre("rings[0].waves[1].share"));
  std::vector<Wave> seventeen;
  for (int i = 1; i <= 17; ++i) seventeen.push_back({Ppm(i == 17 ? 1'000'000 : i), {}});
  EXPECT_THAT(with(seventeen), ElementsAre("rings[0].waves"));
}

TEST(PlanValidationTest, AWavesCapIsPositiveAndDoesNotFall) {
  const auto with = [](std::vector<Wave> waves) { return After([&](Plan& p) { p.rings[0].waves = waves; }); };
  EXPECT_THAT(with({{Ppm(1), 0}, {Ppm(1'000'000), 5}}), ElementsAre("rings[0].waves[0].max_hosts"));
  EXPECT_THAT(with({{Ppm(1), 6}, {Ppm(2), {}}, {Ppm(1'000'000), 5}}),
              ElementsAre("rings[0].waves[2].max_hosts"));
}

TEST(PlanValidationTest, GatesAreWithinTheirBounds) {
  EXPECT_THAT(After([](Plan& p) { p.gates.crash->max_rate = Ppm(-1); }), ElementsAre("gates.crash.max_rate"));
  EXPECT_THAT(After([](Plan& p) { p.gates.crash->max_rate = Ppm(1'000'001); }),
              ElementsAre("gates.crash.max_rate"));
  EXPECT_THAT(After([](Plan& p) { p.gates.crash->min_count = 0; }), ElementsAre("gates.crash.min_count"));
  EXPECT_THAT(After([](Plan& p) { p.gates.degraded->window = absl::Seconds(59); }),
              ElementsAre("gates.degraded.window"));
  EXPECT_THAT(After([](Plan& p) { p.gates.degraded->window = absl::InfiniteDuration(); }),
              ElementsAre("gates.degraded.window"));
  EXPECT_THAT(After([](Plan& p) { p.gates.silence->missed_checkins = 1; }),
              ElementsAre("gates.silence.missed_checkins"));
  EXPECT_THAT(After([](Plan& p) { p.gates.silence->missed_checkins = 101; }),
              ElementsAre("gates.silence.missed_checkins"));
  EXPECT_THAT(After([](Plan& p) { p.gates.silence->max_excess = Ppm(-1); }),
              ElementsAre("gates.silence.max_excess"));
  EXPECT_THAT(After([](Plan& p) { p.gates.silence->min_count = 0; }), ElementsAre("gates.silence.min_count"));
  EXPECT_THAT(After([](Plan& p) { p.gates.silence->window = absl::Hours(24 * 30 + 1); }),
              ElementsAre("gates.silence.window"));
  EXPECT_THAT(After([](Plan& p) { p.gates.on_breach = static_cast<OnBreach>(0); }),
              ElementsAre("gates.on_breach"));
}

TEST(PlanValidationTest, CohortKeysAreUniqueLabelKeys) {
  EXPECT_THAT(After([](Plan& p) { p.gates.cohort_keys = {"os", ""}; }), ElementsAre("gates.cohort_keys[1]"));
  EXPECT_THAT(After([](Plan& p) { p.gates.cohort_keys = {std::string(65, 'k')}; }),
              ElementsAre("gates.cohort_keys[0]"));
  EXPECT_THAT(After([](Plan& p) { p.gates.cohort_keys = {"o\ns"}; }), ElementsAre("gates.cohort_keys[0]"));
  EXPECT_THAT(After([](Plan& p) {
                p.gates.cohort_keys = {"os", "kernel", "os"};
              }),
              ElementsAre("gates.cohort_keys[2]"));
  EXPECT_THAT(After([](Plan& p) {
                p.gates.cohort_keys.clear();
                for (int i = 0; i < 17; ++i) p.gates.cohort_keys.push_back("k" + std::to_string(i));
              }),
              ElementsAre("gates.cohort_keys"));
}

TEST(PlanValidationTest, UrgencyOnlyShortensAndAHoldIsUndecidedForAMinuteToAWeek) {
  EXPECT_THAT(After([](Plan& p) { p.urgent_soak_factor = Ppm(0); }), ElementsAre("urgent_soak_factor"));
  EXPECT_THAT(After([](Plan& p) { p.uncovered_cohorts = static_cast<UncoveredCohorts>(3); }),
              ElementsAre("uncovered_cohorts"));
  EXPECT_THAT(After([](Plan& p) { p.urgent_soak_factor = Ppm(1'000'001); }),
              ElementsAre("urgent_soak_factor"));
  EXPECT_THAT(After([](Plan& p) { p.hold_revert_after = absl::Seconds(59); }),
              ElementsAre("hold_revert_after"));
  EXPECT_THAT(After([](Plan& p) { p.hold_revert_after = absl::InfiniteDuration(); }),
              ElementsAre("hold_revert_after"));
}

TEST(PlanValidationTest, AChannelMayAskAndNamesItsApproversOnlyThen) {
  const auto ask = [](Plan& p) { p.channels[0].approval = Approval::kExplicit; };
  EXPECT_THAT(After([&](Plan& p) {
                ask(p);
                p.channels[0].approvers = {"ann"};
                p.rings[0].approvers = {"ben"};
              }),
              ElementsAre());
  EXPECT_THAT(After([](Plan& p) { p.channels[0].approvers = {"ann"}; }),
              ElementsAre("channels[0].approvers"));
  EXPECT_THAT(After([&](Plan& p) {
                ask(p);
                p.channels[0].approvers = {"ann", "ann"};
              }),
              ElementsAre("channels[0].approvers[1]"));
  EXPECT_THAT(After([](Plan& p) { p.channels[0].approval = static_cast<Approval>(3); }),
              ElementsAre("channels[0].approval"));
  EXPECT_THAT(After([](Plan& p) { p.channels[0].min_age = absl::Hours(24 * 366); }),
              ElementsAre("channels[0].min_age"));
}

TEST(PlanValidationTest, HasteAndTheEndOfThePlanAreTimesThatThereAre) {
  EXPECT_THAT(After([](Plan& p) {
                p.rings[0].hasten_to = absl::Hours(1);
                p.rings[0].approvers = {"ann"};
                p.valid_until = absl::FromUnixSeconds(0);
              }),
              ElementsAre());
  EXPECT_THAT(After([](Plan& p) { p.rings[0].hasten_to = -absl::Seconds(1); }),
              ElementsAre("rings[0].hasten_to"));
  EXPECT_THAT(After([](Plan& p) { p.rings[0].hasten_to = absl::InfiniteDuration(); }),
              ElementsAre("rings[0].hasten_to"));
  for (const absl::Time none : {absl::InfinitePast(), absl::InfiniteFuture()})
    EXPECT_THAT(After([&](Plan& p) { p.valid_until = none; }), ElementsAre("valid_until"));
}

TEST(PlanValidationTest, SeveralFaultsComeAtOnceAndReadWell) {
  Plan plan = Legal();
  plan.rings[1].soak = -absl::Seconds(1);
  plan.rings[0].waves[1].share = Ppm(1'200'000);
  plan.tenant = "Acme";
  const absl::Status status = ToStatus(Validate(plan));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      status.message(),
      "tenant: found \"Acme\", wanted 1 to 63 of a-z, 0-9 and -\n"
      "rings[0].waves[1].share: found 1200000 ppm, wanted above 0 and at most 1000000 ppm (the whole ring)\n"
      "rings[0].waves[2].share: found 1000000 ppm, wanted more than the wave before, 1200000 ppm\n"
      "rings[1].soak: found -1s, wanted 0 to 8760h");
  EXPECT_TRUE(ToStatus({}).ok());
}

TEST(PlanValidationTest, TheEmptyPlanNamesAllThatIsMissing) {
  EXPECT_THAT(PathsOf(Plan{}), ElementsAre("tenant", "channels", "rings"));
}

TEST(PlanValidationTest, AMonstrousPlanGivesAReadableAnswer) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  Plan plan;
  plan.rings.resize(100'000);
  plan.channels.resize(100'000);
  plan.gates.cohort_keys.resize(100'000);
  for (Ring& ring : plan.rings) ring.soak = -absl::InfiniteDuration();
  plan.rings[0].waves.assign(100'000, {Ppm(kHuge), -kHuge});
  plan.hold_revert_after = -absl::InfiniteDuration();
  const std::vector<Fault> faults = Validate(plan);
  EXPECT_THAT(faults, SizeIs(testing::Lt(500)));
  EXPECT_THAT(ToString(faults.back()), HasSubstr("hold_revert_after: found -inf"));
}

}  // namespace
}  // namespace ringfence::policy
