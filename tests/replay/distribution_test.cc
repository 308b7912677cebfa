#include "server/simulate/distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ringfence::replay {
namespace {

std::vector<Micros> Samples(const Distribution& distribution) {
  Rng rng(11, "samples");
  std::vector<Micros> samples;
  for (int i = 0; i < 100'001; ++i) samples.push_back(distribution.Sample(rng));
  std::sort(samples.begin(), samples.end());
  return samples;
}

TEST(DistributionTest, GivesTheFixedValueAlways) {
  const auto samples = Samples({Distribution::Kind::kFixed, 10, 0});
  EXPECT_EQ(samples.front(), 10 * kSecond);
  EXPECT_EQ(samples.back(), 10 * kSecond);
}

TEST(DistributionTest, StaysBetweenTheEndsOfTheUniform) {
  const auto samples = Samples({Distribution::Kind::kUniform, 5, 60});
  EXPECT_GE(samples.front(), 5 * kSecond);
  EXPECT_LE(samples.back(), 60 * kSecond);
  EXPECT_NEAR(static_cast<double>(samples[samples.size() / 2]) / kSecond, 32.5, 0.5);
}

TEST(DistributionTest, HasTheMedianAndSpreadOfTheLognormal) {
  const auto samples = Samples({Distribution::Kind::kLognormal, 3600, 0.8});
  EXPECT_NEAR(static_cast<double>(samples[samples.size() / 2]) / kHour, 1.0, 0.02);
  // One sigma above the median lies the quantile 0.8413.
  EXPECT_NEAR(static_cast<double>(samples[84'130]) / kHour, 2.2255, 0.05);
}

TEST(DistributionTest, DoesNotOverflowWhenItIsVeryWide) {
  const auto samples = Samples({Distribution::Kind::kLognormal, 3600, 30});
  EXPECT_GE(samples.front(), 0);
  EXPECT_LE(samples.back(), FromSeconds(3.2e10));
}

}  // namespace
}  // namespace ringfence::replay
