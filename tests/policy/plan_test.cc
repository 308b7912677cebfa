#include "ringfence/policy/plan.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(RingTest, AHostBelongsToTheFirstRingThatMatches) {
  Plan plan = MakePlan({MakeRing("canary"), MakeRing("rest")});
  plan.rings[0].selector = Having("site", {"lab", "qa"});
  plan.rings[1].selector = Selector{};
  EXPECT_EQ(RingOf(plan, MakeLabels({{"site", "qa"}})), 0);
  EXPECT_EQ(RingOf(plan, MakeLabels({{"site", "paris"}, {"site", "lab"}})), 0);
  EXPECT_EQ(RingOf(plan, MakeLabels({{"site", "paris"}})), 1);
  EXPECT_EQ(RingOf(plan, Labels()), 1);
}

TEST(RingTest, AHostThatMatchesNoneHasNone) {
  EXPECT_EQ(RingOf(MakePlan({MakeRing("canary")}), MakeLabels({{"ring", "canaries"}})), std::nullopt);
  EXPECT_EQ(RingOf(Plan{}, Labels()), std::nullopt);
}

TEST(ChannelRuleTest, IsFoundByItsNameOrNotAtAll) {
  const Plan plan = MakePlan({});
  ASSERT_NE(FindRule(plan, "content"), nullptr);
  EXPECT_EQ(FindRule(plan, "content")->channel, "content");
  EXPECT_EQ(FindRule(plan, "sensor"), nullptr);
}

TEST(LagTest, IsTheLargerOfRingAndRuleAndNoneWithAPin) {
  EXPECT_EQ(EffectiveLag(MakeRing("r", 1), MakeRule("content", 0)), 1);
  EXPECT_EQ(EffectiveLag(MakeRing("r", 1), MakeRule("content", 2)), 2);
  EXPECT_EQ(EffectiveLag(MakeRing("r", 0), MakeRule("content", 0)), 0);
  EXPECT_EQ(EffectiveLag(MakeRing("r", 2), ChannelRule{"content", ChannelMode::kPinned, 1, "7.1"}), 0);
}

TEST(SoakTest, IsShortenedByUrgencyOnlyWhereTheTenantSaidSo) {
  Plan plan = MakePlan({MakeRing("r")});
  plan.rings[0].soak = absl::Hours(2);
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], /*urgent=*/true), absl::Hours(2));
  plan.urgent_soak_factor = Ppm(250'000);
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], /*urgent=*/true), absl::Minutes(30));
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], /*urgent=*/false), absl::Hours(2));
}

TEST(SoakTest, IsNeverBelowTheFloor) {
  Plan plan = MakePlan({MakeRing("r")});
  plan.rings[0].soak = absl::ZeroDuration();
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], false), kSoakFloor);
  plan.rings[0].soak = absl::Minutes(10);
  plan.urgent_soak_factor = Ppm(1);
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], true), kSoakFloor);
}

TEST(WaveCapTest, IsTheShareOfTheMembersRoundedUp) {
  const Ring ring = MakeRing("r");  // 10 %, 50 %, all
  EXPECT_EQ(WaveCap(ring, 0, 100), 10);
  EXPECT_EQ(WaveCap(ring, 0, 101), 11);
  EXPECT_EQ(WaveCap(ring, 0, 1), 1);
  EXPECT_EQ(WaveCap(ring, 0, 0), 0);
  EXPECT_EQ(WaveCap(ring, 1, 101), 51);
  EXPECT_EQ(WaveCap(ring, 2, 101), 101);
}

TEST(WaveCapTest, IsCappedByTheCount) {
  Ring ring = MakeRing("r");
  ring.waves[1].max_hosts = 30;
  EXPECT_EQ(WaveCap(ring, 0, 1000), 100);
  EXPECT_EQ(WaveCap(ring, 1, 1000), 30);
  EXPECT_EQ(WaveCap(ring, 1, 10), 5);
}

TEST(WaveCapTest, IsDefinedForAnyNumberOfMembers) {
  const Ring ring = MakeRing("r");
  EXPECT_EQ(WaveCap(ring, 2, -1), 0);
  EXPECT_GT(WaveCap(ring, 2, std::numeric_limits<int64_t>::max()), 9'000'000'000'000);
}

// What Warnings says of a plan that is sound but for one change.
std::vector<std::string> WarningsAfter(const std::function<void(Plan&)>& change) {
  Plan plan = MakePlan({MakeRing("canary"), MakeRing("lagging", 1), MakeRing("rest")});
  plan.rings[2].selector = Selector{};
  plan.gates = AllGates();
  change(plan);
  EXPECT_THAT(Validate(plan), IsEmpty());
  return Warnings(plan);
}

TEST(WarningsTest, ASoundPlanHasNone) {
  EXPECT_THAT(WarningsAfter([](Plan&) {}), IsEmpty());
}

TEST(WarningsTest, NameWhatIsLegalButHardlyMeant) {
  const auto expect = [](const std::function<void(Plan&)>& change, const std::string& part) {
    EXPECT_THAT(WarningsAfter(change), Contains(HasSubstr(part)));
  };
  expect([](Plan& p) { p.rings.pop_back(); }, "No ring takes every host");
  expect([](Plan& p) { p.rings[0].selector = Selector{}; }, "no host ever reaches ring lagging");
  expect(
      [](Plan& p) {
        for (Ring& ring : p.rings) ring.lag = 1;
      },
      "Every ring lags and none leads");
  expect([](Plan& p) { std::swap(p.rings[0], p.rings[1]); },
         "Ring lagging lags by 1 before any ring that leads it");
  expect([](Plan& p) { p.channels[0].lag = 2; }, "Channel content lags by 2 in every ring");
  expect(
      [](Plan& p) {
        p.channels[0] = {"content", ChannelMode::kPaused, 1, ""};
      },
      "means nothing while it is pinned or paused");
  expect(
      [](Plan& p) {
        p.rings[2].waves = {{Ppm(1'000'000), {}}};
      },
      "Ring rest has one wave of all its hosts");
  expect(
      [](Plan& p) {
        for (Ring& ring : p.rings) ring.waves = {{Ppm(1'000'000), {}}};
      },
      "and rest have one wave of all their hosts");
  expect([](Plan& p) { p.rings[0].approval = Approval::kExplicit; },
         "waits for an approval in channel content, and so do the rings after it that ask nobody");
  expect([](Plan& p) { p.rings[2].waves.back().max_hosts = 9; },
         "lets in at most 9 hosts: when these are proven the ring passes, and its other hosts are let in");
  expect([](Plan& p) { p.rings[2].soak = absl::Seconds(1); }, "it is 5m, the least there is");
  expect([](Plan& p) { p.gates = SloGates{}; }, "There is no SLO gate");
  expect([](Plan& p) { p.gates = SloGates{}, p.gates.cohort_keys = {"os"}; }, "cohort keys but no SLO gate");
  expect([](Plan& p) { p.gates.silence.reset(); }, "no silence gate");
  expect(
      [](Plan& p) {
        p.uncovered_cohorts = UncoveredCohorts::kHold;
        p.gates.cohort_keys.clear();
      },
      "names no label: no ring is ever held");
  expect([](Plan& p) { p.rings[0].hasten_to = absl::Hours(24 * 30); }, "and asks for no more than that");
}

TEST(WarningsTest, NameAPlanWhoseTimeIsOverOrSoonIs) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Plan plan = MakePlan({MakeRing("all")});
  const auto about = [&](const char* what) { return Contains(HasSubstr(what)); };
  EXPECT_THAT(Warnings(plan, now), Not(about("valid until")));
  plan.valid_until = now;
  EXPECT_THAT(Warnings(plan, now), about("was valid until 2023-11-14 22:13 UTC: by it nobody is let in"));
  plan.valid_until = now + absl::Hours(24);
  EXPECT_THAT(Warnings(plan, now), about("without a newer one nobody is let in from then on"));
  plan.valid_until = now + absl::Hours(24 * 90);
  EXPECT_THAT(Warnings(plan, now), Not(about("valid until")));
}

TEST(WarningsTest, NameARingThatWaitsForTwoLeadersThatSkipDifferentReleases) {
  EXPECT_THAT(WarningsAfter([](Plan& p) {
                p.rings.insert(p.rings.begin() + 2, MakeRing("n"));
                p.rings[3].lag = 1;
              }),
              Contains(HasSubstr("Ring rest takes only releases that both ring lagging and a later ring")));
}

// The N ring after the N-1 ring, and the other way round, are both plans that an admin writes.
TEST(WarningsTest, BothUsualOrdersOfLagAreSound) {
  for (const bool lag_first : {true, false}) {
    EXPECT_THAT(WarningsAfter([&](Plan& p) {
                  p.rings[1].lag = lag_first ? 1 : 0;
                  p.rings[2].lag = lag_first ? 0 : 1;
                }),
                Not(Contains(AllOf(HasSubstr("lags")))));
  }
}

}  // namespace
}  // namespace ringfence::policy
