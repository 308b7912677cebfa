// The release repository's files by the names that a client asks for.
#include "server/app/trust_shelf.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/support/recording_store.h"

namespace ringfence::app {
namespace {

class TrustShelfTest : public testing::Test {
 protected:
  void Put(const std::string& name, const std::string& bytes) {
    const storage::TrustDocumentRow row{name, Sha256(bytes), bytes, absl::UnixEpoch()};
    ASSERT_TRUE(store.ReadWrite([&](storage::Transaction& tx) { return tx.PutTrustDocument(row); }).ok());
    shelf.Forget();
  }
  std::string Get(const std::string& file) {
    const auto bytes = shelf.Get(file);
    return bytes.ok() ? **bytes : absl::StrCat(absl::StatusCodeToString(bytes.status().code()));
  }

  std::unique_ptr<storage::Store> memory = storage::MakeMemoryStore();
  test::RecordingStore store{memory.get(), [](const test::Changes&) {}, 1};
  TrustShelf shelf{&store};
};

TEST_F(TrustShelfTest, ATargetIsFoundWithItsHashAndWithout) {
  Put("trust.json", "old");
  Put("trust.json", "new");
  const std::string envelope = "an envelope", hex = Sha256(envelope).ToString();
  Put("qual/" + hex, envelope);
  EXPECT_EQ(Get("trust.json"), "new");
  EXPECT_EQ(Get(Sha256("old").ToString() + ".trust.json"), "old");
  EXPECT_EQ(Get(Sha256("other").ToString() + ".trust.json"), "NOT_FOUND");
  EXPECT_EQ(Get("qual/" + hex), envelope);
  EXPECT_EQ(Get(absl::StrCat("qual/", hex, ".", hex)), envelope);
}

TEST_F(TrustShelfTest, MetadataGoesByItsWholeName) {
  Put("7.snapshot.json", "seven");
  EXPECT_EQ(Get("7.snapshot.json"), "seven");
  EXPECT_EQ(Get("8.snapshot.json"), "NOT_FOUND");
  EXPECT_EQ(Get("../7.snapshot.json"), "NOT_FOUND");
}

TEST_F(TrustShelfTest, TheStoreIsAskedOnceForEachNameUntilSomethingIsStored) {
  Put("timestamp.json", "one");
  const int64_t before = store.calls();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Get("timestamp.json"), "one");
    EXPECT_EQ(Get("2.root.json"), "NOT_FOUND");
  }
  EXPECT_EQ(store.calls(), before + 2);
  Put("timestamp.json", "two");
  EXPECT_EQ(Get("timestamp.json"), "two");
}

TEST_F(TrustShelfTest, AStoreThatIsAwayIsNotRememberedAsNothing) {
  Put("timestamp.json", "one");
  store.down = true;
  EXPECT_EQ(Get("timestamp.json"), "UNAVAILABLE");
  store.down = false;
  EXPECT_EQ(Get("timestamp.json"), "one");
}

TEST_F(TrustShelfTest, NoFloodOfNamesFillsMemory) {
  for (int i = 0; i < 40'000; ++i) EXPECT_EQ(Get(absl::StrCat(i, ".root.json")), "NOT_FOUND");
  const int64_t before = store.calls();
  EXPECT_EQ(Get("0.root.json"), "NOT_FOUND");  // was dropped on the way
  EXPECT_EQ(store.calls(), before + 1);
}

}  // namespace
}  // namespace ringfence::app
