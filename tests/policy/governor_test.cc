#include "ringfence/policy/governor.h"

#include <array>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "ringfence/policy/draw.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

constexpr double kQuiet = 1.0;

TEST(StartBudgetTest, IsTwoPercentBetweenOneAndFour) {
  EXPECT_EQ(StartBudget(0), 1);
  EXPECT_EQ(StartBudget(50), 1);
  EXPECT_EQ(StartBudget(51), 2);
  EXPECT_EQ(StartBudget(150), 3);
  EXPECT_EQ(StartBudget(151), 4);
  EXPECT_EQ(StartBudget(std::numeric_limits<int64_t>::max()), 4);
}

TEST(CapTest, GrowsWithProvenHostsAndShrinksWithEvidenceButNeverBelowTheStart) {
  EXPECT_EQ(Cap(4, 0, kQuiet), 4);
  EXPECT_EQ(Cap(4, 100, kQuiet), 104);
  EXPECT_EQ(Cap(4, 100, 10.0), 104);  // the brake begins here
  EXPECT_EQ(Cap(4, 100, 50.0), 20.8);
  EXPECT_EQ(Cap(4, 100, 1e9), 4);
  EXPECT_EQ(Cap(4, 100, std::numeric_limits<double>::infinity()), 4);
}

TEST(CapTest, EvidenceThatIsNoNumberDoesNotOpenTheBudget) {
  EXPECT_EQ(Cap(4, 1000, std::numeric_limits<double>::quiet_NaN()), 4);
}

TEST(TokensTest, TheTightestBudgetRules) {
  const Budget wide{.b0 = 4, .healthy = 100, .unproven = 0};
  const Budget narrow{.b0 = 1, .healthy = 5, .unproven = 2};
  EXPECT_EQ(Tokens(wide, narrow, kQuiet, std::nullopt, std::nullopt), 4);
  EXPECT_EQ(Tokens(narrow, wide, kQuiet, std::nullopt, std::nullopt), 4);
  EXPECT_EQ(Tokens(wide, narrow, kQuiet, 3, std::nullopt), 3);
  EXPECT_EQ(Tokens(wide, narrow, kQuiet, 3, 2), 2);
  EXPECT_EQ(Tokens(wide, narrow, kQuiet, -1, std::nullopt), 0);
}

TEST(TokensTest, AThousandTenantsOpeningTogetherStillStartWithFourHosts) {
  Budget release{.b0 = 4};
  int64_t exposed = 0;
  for (int tenant = 0; tenant < 1000; ++tenant) {
    const int64_t tokens = Tokens(release, Budget{.b0 = 4}, kQuiet, std::nullopt, std::nullopt);
    release.unproven += tokens;
    exposed += tokens;
  }
  EXPECT_EQ(exposed, 4);
}

TEST(TokensTest, NoneWhileMoreAreUnprovenThanTheBudget) {
  // A host that was proven and went bad is unproven again, so that U may stand above the cap.
  const Budget over{.b0 = 4, .healthy = 50, .unproven = 60};
  EXPECT_EQ(Tokens(over, over, kQuiet, std::nullopt, std::nullopt), 0);
}

TEST(CellTest, OpensWhileItsUnprovenAreBelowItsBudget) {
  EXPECT_TRUE(CellIsOpen(3, 4, 0));
  EXPECT_FALSE(CellIsOpen(4, 4, 0));
  EXPECT_TRUE(CellIsOpen(4, 4, 1));
}

TEST(RollbackTest, ReachesTenOrATenthOfTheSetInAMinute) {
  EXPECT_EQ(RollbackPerMinute(0), 10);
  EXPECT_EQ(RollbackPerMinute(100), 10);
  EXPECT_EQ(RollbackPerMinute(101), 11);
  EXPECT_EQ(RollbackPerMinute(110), 11);
  EXPECT_EQ(RollbackPerMinute(1'000'000), 100'000);
}

TEST(RollbackTest, HostsTakeTheirTurnsByPlaceTenOrATenthAMinute) {
  constexpr uint64_t kLast = ~uint64_t{0};
  EXPECT_TRUE(IsItsTurnBack(kLast, 10, absl::ZeroDuration())) << "all at once";
  EXPECT_TRUE(IsItsTurnBack(0, 1'000'000, absl::ZeroDuration()));
  EXPECT_TRUE(IsItsTurnBack(kLast / 10 - 1, 1'000, absl::Seconds(59)));
  EXPECT_FALSE(IsItsTurnBack(kLast / 10 + 2, 1'000, absl::Seconds(59)));
  EXPECT_TRUE(IsItsTurnBack(kLast / 10 + 2, 1'000, absl::Seconds(60)));
  EXPECT_FALSE(IsItsTurnBack(kLast, 1'000, absl::Minutes(9) - absl::Nanoseconds(1)));
  EXPECT_TRUE(IsItsTurnBack(kLast, 1'000, absl::Minutes(9)));
  EXPECT_FALSE(IsItsTurnBack(kLast / 2, 40, absl::Minutes(1) - absl::Nanoseconds(1)));
  EXPECT_TRUE(IsItsTurnBack(kLast / 2, 40, absl::Minutes(1)));
  EXPECT_TRUE(IsItsTurnBack(kLast, 0, absl::ZeroDuration()));
}

// A release in two stages with three cells, and whatever order of polls, proofs, relapses and reverts chance
// brings.
class Fleet {
 public:
  explicit Fleet(uint64_t seed) : random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) Step();
  }
  int64_t exposed() const { return exposed_; }

 private:
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  void Step() {
    const int stage = Below(2), cell = Below(3);
    switch (Below(8)) {
      case 0:  // a new bucket
        buckets_[stage] = Bucket(Room(stage), 1 + Below(100), Below(3));
        break;
      case 1:  // proven
        if (Move(stage, cell, -1, 0)) Move(stage, cell, 0, 1);
        break;
      case 2:  // reverted or unused
        if (Below(4) == 0) Move(stage, cell, -1, 0);
        break;
      case 3:  // proven, and bad after all: taken back
        if (Below(4) == 0 && Move(stage, cell, 0, -1)) Move(stage, cell, 1, 0);
        break;
      case 4:
        m_r_ = std::exp(8 * Uniform() - 2);
        break;
      default:
        Poll(stage, cell);
    }
  }

  // Moves a host of a stage and cell between unproven and healthy; false if there is none.
  bool Move(int stage, int cell, int unproven, int healthy) {
    Budget& place = places_[stage][cell];
    if (place.unproven + unproven < 0 || place.healthy + healthy < 0) return false;
    for (Budget* budget : {&place, &cells_[cell], &stages_[stage], &release_}) {
      budget->unproven += unproven;
      budget->healthy += healthy;
    }
    return true;
  }

  int64_t Room(int stage) { return Tokens(release_, stages_[stage], m_r_, std::nullopt, std::nullopt); }

  void Poll(int stage, int cell) {
    if (!CellIsOpen(cells_[cell].unproven, stages_[stage].b0, cells_[cell].healthy)) return;
    buckets_[stage].LimitTokens(Room(stage));
    if (buckets_[stage].Ask(Uniform(), Uniform()).arm != Arm::kTreatment) return;
    Move(stage, cell, 1, 0);
    ++exposed_;
    const auto bounded = [&](const Budget& b, int64_t b0) { return b.unproven <= b0 + b.healthy; };
    ASSERT_TRUE(bounded(release_, release_.b0)) << release_.unproven << " unproven in the release";
    ASSERT_TRUE(bounded(stages_[stage], stages_[stage].b0))
        << stages_[stage].unproven << " in stage " << stage;
    ASSERT_TRUE(bounded(cells_[cell], stages_[stage].b0)) << cells_[cell].unproven << " in cell " << cell;
  }

  std::mt19937_64 random_;
  Budget release_{.b0 = 4};
  std::array<Budget, 2> stages_{Budget{.b0 = 1}, Budget{.b0 = 4}};
  std::array<Budget, 3> cells_;
  std::array<std::array<Budget, 3>, 2> places_;
  std::array<Bucket, 2> buckets_;
  double m_r_ = 1.0;
  int64_t exposed_ = 0;
};

TEST(GovernorPropertyTest, Invariant6UnprovenNeverExceedTheBudgetWhateverTheOrderOfPolls) {
  const uint64_t seed = test::Seed(20240719);
  int64_t exposed = 0;
  for (uint64_t history = 0; history < 1000; ++history) {
    SCOPED_TRACE(seed + history);
    Fleet fleet(seed + history);
    fleet.Run(1000);
    if (HasFatalFailure()) return;
    exposed += fleet.exposed();
  }
  EXPECT_GT(exposed, 10'000);  // the histories are not idle
}

}  // namespace
}  // namespace ringfence::policy
