// The background rates that guard A compares with: learned from controls by kind of host and hour of week,
// kept in the store, and read again.
#include "server/app/background.h"

#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using app::Background;

// A Monday, 9:30 in UTC.
const absl::Time kMonday = absl::FromUnixSeconds(1'699'867'800);

void CountMany(Background& background, policy::HostClass host_class, absl::Time at, int spells, int silent) {
  for (int i = 0; i < spells; ++i) background.Count(host_class, at, {i < silent, false});
}

TEST(BackgroundTest, WithoutHistoryTwoPercentAreExpected) {
  const policy::BackgroundRates rates = Background().At(kMonday);
  ASSERT_EQ(rates.size(), Background::kClasses);
  for (const auto& of_class : rates) {
    EXPECT_DOUBLE_EQ(of_class[0], 0.02);
    EXPECT_DOUBLE_EQ(of_class[1], 0.02);
  }
}

TEST(BackgroundTest, AnHourIsShrunkToItsKindOfHostAndThatToTwoPercent) {
  Background background;
  const policy::HostClass laptop = background.ClassOf("laptop"), server = background.ClassOf("server");
  CountMany(background, laptop, kMonday, 150, 60);
  CountMany(background, laptop, kMonday + absl::Hours(5), 250, 0);
  const double of_class = (60 + 50 * 0.02) / (400 + 50);
  EXPECT_NEAR(background.At(kMonday)[laptop][0], (60 + 50 * of_class) / (150 + 50), 1e-12);
  EXPECT_NEAR(background.At(kMonday + absl::Hours(5))[laptop][0], 50 * of_class / (250 + 50), 1e-12);
  EXPECT_NEAR(background.At(kMonday + absl::Hours(30))[laptop][0], of_class, 1e-12) << "an hour never seen";
  EXPECT_NEAR(background.At(kMonday)[laptop][1], 50 * (50 * 0.02 / 450) / 200, 1e-12) << "nobody crashed";
  EXPECT_DOUBLE_EQ(background.At(kMonday)[server][0], 0.02) << "servers are others";
}

TEST(BackgroundTest, AWeekCountsThreeQuartersOfTheNext) {
  Background background;
  const policy::HostClass laptop = background.ClassOf("laptop");
  CountMany(background, laptop, kMonday, 100, 40);
  const absl::Time later = kMonday + absl::Hours(2 * 168);
  const double kept = 0.75 * 0.75;
  const double of_class = (40 * kept + 1) / (100 * kept + 50);
  EXPECT_NEAR(background.At(later)[laptop][0], (40 * kept + 50 * of_class) / (100 * kept + 50), 1e-12);
  CountMany(background, laptop, later, 100, 0);
  const double anew = (40 * kept + 1) / (100 * kept + 100 + 50);
  EXPECT_NEAR(background.At(later)[laptop][0], (40 * kept + 50 * anew) / (100 * kept + 100 + 50), 1e-12);
}

TEST(BackgroundTest, MoreKindsThanThereIsRoomForShareTheLast) {
  Background background;
  for (size_t i = 0; i + 1 < Background::kClasses; ++i) {
    EXPECT_EQ(background.ClassOf("kind " + std::to_string(i)), i);
  }
  EXPECT_EQ(background.ClassOf("one more"), Background::kClasses - 1);
  EXPECT_EQ(background.ClassOf("and another"), Background::kClasses - 1);
  EXPECT_EQ(background.ClassOf("kind 0"), 0);
}

TEST(BackgroundTest, WhatIsWrittenGivesTheSameRatesAfterARestart) {
  Background background;
  const policy::HostClass laptop = background.ClassOf("laptop");
  CountMany(background, laptop, kMonday, 77, 13);
  const std::vector<storage::BackgroundRow> rows = background.TakeUnsaved();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].hour_of_week, 9);
  EXPECT_TRUE(background.TakeUnsaved().empty());
  background.GiveBack(rows);
  EXPECT_EQ(background.TakeUnsaved(), rows) << "what could not be written";
  Background later;
  later.Restore(rows);
  EXPECT_EQ(later.At(kMonday), background.At(kMonday));
  EXPECT_TRUE(later.TakeUnsaved().empty());
}

// ---- in the server

std::vector<storage::BackgroundRow> Stored(FleetHarness& fleet) {
  std::vector<storage::BackgroundRow> rows;
  EXPECT_TRUE(fleet.store()
                  .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                    rows = *tx.Background();
                    return absl::OkStatus();
                  })
                  .ok());
  return rows;
}

void AddKind(FleetHarness& fleet, const std::string& platform, int count) {
  for (int i = 0; i < count; ++i) {
    fleet.AddHost("vendor", {{"ring", "dogfood"}, {"platform", platform}});
  }
}

TEST(BackgroundTest, TheServerLearnsFromControlsOfEachKindAndKeepsIt) {
  FleetHarness fleet;
  AddKind(fleet, "windows", 60);
  AddKind(fleet, "linux", 20);
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 40; }, absl::Hours(12)));
  const std::vector<storage::BackgroundRow> rows = Stored(fleet);
  double windows = 0, linux = 0;
  for (const storage::BackgroundRow& row : rows) {
    EXPECT_EQ(row.silent, 0);
    (row.host_class == "windows" ? windows : linux) += row.spells;
    EXPECT_TRUE(row.host_class == "windows" || row.host_class == "linux") << row.host_class;
  }
  EXPECT_GT(windows, linux);
  EXPECT_GT(linux, 0);
}

// Hosts of which a good part is silent in any hour, and a release that bricks each host: guard A, which
// compares with what is usual, is the slower the more is usual.
double GuardAfter(double usual_share, bool restart) {
  FleetHarness fleet;
  AddKind(fleet, "windows", 40);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  std::vector<storage::BackgroundRow> rows;
  for (int hour = 0; hour < Background::kHours; ++hour) {
    const int64_t week = (absl::ToUnixSeconds(fleet.now()) / 3600 + 72) / 168;
    rows.push_back({"windows", hour, week, 1000, 1000 * usual_share, 0});
  }
  EXPECT_TRUE(fleet.store().ReadWrite([&](storage::Transaction& tx) { return tx.PutBackground(rows); }).ok());
  fleet.Start();
  fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  fleet.Publish();
  if (restart) {
    fleet.RunFor(absl::Minutes(1));
    fleet.Restart();
  }
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.m_a != 1; }, absl::Hours(12)));
  return fleet.Rollout(1).health.m_a;
}

TEST(BackgroundTest, WhatIsKeptIsWhatGuardAComparesWith) {
  const double quiet = GuardAfter(0.001, false);
  const double noisy = GuardAfter(0.2, false);
  EXPECT_GT(quiet, 3 * noisy);
  EXPECT_GT(noisy, 1);
  EXPECT_NEAR(GuardAfter(0.2, true), noisy, 0.1 * noisy)
      << "also after a restart, but for what was drawn since";
}

}  // namespace
}  // namespace ringfence::test
