// What is decided at the first start holds at every later one.
#include "server/api/installation.h"

#include <gtest/gtest.h>

namespace ringfence::api {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

InstallationWish Wish(std::optional<std::string> tenant, bool demo = false, double scale = 1) {
  InstallationWish wish;
  wish.internal_tenant = std::move(tenant);
  wish.demo = demo;
  wish.time_scale = scale;
  return wish;
}

class InstallationTest : public testing::Test {
 protected:
  absl::StatusOr<Installation> Open(const InstallationWish& wish, absl::Time now = kStart) {
    return OpenInstallation(*store_, wish, now);
  }
  // The application stores its internal tenant when it starts.
  void AppStarts(const std::string& tenant) {
    ASSERT_TRUE(
        store_->ReadWrite([&](storage::Transaction& tx) { return tx.PutSetting("internal_tenant", tenant); })
            .ok());
  }
  std::unique_ptr<storage::Store> store_ = storage::MakeMemoryStore();
};

TEST_F(InstallationTest, TheFirstStartNamesTheInternalTenant) {
  EXPECT_TRUE(absl::IsInvalidArgument(Open(Wish(std::nullopt)).status()));
  const absl::StatusOr<Installation> first = Open(Wish("vendor"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->internal_tenant, "vendor");
}

TEST_F(InstallationTest, LaterStartsNeedNotNameIt) {
  ASSERT_TRUE(Open(Wish("vendor")).ok());
  AppStarts("vendor");
  EXPECT_EQ(Open(Wish(std::nullopt))->internal_tenant, "vendor");
}

TEST_F(InstallationTest, AReplicaThatFollowsWaitsForTheFirstStartAndMakesNothing) {
  const auto read = [&](const InstallationWish& wish) {
    return ReadInstallation(*store_, wish, kStart + absl::Hours(1));
  };
  EXPECT_TRUE(absl::IsUnavailable(read(Wish("vendor", true, 60)).status()));
  ASSERT_TRUE(Open(Wish("vendor", true, 60)).ok());
  EXPECT_TRUE(absl::IsUnavailable(read(Wish("vendor", true, 60)).status()))
      << "the application has not started";
  AppStarts("vendor");
  EXPECT_EQ(read(Wish(std::nullopt, true, 60))->clock_anchor, kStart);
  EXPECT_TRUE(absl::IsFailedPrecondition(read(Wish("other", true, 60)).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(read(Wish("vendor", true, 30)).status()));
}

TEST_F(InstallationTest, ADemonstrationsClockGoesOnFromItsAnchor) {
  ASSERT_TRUE(Open(Wish("vendor", true, 60)).ok());
  AppStarts("vendor");
  EXPECT_EQ(Open(Wish(std::nullopt, true, 60), kStart + absl::Hours(1))->clock_anchor, kStart);
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(Wish(std::nullopt, true, 30)).status()));
}

TEST_F(InstallationTest, ADemonstrationsDatabaseServesNoRealFleet) {
  ASSERT_TRUE(Open(Wish("vendor", true)).ok());
  AppStarts("vendor");
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(Wish("vendor", false)).status()));
}

TEST_F(InstallationTest, ARealFleetsDatabaseServesNoDemonstration) {
  ASSERT_TRUE(Open(Wish("vendor")).ok());
  AppStarts("vendor");
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(Wish("vendor", true)).status()));
}

}  // namespace
}  // namespace ringfence::api
