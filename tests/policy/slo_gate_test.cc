#include "ringfence/policy/slo_gate.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace ringfence::policy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Expected(const SilenceCounts& counts) {
  return ExpectedSilent(counts, counts.all);
}

RateGate MaxRate(int64_t ppm, int64_t min_count) {
  return {.max_rate = Ppm(ppm), .min_count = min_count, .window = absl::Hours(1)};
}

SilenceGate MaxExcess(int64_t ppm, int64_t min_count) {
  return {.missed_checkins = 5, .max_excess = Ppm(ppm), .min_count = min_count, .window = absl::Hours(1)};
}

TEST(RateGateTest, IsBreachedByTheFirstHostOverTheLimitAndNotByTheLimitItself) {
  // 1 % of 300 hosts is exactly three.
  EXPECT_FALSE(IsBreached(MaxRate(10'000, 1), {.bad = 3, .exposed = 300}));
  EXPECT_TRUE(IsBreached(MaxRate(10'000, 1), {.bad = 4, .exposed = 300}));
  EXPECT_TRUE(IsBreached(MaxRate(10'000, 1), {.bad = 3, .exposed = 299}));
}

TEST(RateGateTest, IsExactAtEveryIntegerBoundary) {
  std::mt19937_64 random(20240719);
  for (int i = 0; i < 10'000; ++i) {
    // exposed is a multiple of 10^6 / gcd, so that limit × exposed is a whole number of hosts.
    const int64_t thousands = std::uniform_int_distribution<int64_t>(1, 999)(random);
    const int64_t exposed = 1000 * std::uniform_int_distribution<int64_t>(1, 1'000'000'000)(random);
    const int64_t at_limit = exposed / 1000 * thousands;
    const RateGate gate = MaxRate(thousands * 1000, 1);
    ASSERT_FALSE(IsBreached(gate, {.bad = at_limit, .exposed = exposed})) << exposed << " " << thousands;
    ASSERT_TRUE(IsBreached(gate, {.bad = at_limit + 1, .exposed = exposed})) << exposed << " " << thousands;
  }
}

TEST(RateGateTest, JudgesFromItsLeastCountOn) {
  EXPECT_FALSE(IsBreached(MaxRate(10'000, 3), {.bad = 2, .exposed = 4}));
  EXPECT_TRUE(IsBreached(MaxRate(10'000, 3), {.bad = 3, .exposed = 4}));
}

TEST(RateGateTest, NeverTripsWithoutExposedHosts) {
  EXPECT_FALSE(IsBreached(MaxRate(0, 0), {.bad = 0, .exposed = 0}));
  EXPECT_FALSE(IsBreached(MaxRate(0, 0), {.bad = 5, .exposed = 0}));
}

TEST(RateGateTest, NeverTripsWithoutABadHost) {
  EXPECT_FALSE(IsBreached(MaxRate(0, 0), {.bad = 0, .exposed = 1000}));
  EXPECT_TRUE(IsBreached(MaxRate(0, 0), {.bad = 1, .exposed = 1000}));
}

TEST(RateGateTest, CountsBeyondAnyFleetDoNotOverflow) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE(IsBreached(MaxRate(1'000'000, 1), {.bad = most, .exposed = most}));
  EXPECT_TRUE(IsBreached(MaxRate(999'999, 1), {.bad = most, .exposed = most}));
}

TEST(SilenceGateTest, ExpectsWhatTheControlsDoPlusOne) {
  EXPECT_DOUBLE_EQ(
      Expected({.all = {.control = 3}, .exposed = 50, .exposed_host_hours = 50, .control_host_hours = 1000}),
      0.2);
  // A control that was never silent is not a perfect one.
  EXPECT_DOUBLE_EQ(
      Expected({.all = {.control = 0}, .exposed = 50, .exposed_host_hours = 50, .control_host_hours = 100}),
      0.5);
}

TEST(SilenceGateTest, WithoutControlTimeItCannotJudge) {
  const SilenceCounts counts{.all = {.exposed = 50}, .exposed = 50, .exposed_host_hours = 50};
  EXPECT_EQ(Expected(counts), kInfinity);
  EXPECT_FALSE(IsBreached(MaxExcess(0, 1), counts));
  EXPECT_EQ(Expected({.all = {.exposed = 5}, .exposed = 5}), kInfinity);
}

TEST(SilenceGateTest, ABrickedCanaryTrips) {
  EXPECT_TRUE(IsBreached(MaxExcess(10'000, 3), {.all = {.exposed = 4, .control = 20},
                                                .exposed = 20,
                                                .exposed_host_hours = 2,
                                                .control_host_hours = 2000}));
}

TEST(SilenceGateTest, SixClosedLaptopLidsOf44AreChance) {
  // Laptops in the evening: a tenth of the controls close their lids in the hour. Six of 44 are over the 1 %
  // limit and far from remarkable.
  const SilenceCounts lids{.all = {.exposed = 6, .control = 190},
                           .exposed = 44,
                           .exposed_host_hours = 40,
                           .control_host_hours = 1900};
  EXPECT_GT((6 - Expected(lids)) / 44, 0.01);
  EXPECT_FALSE(IsBreached(MaxExcess(10'000, 3), lids));
}

TEST(SilenceGateTest, WhatAnOutageExplainsIsNotTheReleasesDoing) {
  // A site goes dark: 20 of its 24 exposed hosts, 140 of its 165 others, in three minutes. Over the hour the
  // exposed were exposed for a few minutes only, so the rate alone foretells five.
  SilenceCounts outage{.all = {.exposed = 20, .control = 140},
                       .exposed = 24,
                       .exposed_host_hours = 5,
                       .control_host_hours = 165};
  EXPECT_TRUE(IsBreached(MaxExcess(50'000, 5), outage));
  outage.all.explained = 20;
  EXPECT_FALSE(IsBreached(MaxExcess(50'000, 5), outage));
  EXPECT_FALSE(IsSuspect(MaxExcess(50'000, 5), outage));
  EXPECT_GT(Expected(outage), 20);
}

TEST(SilenceGateTest, BricksBesideAnOutageStillTrip) {
  EXPECT_TRUE(IsBreached(MaxExcess(50'000, 5), {.all = {.exposed = 30, .control = 140, .explained = 20},
                                                .exposed = 60,
                                                .exposed_host_hours = 5,
                                                .control_host_hours = 1000}));
}

// 24 hosts of a site with the release, 165 without; usually none of them falls silent in these minutes.
BulkSilence Site(int64_t exposed_fell, int64_t control_fell) {
  return {.exposed_fell = exposed_fell,
          .exposed_heard = 24,
          .control_fell = control_fell,
          .control_heard = 165,
          .usual = 0.1};
}

TEST(ExplainedShareTest, ASiteThatGoesDarkExplainsItsExposedHosts) {
  EXPECT_EQ(ExplainedShare(Site(24, 165)), 1);
  EXPECT_EQ(ExplainedShare(Site(3, 20)), 1);  // its first seconds
  EXPECT_EQ(ExplainedShare(Site(12, 70)), 1);
}

TEST(ExplainedShareTest, ABrickExplainsNothing) {
  EXPECT_EQ(ExplainedShare(Site(24, 0)), 0);
  EXPECT_EQ(ExplainedShare(Site(4, 1)), 0);
}

TEST(ExplainedShareTest, ABrickInAnOutageIsExplainedAsFarAsTheControlsGo) {
  EXPECT_NEAR(ExplainedShare(Site(24, 33)), 0.2, 1e-9);  // a fifth of the controls, all of the exposed
}

TEST(ExplainedShareTest, WhatIsUsualIsNoOutage) {
  BulkSilence evening = Site(3, 20);
  evening.usual = 18;  // people go home
  EXPECT_EQ(ExplainedShare(evening), 0);
}

TEST(MayBeOutageTest, TwoOfASiteMayBeTheFirstOfManyAndFourAreNot) {
  EXPECT_TRUE(MayBeOutage(Site(2, 0)));
  EXPECT_FALSE(MayBeOutage(Site(4, 0)));
  EXPECT_FALSE(MayBeOutage(Site(1, 0)));  // alone it trips nothing new
  EXPECT_FALSE(MayBeOutage({.exposed_fell = 2, .exposed_heard = 4, .control_heard = 1000}));
}

TEST(SilenceGateTest, NeedsItsLeastCountAndItsExcess) {
  const SilenceCounts counts{.all = {.exposed = 12, .control = 4},
                             .exposed = 1000,
                             .exposed_host_hours = 500,
                             .control_host_hours = 5000};
  EXPECT_TRUE(IsBreached(MaxExcess(10'000, 12), counts));
  EXPECT_FALSE(IsBreached(MaxExcess(10'000, 13), counts));
  EXPECT_FALSE(IsBreached(MaxExcess(11'500, 12), counts));  // (12 - 0.5) / 1000 is the limit itself
}

TEST(SilenceGateTest, WorseNewsNeverClearsABreach) {
  const uint64_t seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto upto = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(0, most)(random); };
  int breaches = 0;
  for (int i = 0; i < 20'000; ++i) {
    const SilenceGate gate = MaxExcess(upto(50'000), 1 + upto(5));
    SilenceCounts counts;
    counts.exposed = 1 + upto(500);
    counts.all.exposed = upto(std::min<int64_t>(counts.exposed, 30));
    counts.exposed_host_hours = static_cast<double>(upto(2 * counts.exposed));
    counts.all.control = upto(40);
    counts.control_host_hours = static_cast<double>(upto(5000));
    if (!IsBreached(gate, counts)) continue;
    ++breaches;
    SilenceCounts worse = counts;
    worse.all.exposed += upto(10);
    worse.all.control -= upto(worse.all.control);
    worse.control_host_hours += static_cast<double>(upto(1000));
    worse.exposed_host_hours -= static_cast<double>(upto(static_cast<int64_t>(worse.exposed_host_hours)));
    ASSERT_TRUE(IsBreached(gate, worse))
        << "silent " << counts.all.exposed << "->" << worse.all.exposed << " exposed " << counts.exposed;
  }
  EXPECT_GT(breaches, 1000);
}

double Chance(int64_t silent, int64_t control, double exposed_hours, double control_hours) {
  const SilenceCounts counts{.all = {.exposed = silent, .control = control},
                             .exposed = 1000,
                             .exposed_host_hours = exposed_hours,
                             .control_host_hours = control_hours};
  return ChanceOfSoMany(counts, counts.all);
}

// Computed as exact fractions.
TEST(ChanceTest, EqualsKnownBinomialTails) {
  EXPECT_NEAR(Chance(4, 20, 2, 2000) / 1.0415764647625349e-08, 1.0, 1e-9);
  EXPECT_NEAR(Chance(12, 4, 500, 5000) / 4.0853691753435347e-10, 1.0, 1e-9);
  EXPECT_NEAR(Chance(5, 0, 1, 99) / 1e-10, 1.0, 1e-9);
  EXPECT_NEAR(Chance(200, 900, 1000, 6000) / 0.00020229028183015298, 1.0, 1e-9);
  EXPECT_NEAR(Chance(9, 190, 40, 1900) / 0.02327161352255308, 1.0, 1e-9);
}

TEST(ChanceTest, WithFewControlsItAsksForMoreThanTheirRateWouldSay) {
  // One onset in five control hours could be a rate of 0.2 or chance; 30 in 100 exposed hours are no proof
  // yet.
  SilenceCounts counts{.all = {.exposed = 30, .control = 0},
                       .exposed = 40,
                       .exposed_host_hours = 100,
                       .control_host_hours = 10};
  EXPECT_FALSE(IsBreached(MaxExcess(10'000, 3), counts));
  counts.all.control = 100;
  counts.control_host_hours = 5000;
  EXPECT_TRUE(IsBreached(MaxExcess(10'000, 3), counts));
}

// In an hour a tenth of all hosts leaves, most of them politely; five of twenty that vanish are no laptops.
TEST(SilenceGateTest, UnannouncedSilenceTellsABrickAmongManyPoliteDepartures) {
  SilenceCounts counts{.all = {.exposed = 6, .control = 110},
                       .unannounced = {.exposed = 5, .control = 10},
                       .exposed = 20,
                       .exposed_host_hours = 10,
                       .control_host_hours = 1000};
  EXPECT_TRUE(IsBreached(MaxExcess(50'000, 5), counts));
  counts.unannounced = {.exposed = 1, .control = 10};
  EXPECT_FALSE(IsBreached(MaxExcess(50'000, 5), counts));
}

TEST(SilenceGateTest, FewerThanItsLeastCountAreSuspectWhenChanceDoesNotExplainThem) {
  SilenceCounts counts{.all = {.exposed = 3, .control = 30},
                       .unannounced = {.exposed = 3, .control = 10},
                       .exposed = 8,
                       .exposed_host_hours = 1,
                       .control_host_hours = 1000};
  EXPECT_FALSE(IsBreached(MaxExcess(50'000, 5), counts));
  EXPECT_TRUE(IsSuspect(MaxExcess(50'000, 5), counts));
  counts.exposed = 20;  // no longer new: two are not enough
  EXPECT_TRUE(IsSuspect(MaxExcess(50'000, 5), counts));
  counts.unannounced.exposed = counts.all.exposed = 2;
  EXPECT_FALSE(IsSuspect(MaxExcess(50'000, 5), counts));
  counts.exposed = 8;
  EXPECT_TRUE(IsSuspect(MaxExcess(50'000, 5), counts));
  counts.exposed_host_hours = 5;  // in five hours two of eight may well leave
  EXPECT_FALSE(IsSuspect(MaxExcess(50'000, 5), counts));
}

// A fleet of 25,000 hosts in whose last hour two crashed, and the first `bad` of 40 with the release.
CrashCounts Crashed(int64_t bad, double exposed_hours) {
  return {.rate = {.bad = bad, .exposed = 40},
          .control = 2,
          .exposed_host_hours = exposed_hours,
          .control_host_hours = 25'000};
}

TEST(CrashSuspicionTest, OneCrashAmongTheFirstHourOfManyHostsHoldsAndOneAmongTheirDayDoesNot) {
  EXPECT_FALSE(IsBreached(MaxRate(10'000, 3), Crashed(1, 3).rate));
  EXPECT_TRUE(IsSuspect(MaxRate(10'000, 3), Crashed(1, 3), true));  // chance 3 * 3 / 25,000
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), Crashed(1, 5), true));
  EXPECT_TRUE(IsSuspect(MaxRate(10'000, 3), Crashed(2, 100), true));
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), Crashed(0, 0), true));
}

TEST(CrashSuspicionTest, WhatThePlanLetsPassIsNotSuspected) {
  EXPECT_TRUE(IsSuspect(MaxRate(24'999, 3), Crashed(1, 3), true));
  EXPECT_FALSE(IsSuspect(MaxRate(25'000, 3), Crashed(1, 3), true));  // one of 40 is the limit itself
}

TEST(CrashSuspicionTest, LabelValuesShareTheirHalfOfTheChance) {
  CrashCounts counts = Crashed(1, 1);  // chance 1.2e-4
  counts.scopes = 5;
  EXPECT_TRUE(IsSuspect(MaxRate(10'000, 3), counts, false));  // below 5e-4 / 4
  counts.scopes = 6;
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), counts, false));
  EXPECT_TRUE(IsSuspect(MaxRate(10'000, 3), counts, true));
}

TEST(CrashSuspicionTest, AStormOfCrashesAmongControlsIsNoSign) {
  CrashCounts counts = Crashed(2, 20);
  EXPECT_TRUE(IsSuspect(MaxRate(10'000, 3), counts, true));
  counts.control = counts.control_lately = 200;  // all of them in a quarter of an hour
  counts.control_host_hours_lately = 6'250;
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), counts, true));
}

TEST(CrashSuspicionTest, AHostThatWasAwayForLongCountsForAQuarterOfAnHour) {
  CrashCounts counts = Crashed(1, 0);
  EXPECT_NEAR(ExpectedCrashes(counts), 3 * 0.25 / 25'000, 1e-12);
  counts.control_host_hours = 250;
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), counts, true)) << "and not for nothing";
}

TEST(CrashSuspicionTest, WithoutControlsNothingIsSuspected) {
  CrashCounts counts = Crashed(2, 1);
  counts.control = 0;
  counts.control_host_hours = 0;
  EXPECT_EQ(ChanceOfSoMany(counts), 1.0);
  EXPECT_EQ(ExpectedCrashes(counts), kInfinity);
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), counts, true));
}

// Harmless releases in fleets that crash at one rate, looked at each quarter of an hour for a day, with a
// window of an hour: all scopes, windows and looks together hold no more than is said.
TEST(CrashSuspicionTest, HoldsHardlyAnyHarmlessRelease) {
  constexpr int kReleases = 10'000, kCells = 4, kSteps = 96, kWindow = 4;
  std::mt19937_64 random(20240719);
  struct Quarter {
    int64_t bad = 0, control = 0;
    double exposed_hours = 0;
  };
  int held = 0;
  for (int release = 0; release < kReleases; ++release) {
    const double rate =
        std::exp(std::uniform_real_distribution(-12.0, -5.0)(random));  // of a host in an hour
    constexpr double kControlHours = 0.25 * 5'000;
    std::poisson_distribution<int64_t> controls(rate * kControlHours);
    int64_t exposed = 1;
    std::vector<Quarter> quarters[kCells];
    bool suspect = false;
    for (int step = 0; step < kSteps && !suspect; ++step) {
      if (step % 2 == 1 && exposed < 1'000) exposed *= 2;
      CrashCounts all{
          .rate = {.exposed = exposed * kCells}, .scopes = 1 + kCells, .windows = 1 + step / kWindow};
      for (std::vector<Quarter>& cell : quarters) {
        const double hours = 0.25 * static_cast<double>(exposed);
        cell.push_back({std::poisson_distribution<int64_t>(rate * hours)(random), controls(random), hours});
        CrashCounts counts = all;
        counts.rate = {.bad = 0, .exposed = exposed};
        counts.control = 0;
        counts.exposed_host_hours = counts.control_host_hours = 0;
        for (size_t q = cell.size() > kWindow ? cell.size() - kWindow : 0; q < cell.size(); ++q) {
          counts.rate.bad += cell[q].bad;
          counts.control += cell[q].control;
          counts.exposed_host_hours += cell[q].exposed_hours;
          counts.control_host_hours += kControlHours;
        }
        all.rate.bad += counts.rate.bad;
        all.control += counts.control;
        all.exposed_host_hours += counts.exposed_host_hours;
        all.control_host_hours += counts.control_host_hours;
        suspect = suspect || IsSuspect(MaxRate(0, 3), counts, false);
      }
      suspect = suspect || IsSuspect(MaxRate(0, 3), all, true);
    }
    held += suspect ? 1 : 0;
  }
  EXPECT_LE(held, kReleases * 2 * kCrashHoldChance);
  EXPECT_GT(held, 0) << "a rule that never holds would pass as well";
}

TEST(SuspicionTest, EachWindowMayUseLessOfItsLevel) {
  double spent = 0;
  for (int64_t j = 1; j <= 10'000; ++j) spent += SpentIn(j);
  EXPECT_NEAR(spent, 2, 1e-3);
  EXPECT_EQ(SpentIn(0), 1);
  EXPECT_EQ(SpentIn(1), 1);
  EXPECT_EQ(SpentIn(2), 1.0 / 3);
  CrashCounts crashes = Crashed(1, 3);
  crashes.windows = 2;
  EXPECT_FALSE(IsSuspect(MaxRate(10'000, 3), crashes, true));
  SilenceCounts silence{.all = {.exposed = 2, .control = 30},
                        .unannounced = {.exposed = 2, .control = 10},
                        .exposed = 8,
                        .exposed_host_hours = 1,
                        .control_host_hours = 1000};  // chance 6.5e-5
  EXPECT_TRUE(IsSuspect(MaxExcess(50'000, 5), silence));
  silence.windows = 24;
  EXPECT_FALSE(IsSuspect(MaxExcess(50'000, 5), silence)) << "a day later";
  silence.unannounced.exposed = silence.all.exposed = 4;
  EXPECT_TRUE(IsSuspect(MaxExcess(50'000, 5), silence)) << "but four are four";
}

TEST(ChanceTest, IsAlwaysAProbability) {
  for (const int64_t silent : {0, 1, 7, 100'000}) {
    for (const int64_t control : {0, 3, 1'000'000}) {
      for (const double exposed : {0.0, 1e-9, 5.0, 1e9}) {
        for (const double hours : {0.0, 1e-9, 5.0, 1e9}) {
          const double chance = Chance(silent, control, exposed, hours);
          EXPECT_TRUE(chance >= 0.0 && chance <= 1.0)
              << silent << " " << control << " " << exposed << " " << hours;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ringfence::policy
