#include "ringfence/policy/draw.h"

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

AgentId Host(uint8_t n) {
  AgentId id;
  id.bytes.fill(n);
  return id;
}

double Uniform(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}

TEST(DrawUniformTest, DiffersByHostBucketPurposeAndSecret) {
  std::set<double> seen;
  for (const char* secret : {"one", "two"}) {
    for (uint8_t host = 1; host <= 5; ++host) {
      for (uint64_t bucket = 0; bucket < 20; ++bucket) {
        for (uint8_t k = 1; k <= 2; ++k) {
          const double u = DrawUniform(secret, Host(host), bucket, k);
          EXPECT_TRUE(u >= 0.0 && u < 1.0);
          seen.insert(u);
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 2u * 5 * 20 * 2);
}

TEST(DrawUniformTest, IsNotUsedTwiceAfterAFailover) {
  const uint64_t index = 28'930'000;
  EXPECT_NE(DrawUniform("secret", Host(1), BucketNumber(1, index), 2),
            DrawUniform("secret", Host(1), BucketNumber(2, index), 2));
}

TEST(BucketNumberTest, KeepsEpochAndIndexApart) {
  EXPECT_EQ(BucketNumber(0, 7), 7u);
  EXPECT_EQ(BucketNumber(1, 0), uint64_t{1} << 40);
  EXPECT_EQ(BucketNumber((1u << 24) - 1, (uint64_t{1} << 40) - 1), std::numeric_limits<uint64_t>::max());
  EXPECT_DEATH(BucketNumber(1u << 24, 0), "invariant broken");
  EXPECT_DEATH(BucketNumber(1, uint64_t{1} << 40), "invariant broken");
}

TEST(RatesTest, AreProbabilitiesWhateverIsForecast) {
  const double forecasts[] = {-1.0,
                              0.0,
                              1e-300,
                              1.0,
                              3.0,
                              1e6,
                              1e300,
                              std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()};
  for (const double forecast : forecasts) {
    for (const int64_t tokens : {int64_t{-5}, int64_t{0}, int64_t{1}, int64_t{4}, int64_t{1'000'000'000}}) {
      for (const double r : {-1.0, 0.0, 0.25, 20.0}) {
        const DrawRates rates = RatesFor(tokens, forecast, r);
        EXPECT_TRUE(rates.rho > 0.0 && rates.rho <= 1.0) << tokens << " " << forecast;
        EXPECT_TRUE(rates.pi >= 0.0 && rates.pi <= kPiMax) << tokens << " " << forecast;
        EXPECT_TRUE(rates.phi >= 0.0 && rates.pi + rates.phi <= 1.0) << tokens << " " << forecast;
        if (tokens <= 0) {
          EXPECT_EQ(rates.pi, 0.0);
          EXPECT_EQ(rates.phi, 0.0);
        }
      }
    }
  }
}

TEST(BucketTest, OneProbabilityHoldsUntilTheTokensAreUsedUp) {
  Bucket bucket(2, 100, 4);
  const DrawRates opening = bucket.rates();
  EXPECT_DOUBLE_EQ(opening.pi, 0.02);
  EXPECT_DOUBLE_EQ(opening.phi, 0.08);
  EXPECT_EQ(bucket.Ask(.5, .9).pi, opening.pi);
  EXPECT_EQ(bucket.Ask(.5, .0).pi, opening.pi);
  EXPECT_EQ(bucket.Ask(.5, .0).arm, Arm::kTreatment);  // the last token
  const Bucket::Answer after = bucket.Ask(.5, .0);
  EXPECT_EQ(after.arm, Arm::kControl);
  EXPECT_EQ(after.pi, 0.0);
  EXPECT_EQ(after.phi, 0.0);
}

TEST(BucketTest, TheProbabilityOfAHostDoesNotDependOnItsOwnArm) {
  const uint64_t seed = test::Seed(1);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    Bucket bucket(1 + round % 7, 30, .25 * (round % 9));
    for (int i = 0; i < 60; ++i) {
      Bucket as_treated = bucket, as_control = bucket;
      const double v = Uniform(random);
      const Bucket::Answer t = as_treated.Ask(v, 0.0);
      const Bucket::Answer c = as_control.Ask(v, 0.999999);
      ASSERT_EQ(t.arm == Arm::kNone, c.arm == Arm::kNone) << "seed " << seed;
      ASSERT_EQ(t.pi, c.pi) << "seed " << seed;
      ASSERT_EQ(t.phi, c.phi) << "seed " << seed;
      bucket.Ask(v, Uniform(random));
    }
  }
}

TEST(BucketTest, ItsForecastIsUnchangedByAnyRequestInIt) {
  const uint64_t seed = test::Seed(2);
  std::mt19937_64 random(seed);
  Bucket bucket(4, 1800, 20);
  const DrawRates opening = bucket.rates();
  for (int i = 0; i < 10'000; ++i) {
    const Bucket::Answer answer = bucket.Ask(Uniform(random), Uniform(random));
    ASSERT_EQ(bucket.rates().rho, opening.rho);
    ASSERT_EQ(bucket.rates().pi, opening.pi);
    ASSERT_EQ(bucket.rates().phi, opening.phi);
    ASSERT_TRUE(answer.pi == opening.pi || answer.pi == 0.0) << "seed " << seed << " request " << i;
  }
}

TEST(BucketTest, WithoutTokensItGoesOnUntilThereAreEnoughControls) {
  Bucket none(0, 100);
  for (int i = 0; i < 50; ++i) {
    ASSERT_FALSE(none.IsClosed());
    ASSERT_EQ(none.Ask(.5, .0).arm, Arm::kControl);
  }
  EXPECT_TRUE(none.IsClosed());
  EXPECT_EQ(none.Ask(.0, .0).arm, Arm::kNone);

  Bucket four(4, 20);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(four.Ask(.5, .0).arm, Arm::kTreatment);
  int controls = 0;
  while (!four.IsClosed()) controls += four.Ask(.5, .0).arm == Arm::kControl ? 1 : 0;
  EXPECT_EQ(controls, 80);  // 20 for each T
}

TEST(BucketTest, WithTokensItIsNeverClosed) {
  Bucket bucket(1, 1'000'000);
  for (int i = 0; i < 1000; ++i) bucket.Ask(.0, .5);
  EXPECT_EQ(bucket.controls(), 1000);
  EXPECT_FALSE(bucket.IsClosed());
}

TEST(BucketTest, TokensCanBeLimitedAndNeverRaised) {
  Bucket bucket(4, 20);
  bucket.LimitTokens(10);
  EXPECT_EQ(bucket.tokens(), 4);
  bucket.LimitTokens(1);
  EXPECT_EQ(bucket.tokens(), 1);
  bucket.LimitTokens(-3);
  EXPECT_EQ(bucket.tokens(), 0);
  bucket.LimitTokens(4);
  EXPECT_EQ(bucket.tokens(), 0);
  EXPECT_EQ(bucket.Ask(.5, .0).arm, Arm::kControl);
}

TEST(BucketTest, ATooLargeAskingCrowdGetsNoMoreThanItsTokens) {
  const uint64_t seed = test::Seed(3);
  std::mt19937_64 random(seed);
  for (int64_t tokens = 0; tokens < 30; ++tokens) {
    Bucket bucket(tokens, 10);
    for (int i = 0; i < 5000; ++i) bucket.Ask(Uniform(random), Uniform(random));
    ASSERT_EQ(bucket.treated(), tokens) << "seed " << seed;
    ASSERT_EQ(bucket.tokens(), 0) << "seed " << seed;
  }
}

TEST(BucketTest, AHundredRequestsOfOneHostAreOneSpell) {
  // The caller's log, as the server keeps it: the bucket is asked once per host.
  std::map<AgentId, Bucket::Answer> log;
  Bucket bucket(4, 5);
  for (int i = 0; i < 100; ++i) {
    const AgentId host = Host(7);
    if (log.contains(host)) continue;
    const uint64_t number = BucketNumber(3, 17);
    log[host] = bucket.Ask(DrawUniform("secret", host, number, 1), DrawUniform("secret", host, number, 2));
  }
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(bucket.treated() + bucket.controls(), 1);
  EXPECT_LE(4 - bucket.tokens(), 1);
}

TEST(BucketTest, LetsInAboutAsManyAsThereAreTokensWhenTheForecastIsRight) {
  const uint64_t seed = test::Seed(4);
  std::mt19937_64 random(seed);
  double treated = 0;
  for (int round = 0; round < 400; ++round) {
    Bucket bucket(40, 10'000);  // rho = 0.2: enrolment is thinned, the tokens still go
    for (int i = 0; i < 10'000; ++i) bucket.Ask(Uniform(random), Uniform(random));
    treated += static_cast<double>(bucket.treated());
  }
  // Mean of min(Binomial(10000, .004), 40) is about 37.5.
  EXPECT_NEAR(treated / 400, 37.5, 1.0) << "seed " << seed;
}

}  // namespace
}  // namespace ringfence::policy
