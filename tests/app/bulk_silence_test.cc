#include "server/app/bulk_silence.h"

#include <gtest/gtest.h>

namespace ringfence::app {
namespace {

// Two tenants in two sites: 100 hosts in each of the four places, ten of them with the release.
class BulkSilenceTest : public ::testing::Test {
 protected:
  static constexpr CellId kNorth = 0, kSouth = 1;
  BulkSilenceTest() {
    for (const uint32_t tenant : {0U, 1U}) {
      for (const CellId site : {kNorth, kSouth}) places_.Intern(tenant, 0, {site});
    }
  }
  size_t At(uint32_t tenant, CellId site) { return places_.Intern(tenant, 0, {site})->id; }
  void Fall(uint32_t tenant, CellId site, int64_t others, int64_t exposed) {
    const size_t place = At(tenant, site);
    fell_[place] += others + exposed;
    exposed_fell_[place] += exposed;
    heard_[place] -= others + exposed;
    exposed_heard_[place] -= exposed;
  }
  OutageReading Read() {
    return ReadOutages(places_, {heard_, exposed_heard_, fell_, exposed_fell_, /*usual=*/0.001});
  }

  PlaceTable places_;
  std::vector<int64_t> heard_ = {100, 100, 100, 100}, exposed_heard_ = {10, 10, 10, 10}, fell_ = {0, 0, 0, 0},
                       exposed_fell_ = {0, 0, 0, 0};
};

TEST_F(BulkSilenceTest, ASiteThatLosesItsLineExplainsItsHostsOfEveryTenant) {
  Fall(0, kNorth, 90, 10);
  Fall(1, kNorth, 90, 10);
  const OutageReading reading = Read();
  EXPECT_EQ(reading.explained[At(0, kNorth)], 1);
  EXPECT_EQ(reading.explained[At(1, kNorth)], 1);
  EXPECT_FALSE(reading.may_be_first);
}

TEST_F(BulkSilenceTest, ATenantThatGoesDarkExplainsItsHostsEverywhere) {
  Fall(1, kNorth, 90, 10);
  Fall(1, kSouth, 90, 10);
  const OutageReading reading = Read();
  EXPECT_EQ(reading.explained[At(1, kNorth)], 1);
  EXPECT_EQ(reading.explained[At(1, kSouth)], 1);
}

TEST_F(BulkSilenceTest, OneTenantsSiteExplainsWhatNeitherTenantNorSiteWould) {
  Fall(0, kNorth, 90, 10);
  EXPECT_EQ(Read().explained[At(0, kNorth)], 1);
}

TEST_F(BulkSilenceTest, ABrickIsNotExplainedByAnOutageElsewhere) {
  Fall(0, kNorth, 90, 10);
  Fall(1, kSouth, 0, 10);
  const OutageReading reading = Read();
  EXPECT_EQ(reading.explained[At(0, kNorth)], 1);
  EXPECT_EQ(reading.explained[At(1, kSouth)], 0);
}

TEST_F(BulkSilenceTest, ATenantThatGoesDarkExplainsAPlaceWithHardlyAControlLeft) {
  heard_[At(1, kSouth)] = 11;
  Fall(1, kNorth, 90, 10);
  Fall(1, kSouth, 1, 10);
  EXPECT_EQ(Read().explained[At(1, kSouth)], 1);
}

TEST_F(BulkSilenceTest, BricksAloneAreNeitherExplainedNorAnOutagesFirst) {
  Fall(0, kNorth, 0, 10);
  Fall(1, kNorth, 1, 10);
  const OutageReading reading = Read();
  EXPECT_EQ(reading.explained[At(0, kNorth)], 0);
  EXPECT_FALSE(reading.may_be_first);
}

TEST_F(BulkSilenceTest, TwoMayBeTheFirstOfAnOutage) {
  Fall(0, kNorth, 1, 2);
  EXPECT_TRUE(Read().may_be_first);
}

}  // namespace
}  // namespace ringfence::app
