// A leader that was overtaken commits nothing, whatever it believes.
#include "server/storage/fenced_store.h"

#include <gtest/gtest.h>

#include "ringfence/base/status_macros.h"

namespace ringfence::storage {
namespace {

int64_t TakeOver(Store& store, const char* replica) {
  int64_t epoch = 0;
  EXPECT_TRUE(store
                  .ReadWrite([&](Transaction& tx) -> absl::Status {
                    ASSIGN_OR_RETURN(epoch, tx.TakeLeaderEpoch(replica, absl::UnixEpoch()));
                    return absl::OkStatus();
                  })
                  .ok());
  return epoch;
}

absl::Status Write(Store& store, const char* value) {
  return store.ReadWrite([&](Transaction& tx) { return tx.PutSetting("colour", value); });
}

std::string Colour(Store& store) {
  std::string colour;
  EXPECT_TRUE(store
                  .ReadWrite([&](Transaction& tx) -> absl::Status {
                    ASSIGN_OR_RETURN(const auto value, tx.Setting("colour"));
                    colour = value.value_or("none");
                    return absl::OkStatus();
                  })
                  .ok());
  return colour;
}

TEST(FencedStoreTest, AnOvertakenLeaderCommitsNothing) {
  const std::unique_ptr<Store> store = MakeMemoryStore();
  FencedStore first(store.get(), TakeOver(*store, "a"));
  EXPECT_TRUE(Write(first, "red").ok());
  FencedStore second(store.get(), TakeOver(*store, "b"));
  EXPECT_TRUE(absl::IsAborted(Write(first, "green")));
  EXPECT_EQ(Colour(*store), "red");
  EXPECT_TRUE(Write(second, "blue").ok());
  EXPECT_EQ(Colour(*store), "blue");
}

TEST(FencedStoreTest, GoesOnUnderItsNewEpoch) {
  const std::unique_ptr<Store> store = MakeMemoryStore();
  FencedStore leader(store.get(), TakeOver(*store, "a"));
  leader.SetEpoch(TakeOver(*store, "a"));  // the session broke, and nobody was faster
  EXPECT_TRUE(Write(leader, "red").ok());
}

}  // namespace
}  // namespace ringfence::storage
