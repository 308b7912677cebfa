#include "ringfence/policy/evidence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double Uniform(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}

struct BadEvent {
  bool treated;
  double pi;
};

std::vector<BadEvent> SomeEvents(std::mt19937_64& random, size_t n) {
  std::vector<BadEvent> events(n);
  for (BadEvent& e : events) e = {.treated = Uniform(random) < .4, .pi = .001 + .3 * Uniform(random)};
  return events;
}

RVector EvidenceOf(const std::vector<BadEvent>& events, double rho0 = 1.0) {
  RVector r;
  for (const BadEvent& e : events) r.AddBad(e.treated, e.pi, rho0);
  return r;
}

// M of one channel alone at release level, all cells quiet.
double Alone(HealthChannel channel, double log_e) {
  const ChannelEvidence evidence{.channel = channel, .log_e_release = log_e};
  return Combine({&evidence, 1}, 64);
}

TEST(TestRTest, TheMeanFactorOverTheCoinIsOne) {
  const uint64_t seed = test::Seed(31);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10'000; ++i) {
    const double pi = std::pow(10.0, -6 * Uniform(random));
    const double theta = 1 + 3000 * Uniform(random);
    const double mean = pi * std::exp(RIncrement(true, pi, 1.0, theta)) +
                        (1 - pi) * std::exp(RIncrement(false, pi, 1.0, theta));
    ASSERT_NEAR(mean, 1.0, 1e-12) << "pi " << pi << " theta " << theta;
  }
}

TEST(TestRTest, TheMeanOfEStaysOneAlongWholeHistories) {
  // Every sequence of arms of six bad events, with a pi that reacts to the arms before it.
  double mean = 0.0;
  for (unsigned arms = 0; arms < 64; ++arms) {
    RVector r;
    double probability = 1.0, pi = .05;
    for (int i = 0; i < 6; ++i) {
      const bool treated = (arms >> i & 1) != 0;
      probability *= treated ? pi : 1 - pi;
      r.AddBad(treated, pi, 1.0);
      pi = treated ? pi / 2 : std::min(.2, pi * 1.5);
    }
    mean += probability * std::exp(r.LogE());
  }
  EXPECT_NEAR(mean, 1.0, 1e-12);
}

TEST(TestRTest, ToleratedRiskRatiosLowerTheMean) {
  const uint64_t seed = test::Seed(32);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10'000; ++i) {
    const double pi = .3 * Uniform(random), rho0 = 1 + Uniform(random), theta = 1 + 100 * Uniform(random);
    const double p_c = Uniform(random) / rho0;
    const double p_t = rho0 * p_c * Uniform(random);
    const auto mean = [&](double risk_t) {
      return 1 + pi * risk_t * std::expm1(RIncrement(true, pi, rho0, theta)) +
             (1 - pi) * p_c * std::expm1(RIncrement(false, pi, rho0, theta));
    };
    ASSERT_LE(mean(p_t), 1 + 1e-12);
    ASSERT_NEAR(mean(rho0 * p_c), 1.0, 1e-12);
  }
}

TEST(TestRTest, DoesNotDependOnTheOrderOfEvents) {
  const uint64_t seed = test::Seed(33);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    std::vector<BadEvent> events = SomeEvents(random, 50);
    const RVector before = EvidenceOf(events, 1.25);
    std::shuffle(events.begin(), events.end(), random);
    const RVector after = EvidenceOf(events, 1.25);
    for (size_t i = 0; i < before.l.size(); ++i) ASSERT_NEAR(before.l[i], after.l[i], 1e-9);
    ASSERT_NEAR(before.LogE(), after.LogE(), 1e-9);
  }
}

TEST(TestRTest, VectorsOfReplicasAdd) {
  const uint64_t seed = test::Seed(34);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    const std::vector<BadEvent> events = SomeEvents(random, 60);
    std::array<RVector, 3> replicas;
    for (const BadEvent& e : events) replicas[random() % 3].AddBad(e.treated, e.pi, 1.0);
    RVector merged;
    for (const RVector& replica : replicas) merged.Merge(replica);
    const RVector whole = EvidenceOf(events);
    for (size_t i = 0; i < whole.l.size(); ++i) ASSERT_NEAR(merged.l[i], whole.l[i], 1e-9);
    ASSERT_NEAR(merged.LogE(), whole.LogE(), 1e-9);
  }
}

TEST(TestRTest, WithoutACoinThereIsNoEvidence) {
  for (const double pi : {0.0, 1.0, -0.1, 1.1, kNaN}) {
    for (const bool treated : {false, true}) {
      RVector r;
      r.AddBad(treated, pi, 1.25);
      EXPECT_EQ(r.l, RVector{}.l) << pi;
    }
  }
}

TEST(TestRTest, ABadControlCountsForTheReleaseEvenWithoutATreatedHost) {
  RVector r;
  r.AddBad(false, .1, 1.0);
  for (size_t i = 0; i < r.l.size(); ++i) EXPECT_NEAR(r.l[i], -std::log(kTheta[i] * .1 + .9), 1e-12);
}

TEST(TestRTest, AHarmlessUpdateSeldomReachesAnyLevel) {
  // Ville: P(sup E >= x) <= 1/x, here over 300 bad events whose arms are pure chance.
  const uint64_t seed = test::Seed(35);
  std::mt19937_64 random(seed);
  constexpr int kRuns = 4000;
  int above_10 = 0, above_100 = 0;
  for (int run = 0; run < kRuns; ++run) {
    RVector r;
    double highest = 0.0;
    for (int i = 0; i < 300; ++i) {
      const double pi = i % 2 == 0 ? .02 : .2;
      r.AddBad(Uniform(random) < pi, pi, 1.0);
      highest = std::max(highest, r.LogE());
    }
    above_10 += highest >= std::log(10.0) ? 1 : 0;
    above_100 += highest >= std::log(100.0) ? 1 : 0;
  }
  EXPECT_LE(above_10, kRuns / 10) << "seed " << seed;
  EXPECT_LE(above_100, kRuns / 100) << "seed " << seed;
}

TEST(TestRTest, ATenantThatGoesDarkNeitherHaltsAGoodReleaseNorIsNamed) {
  // A tenth of the hosts are dark for eight buckets, whatever their arm; 1000 rollouts.
  const uint64_t seed = test::Seed(36);
  std::mt19937_64 random(seed);
  for (int rollout = 0; rollout < 1000; ++rollout) {
    RVector release, tenant;
    for (int bucket = 0; bucket < 30; ++bucket) {
      const bool dark = bucket >= 5 && bucket < 13;
      const double pi = std::min(.2, .004 * std::pow(1.3, bucket));
      for (int host = 0; host < 200; ++host) {
        const bool of_tenant = host < 20;
        if (!(dark && of_tenant) && Uniform(random) >= .01) continue;
        const bool treated = Uniform(random) < pi;
        release.AddBad(treated, pi, 1.0);
        if (of_tenant) tenant.AddBad(treated, pi, 1.0);
      }
      const ChannelEvidence evidence{.channel = HealthChannel::kSilence,
                                     .log_e_release = release.LogE(),
                                     .log_e_cells = {tenant.LogE()}};
      ASSERT_LT(Combine({&evidence, 1}, KMax(10)), kHaltAt) << "seed " << seed << " rollout " << rollout;
      const std::pair<HealthChannel, double> cell{HealthChannel::kSilence, std::exp(tenant.LogE())};
      ASSERT_FALSE(IsNamed({&cell, 1}, KMax(10))) << "seed " << seed << " rollout " << rollout;
    }
  }
}

TEST(TestRTest, SoManyBricksInARowBrakeHoldAndHalt) {
  const auto needed = [](HealthChannel channel, double pi, double level) {
    RVector r;
    int n = 0;
    while (Alone(channel, r.LogE()) < level) {
      r.AddBad(true, pi, 1.0);
      ++n;
    }
    return n;
  };
  struct Row {
    double pi;
    int brake, hold, halt, soak_hold, soak_halt;
  };
  // The table of docs/health-analysis.md, section 3.
  for (const Row& row :
       {Row{.002, 1, 2, 2, 2, 2}, Row{.005, 2, 2, 2, 2, 3}, Row{.01, 2, 2, 3, 2, 3}, Row{.02, 2, 2, 3, 3, 3},
        Row{.05, 2, 3, 4, 3, 4}, Row{.1, 3, 4, 5, 4, 5}, Row{.2, 3, 5, 6, 6, 7}}) {
    EXPECT_EQ(needed(HealthChannel::kSilence, row.pi, kBrakeAt), row.brake) << row.pi;
    EXPECT_EQ(needed(HealthChannel::kSilence, row.pi, kHoldAt), row.hold) << row.pi;
    EXPECT_EQ(needed(HealthChannel::kSilence, row.pi, kHaltAt), row.halt) << row.pi;
    EXPECT_EQ(needed(HealthChannel::kSilenceSoak, row.pi, kHoldAt), row.soak_hold) << row.pi;
    EXPECT_EQ(needed(HealthChannel::kSilenceSoak, row.pi, kHaltAt), row.soak_halt) << row.pi;
  }
}

TEST(PiSoakTest, IsTheShareOfTAmongTheEnrolledForTheSoak) {
  EXPECT_DOUBLE_EQ(PiSoak(.1, .4), .2);
  EXPECT_EQ(PiSoak(.1, 0), 1.0);
  EXPECT_EQ(PiSoak(0, 0), 1.0);
}

TEST(GuardBoundTest, TheCellsOwnControlRaisesItAndTheLackOfOneFreezesIt) {
  GuardInput input{.p_hist = .01, .bucket = {.bad = 0, .all = 100}};
  EXPECT_DOUBLE_EQ(*GuardBound(input), .015);
  input.cell_bucket = ControlCounts{.bad = 3, .all = 30};
  EXPECT_DOUBLE_EQ(*GuardBound(input), 1.5 * 3.5 / 31);
  input.cell_bucket = ControlCounts{.bad = 0, .all = 1};
  EXPECT_EQ(GuardBound(input), std::nullopt);
  input.cell_bucket = ControlCounts{.bad = 20, .all = 30};  // over one half: nothing can be said
  EXPECT_EQ(GuardBound(input), std::nullopt);
}

TEST(GuardBoundTest, NeverFallsWhenMoreControlsAreBad) {
  const uint64_t seed = test::Seed(37);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10'000; ++i) {
    GuardInput input{.p_hist = .1 * Uniform(random)};
    input.history = {.bad = 20 * Uniform(random), .all = 400};
    input.bucket = {.bad = static_cast<double>(random() % 10), .all = 100};
    const double bound = GuardBound(input).value_or(1.0);
    input.bucket.bad += 1;
    ASSERT_GE(GuardBound(input).value_or(1.0), bound);
    input.history.bad += 1;
    ASSERT_GE(GuardBound(input).value_or(1.0), bound);
  }
}

TEST(GuardATest, FrozenBucketsChangeNothing) {
  GuardVector guard;
  guard.Resolve(.02, true);
  const std::array<double, 5> before = guard.l;
  guard.Resolve(std::nullopt, true);
  guard.Resolve(std::nullopt, false);
  EXPECT_EQ(guard.l, before);
}

TEST(GuardATest, IsASupermartingaleWhenTheBoundHolds) {
  for (const double p_bar : {.002, .02, .2, .5}) {
    GuardVector bad, good;
    bad.Resolve(p_bar, true);
    good.Resolve(p_bar, false);
    for (const double p : {0.0, p_bar / 2, p_bar}) {
      EXPECT_LE(p * std::exp(bad.LogE()) + (1 - p) * std::exp(good.LogE()), 1 + 1e-12) << p_bar << " " << p;
    }
  }
}

TEST(GuardATest, SoManyBadHostsHold) {
  const auto first_of_all = [](HealthChannel channel, double p_bar) {
    GuardVector guard;
    int n = 0;
    while (Alone(channel, guard.LogE()) < kHoldAt) {
      guard.Resolve(p_bar, true);
      ++n;
    }
    return n;
  };
  const auto among = [](double p_bar, int hosts) {
    for (int bad = 0; bad <= hosts; ++bad) {
      GuardVector guard;
      for (int i = 0; i < hosts; ++i) guard.Resolve(p_bar, i < bad);
      if (Alone(HealthChannel::kSilence, guard.LogE()) >= kHoldAt) return bad;
    }
    return hosts + 1;
  };
  struct Row {
    double p_bar;
    int all, of_10, of_20, of_50, of_100, crash_all;
  };
  // The table of docs/health-analysis.md, section 4.
  for (const Row& row :
       {Row{.002, 2, 3, 3, 4, 5, 2}, Row{.0075, 2, 3, 4, 5, 7, 2}, Row{.015, 2, 4, 5, 7, 10, 2},
        Row{.03, 3, 4, 6, 9, 13, 3}, Row{.075, 3, 6, 8, 13, 20, 4}, Row{.15, 4, 8, 11, 20, 34, 5}}) {
    EXPECT_EQ(first_of_all(HealthChannel::kSilence, row.p_bar), row.all) << row.p_bar;
    EXPECT_EQ(first_of_all(HealthChannel::kCrash, row.p_bar), row.crash_all) << row.p_bar;
    EXPECT_EQ(among(row.p_bar, 10), row.of_10) << row.p_bar;
    EXPECT_EQ(among(row.p_bar, 20), row.of_20) << row.p_bar;
    EXPECT_EQ(among(row.p_bar, 50), row.of_50) << row.p_bar;
    EXPECT_EQ(among(row.p_bar, 100), row.of_100) << row.p_bar;
  }
}

TEST(GuardATest, VectorsOfReplicasAdd) {
  GuardVector whole, first, second;
  for (int i = 0; i < 20; ++i) {
    whole.Resolve(.05, i % 3 == 0);
    (i % 2 == 0 ? first : second).Resolve(.05, i % 3 == 0);
  }
  first.Merge(second);
  for (size_t i = 0; i < whole.l.size(); ++i) EXPECT_NEAR(first.l[i], whole.l[i], 1e-9);
}

TEST(GaugeBTest, TheMeanOverTheCoinIsOneForAnyValue) {
  for (const double x : {0.0, .3, 1.0}) {
    for (const double c : {0.0, .5}) {
      for (const double pi : {.01, .2, .7}) {
        GaugeVector t, control;
        t.AddValue(true, pi, x, c);
        control.AddValue(false, pi, x, c);
        EXPECT_NEAR(pi * std::exp(t.LogE()) + (1 - pi) * std::exp(control.LogE()), 1.0, 1e-12);
      }
    }
  }
}

TEST(GaugeBTest, ValuesAreClippedAndThoseThatCannotCountAreSkipped) {
  GaugeVector clipped, one, skipped;
  clipped.AddValue(true, .2, 17.0, 0.0);
  one.AddValue(true, .2, 1.0, 0.0);
  EXPECT_EQ(clipped.l, one.l);
  skipped.AddValue(true, .2, kNaN, 0.0);
  skipped.AddValue(true, 0.0, 1.0, 0.0);
  skipped.AddValue(true, 1.0, 1.0, 0.0);
  EXPECT_EQ(skipped.l, GaugeVector{}.l);
}

TEST(GaugeBTest, MissedCheckInsAreAShare) {
  EXPECT_EQ(MissedCheckInGauge(3, 4), .25);
  EXPECT_EQ(MissedCheckInGauge(9, 4), 0.0);
  EXPECT_EQ(MissedCheckInGauge(0, 4), 1.0);
  EXPECT_EQ(MissedCheckInGauge(0, 0), 0.0);
}

TEST(CombineTest, AFreshReleaseIsOneWithNoCellsAndWithAllSlotsTaken) {
  EXPECT_NEAR(std::accumulate(kChannelWeights.begin(), kChannelWeights.end(), 0.0), 1.0, 1e-12);
  for (const int64_t cells : {int64_t{0}, int64_t{1}, KMax(0), KMax(200)}) {
    std::vector<ChannelEvidence> channels;
    channels.reserve(kHealthChannels);
    for (int i = 0; i < kHealthChannels; ++i) {
      channels.push_back({.channel = static_cast<HealthChannel>(i),
                          .log_e_release = RVector{}.LogE(),
                          .log_e_cells = std::vector<double>(static_cast<size_t>(cells), RVector{}.LogE())});
    }
    EXPECT_NEAR(Combine(channels, KMax(cells)), 1.0, 1e-12) << cells;
  }
  EXPECT_NEAR(Combine({}, KMax(0)), 1.0, 1e-12);
}

TEST(CombineTest, TenThousandBricksHaltWithoutOverflowOrClippedEvidence) {
  RVector r;
  for (int i = 0; i < 10'000; ++i) r.AddBad(true, .01, 1.0);
  for (size_t i = 0; i < r.l.size(); ++i) {
    EXPECT_NEAR(r.l[i] / (10'000 * RIncrement(true, .01, 1.0, kTheta[i])), 1.0, 1e-9);
  }
  const ChannelEvidence evidence{.channel = HealthChannel::kSilence,
                                 .log_e_release = r.LogE(),
                                 .log_e_cells = std::vector<double>(64, r.LogE())};
  const double m = Combine({&evidence, 1}, 64);
  EXPECT_TRUE(std::isfinite(m));
  EXPECT_GE(m, kHaltAt);
}

TEST(CombineTest, TenThousandBadControlsAreNoEvidenceForHarm) {
  RVector r;
  for (int i = 0; i < 10'000; ++i) r.AddBad(false, .2, 1.0);
  const double m = Alone(HealthChannel::kSilence, r.LogE());
  EXPECT_TRUE(m > 0 && m < 1) << m;
}

TEST(CombineTest, StaysAMeanWithMoreCellsThanSlots) {
  const ChannelEvidence evidence{.channel = HealthChannel::kCrash,
                                 .log_e_cells = std::vector<double>(100, 0.0)};
  EXPECT_NEAR(Combine({&evidence, 1}, 64), 1.0, 1e-12);
}

TEST(LogMixTest, NeitherOverflowsNorLosesTheSmallOnes) {
  const std::array<double, 2> half = {.5, .5};
  EXPECT_NEAR(LogMix(std::array<double, 2>{1e5, 0.0}, half), 1e5 + std::log(.5), 1e-9);
  EXPECT_NEAR(LogMix(std::array<double, 2>{-1e5, -1e5}, half), -1e5, 1e-9);
  EXPECT_EQ(LogMix(std::array<double, 2>{-INFINITY, -INFINITY}, half), -INFINITY);
  EXPECT_NEAR(LogMix(std::array<double, 2>{-INFINITY, 0.0}, half), std::log(.5), 1e-12);
}

TEST(NamedTest, ACellIsNamedAtItsShareOfTheProvenLevel) {
  // 0.5/64 · (0.4·E + 0.6) >= 1000
  const std::pair<HealthChannel, double> below{HealthChannel::kSilence, 319'000.0};
  const std::pair<HealthChannel, double> above{HealthChannel::kSilence, 320'000.0};
  EXPECT_FALSE(IsNamed({&below, 1}, 64));
  EXPECT_TRUE(IsNamed({&above, 1}, 64));
  EXPECT_FALSE(IsNamed({&above, 1}, 65));
}

TEST(ActionTest, OnlyTestRHaltsAndGuardAAtMostHolds) {
  EXPECT_EQ(ActionFor(999.9, 1e9, true), HealthAction::kHold);
  EXPECT_EQ(ActionFor(1000, 1, false), HealthAction::kHalt);
}

TEST(ActionTest, EvidenceThatIsNoNumberHolds) {
  EXPECT_EQ(ActionFor(kNaN, 1, false), HealthAction::kHold);
  EXPECT_EQ(ActionFor(1, kNaN, false), HealthAction::kHold);
}

}  // namespace
}  // namespace ringfence::policy
