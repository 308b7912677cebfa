#include "server/simulate/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace ringfence::replay {
namespace {

// A run must mean the same on every machine and after every change of the library underneath.
TEST(RngTest, KeepsItsGoldenNumbers) {
  Rng rng(1, "golden");
  EXPECT_EQ(rng.Next(), 8451257503096085385ull);
  EXPECT_EQ(rng.Next(), 1927579727243024998ull);
  EXPECT_EQ(Rng(2, "golden").Next(), 11942759639053533633ull);
  EXPECT_EQ(Rng(1, "golden", 1).Next(), 10718700465956290886ull);
}

TEST(RngTest, GivesEachPurposeItsOwnStream) {
  EXPECT_NE(Rng(1, "noise").Next(), Rng(1, "faults").Next());
  EXPECT_NE(Rng(1, "noise", 0).Next(), Rng(1, "noise", 1).Next());
}

TEST(RngTest, DrawsWithTheMeansItPromises) {
  Rng rng(7, "means");
  constexpr int kDraws = 200'000;
  double unit = 0, exponential = 0, normal = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    unit += rng.Unit();
    exponential += rng.Exponential(5);
    const double n = rng.Normal();
    normal += n;
    squares += n * n;
  }
  EXPECT_NEAR(unit / kDraws, 0.5, 0.005);
  EXPECT_NEAR(exponential / kDraws, 5, 0.06);
  EXPECT_NEAR(normal / kDraws, 0, 0.01);
  EXPECT_NEAR(squares / kDraws, 1, 0.015);
}

TEST(RngTest, DrawsBelowANumberEvenly) {
  Rng rng(3, "below");
  int counts[3] = {0, 0, 0};
  for (int i = 0; i < 30'000; ++i) ++counts[rng.Below(3)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
}

}  // namespace
}  // namespace ringfence::replay
