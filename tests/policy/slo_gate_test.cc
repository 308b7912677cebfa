#include "ringfence/policy/slo_gate.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace ringfence::policy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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
      ExpectedSilent(
          {.exposed = 50, .exposed_host_hours = 50, .control_silent = 3, .control_host_hours = 1000}),
      0.2);
  // A control that was never silent is not a perfect one.
  EXPECT_DOUBLE_EQ(
      ExpectedSilent(
          {.exposed = 50, .exposed_host_hours = 50, .control_silent = 0, .control_host_hours = 100}),
      0.5);
}

TEST(SilenceGateTest, WithoutControlTimeItCannotJudge) {
  const SilenceCounts counts{.silent = 50, .exposed = 50, .exposed_host_hours = 50};
  EXPECT_EQ(ExpectedSilent(counts), kInfinity);
  EXPECT_FALSE(IsBreached(MaxExcess(0, 1), counts));
  EXPECT_EQ(ExpectedSilent({.silent = 5, .exposed = 5}), kInfinity);
}

TEST(SilenceGateTest, ABrickedCanaryTrips) {
  EXPECT_TRUE(IsBreached(MaxExcess(10'000, 3), {.silent = 4,
                                                .exposed = 20,
                                                .exposed_host_hours = 2,
                                                .control_silent = 20,
                                                .control_host_hours = 2000}));
}

TEST(SilenceGateTest, SixClosedLaptopLidsOf44AreChance) {
  // Laptops in the evening: a tenth of the controls close their lids in the hour. Six of 44 are over the 1 %
  // limit and far from remarkable.
  const SilenceCounts lids{.silent = 6,
                           .exposed = 44,
                           .exposed_host_hours = 40,
                           .control_silent = 190,
                           .control_host_hours = 1900};
  EXPECT_GT((6 - ExpectedSilent(lids)) / 44, 0.01);
  EXPECT_FALSE(IsBreached(MaxExcess(10'000, 3), lids));
}

TEST(SilenceGateTest, NeedsItsLeastCountAndItsExcess) {
  const SilenceCounts counts{.silent = 12,
                             .exposed = 1000,
                             .exposed_host_hours = 500,
                             .control_silent = 4,
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
    counts.silent = upto(std::min<int64_t>(counts.exposed, 30));
    counts.exposed_host_hours = static_cast<double>(upto(2 * counts.exposed));
    counts.control_silent = upto(40);
    counts.control_host_hours = static_cast<double>(upto(5000));
    if (!IsBreached(gate, counts)) continue;
    ++breaches;
    SilenceCounts worse = counts;
    worse.silent += upto(10);
    worse.control_silent -= upto(worse.control_silent);
    worse.control_host_hours += static_cast<double>(upto(1000));
    worse.exposed_host_hours -= static_cast<double>(upto(static_cast<int64_t>(worse.exposed_host_hours)));
    ASSERT_TRUE(IsBreached(gate, worse))
        << "silent " << counts.silent << "->" << worse.silent << " exposed " << counts.exposed;
  }
  EXPECT_GT(breaches, 1000);
}

struct KnownTail {
  int64_t k;
  double mean;
  double tail;
};

// Regularized lower incomplete gamma function P(k, mean), computed with 60 digits.
constexpr KnownTail kKnownTails[] = {
    {1, 1e-9, 9.999999995e-10},
    {1, 0.5, 0.39346934028736658},
    {3, 0.1, 0.00015465307026467165},
    {1, 1, 0.63212055882855768},
    {5, 5, 0.55950671493478759},
    {6, 4, 0.2148696129695948},
    {10, 1, 1.1142547833872068e-7},
    {14, 1, 4.5198525469651135e-12},
    {16, 16, 0.53325510861227925},
    {17, 3.25, 6.6821125225305962e-8},
    {44, 6.6, 6.8801359703506019e-22},
    {30, 44, 0.98926088123636406},
    {100, 50, 3.2000653245851253e-10},
    {110, 50, 1.6925945700573344e-13},
    {160, 100, 2.0506975416904382e-8},
    {1000, 1000, 0.50420524418021551},
    {1230, 1000, 1.2042755717814277e-12},
    {700, 1000, 1.0},
    {10500, 10000, 3.5995897948120386e-7},
    {10710, 10000, 1.148624757783541e-12},
    {1000000, 1000000, 0.50013298076087259},
    {1007000, 1000000, 1.3595737503819117e-12},
    {1006000, 1000000.5, 1.0288720005440343e-9},
    {995000, 1000000, 0.99999971997760571},
    {100070000, 100000000, 1.2875979233275301e-12},
    {100000000, 99930000, 1.2652725299611572e-12},
    {999999999, 999800000, 1.2666973044940474e-10},
    {1000000000, 999800000, 1.266437917018217e-10},
    {1000000001, 999780000.25, 1.7313986090405749e-12},
    {1000000000000, 999993000000, 1.2796663959363175e-12},
    {1000000000000, 1000000000000, 0.50000013298076014},
};

TEST(PoissonTailTest, EqualsKnownValuesFarOutAndForLargeMeans) {
  for (const KnownTail& known : kKnownTails) {
    EXPECT_NEAR(PoissonTail(known.k, known.mean) / known.tail, 1.0, 1e-9) << known.k << " of " << known.mean;
  }
}

TEST(PoissonTailTest, AddsUpToOneAndFalls) {
  for (const double mean : {0.01, 0.7, 5.0, 44.0, 1234.5}) {
    double before = 1.0;
    double sum = 0.0;
    for (int64_t k = 1; k < 4000; ++k) {
      const double tail = PoissonTail(k, mean);
      ASSERT_LE(tail, before + 1e-12) << k << " of " << mean;
      sum += tail;  // the sum of P(X >= k) over k >= 1 is the mean
      before = tail;
    }
    EXPECT_NEAR(sum / mean, 1.0, 1e-10);
  }
}

TEST(PoissonTailTest, IsAlwaysAProbability) {
  const double means[] = {0.0,
                          -1.0,
                          1e-310,
                          1e-9,
                          1.0,
                          1e3,
                          1e9,
                          1e15,
                          1e18,
                          1e300,
                          kInfinity,
                          -kInfinity,
                          std::numeric_limits<double>::quiet_NaN()};
  const int64_t ks[] = {
      std::numeric_limits<int64_t>::min(), -1, 0, 1, 2, 1000, 1'000'000'000, 1'000'000'000'000'000'000,
      std::numeric_limits<int64_t>::max()};
  for (const double mean : means) {
    for (const int64_t k : ks) {
      const double tail = PoissonTail(k, mean);
      EXPECT_TRUE(tail >= 0.0 && tail <= 1.0) << k << " of " << mean << ": " << tail;
      EXPECT_TRUE(k > 0 || tail == 1.0);
    }
  }
  EXPECT_EQ(PoissonTail(1, 0.0), 0.0);
  EXPECT_EQ(PoissonTail(5, kInfinity), 1.0);
}

}  // namespace
}  // namespace ringfence::policy
