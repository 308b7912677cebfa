#include "ringfence/policy/judge/pacing.h"

#include <random>

#include "gtest/gtest.h"
#include "ringfence/policy/draw.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

TEST(PhantomPlanTest, NeverLocksMoreThanItsShareWhateverTheTokens) {
  std::mt19937_64 random(test::Seed(5));
  PhantomPlan plan;
  for (int i = 0; i < 10'000; ++i) {
    const auto members = static_cast<int64_t>(1 + random() % 5000);
    const auto locked = static_cast<int64_t>(random() % 5000);
    const auto tokens = static_cast<int64_t>(random() % 100);
    const double most = plan.MostPerT(members, locked, tokens);
    EXPECT_GE(most, 0.0);
    if (most > 0) {
      EXPECT_LE(static_cast<double>(locked) + most * static_cast<double>(tokens),
                plan.lock_max * static_cast<double>(members) * (1 + 1e-12));
    }
  }
}

TEST(PhantomPlanTest, NoCoinNoPhantomAndNoneInSmallRings) {
  PhantomPlan plan;
  EXPECT_EQ(plan.MostPerT(10'000, 0, 0), 0.0);
  EXPECT_EQ(plan.MostPerT(10'000, 0, 4), 1250.0);
  plan.least_members = 51;
  EXPECT_EQ(plan.MostPerT(50, 0, 1), 0.0);
  EXPECT_EQ(plan.MostPerT(51, 0, 2), 51 * 0.5 / 2);
}

TEST(PiMaxTest, FollowsTheProvenShareAndLeavesAFifthOfControls) {
  EXPECT_EQ(PiMaxOf(0, 100), kPiMax);
  EXPECT_EQ(PiMaxOf(20, 100), kPiMax);
  EXPECT_EQ(PiMaxOf(30, 100), 0.3);
  EXPECT_EQ(PiMaxOf(50, 100), 0.5);
  EXPECT_EQ(PiMaxOf(100, 100), 0.8);
  EXPECT_EQ(PiMaxOf(5, 0), kPiMax);
}

}  // namespace
}  // namespace ringfence::policy
