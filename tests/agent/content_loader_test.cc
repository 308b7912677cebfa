// The agent looks for itself, at staging and again at every load.
#include "ringfence/agent/content_loader.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/agent/artifact_store.h"
#include "ringfence/base/hash.h"
#include "tests/gate/throwaway.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;
using gate::Throwaway;
using testing::HasSubstr;

class ContentLoaderTest : public testing::Test {
 protected:
  ContentLoaderTest() {
    fs::create_directories(folder_ + "/artifacts");
    fs::create_directories(folder_ + "/current");
    rules_.channels = {"ipc"};
    rules_.sensors = {Throwaway::Sensor("x", "7.11.0", 20).schema};
    rules_.build_keys = {gate::ThrowawayKey("build").public_key()};
    rules_.serials_file = folder_ + "/serials";
  }
  ~ContentLoaderTest() override { fs::remove_all(folder_); }

  std::string ContentFile(uint64_t serial, size_t fields = 20, const std::string& channel = "ipc") const {
    policy::Release release;
    release.channel = channel;
    release.serial = serial;
    release.version = absl::StrCat("v", serial);
    // Not the rules' own: a test may take those away.
    const content::SensorVersion sensor = Throwaway::Sensor("x", "7.11.0", 20).schema.sensor;
    return Throwaway::FileOf(Throwaway::ContentOf(release, sensor, sensor, fields, 2000));
  }
  // As a download leaves it.
  std::string Downloaded(const std::string& bytes) const {
    std::string path = absl::StrCat(folder_, "/artifacts/", Sha256(bytes).ToString());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  ContentLoader Loader() { return ContentLoader(&links_, files_.get(), rules_); }
  absl::Status Check(const std::string& bytes, const std::string& channel = "ipc") {
    return Loader().Check(channel, Downloaded(bytes));
  }
  absl::Status Flip(const std::string& bytes) { return Loader().Flip("ipc", Downloaded(bytes)); }
  Digest RunsNow() {
    const std::vector<Running> running = links_.Attest();
    return running.empty() ? Digest{} : running[0].digest;
  }

  const std::string folder_ = [] {
    std::string pattern = (fs::temp_directory_path() / "ringfence-content-XXXXXX").string();
    return std::string(::mkdtemp(pattern.data()));
  }();
  ContentRules rules_;
  std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  LinkLoader links_{folder_ + "/current"};
};

// InvalidArgument is what the agent reports as a refusal, and a refusal halts the release.
#define EXPECT_REFUSED(status, text)                                       \
  do {                                                                     \
    const absl::Status refused = (status);                                 \
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);         \
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr(text)); \
  } while (false)

TEST_F(ContentLoaderTest, SoundContentIsStagedAndLoaded) {
  const std::string file = ContentFile(5);
  EXPECT_TRUE(Check(file).ok()) << Check(file);
  EXPECT_TRUE(Flip(file).ok());
  EXPECT_EQ(RunsNow(), Sha256(file));
}

TEST_F(ContentLoaderTest, WhatIsWrongIsRefusedAtStagingAndAtLoadAndWhatRunsStays) {
  const std::string good = ContentFile(5);
  ASSERT_TRUE(Flip(good).ok());
  std::string flipped = ContentFile(6);
  flipped[300] = static_cast<char>(flipped[300] ^ 1);
  rules_.build_keys->push_back(gate::ThrowawayKey("second build").public_key());
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {std::string(4096, '\0'), "malformed: BAD_MAGIC"},
           {ContentFile(6).substr(0, 1000), "malformed: LENGTH"},
           {flipped, "malformed: DIGEST"},
           {ContentFile(6, 21),
            "schema_mismatch: SCHEMA_MISMATCH: header.field_count (byte 44): found 21 inputs"},
           {ContentFile(6, 20, "other"), "evidence_mismatch: channel: found other"},
           {"no content at all", "malformed: TOO_SHORT"}}) {
    EXPECT_REFUSED(Check(bytes), text);
    EXPECT_REFUSED(Flip(bytes), text);
    EXPECT_EQ(RunsNow(), Sha256(good));
  }
  rules_.build_keys = {gate::ThrowawayKey("other build").public_key()};
  EXPECT_REFUSED(Check(ContentFile(6)), "bad_signature: SIGNATURE");
  EXPECT_REFUSED(Flip(good), "bad_signature: SIGNATURE");
}

TEST_F(ContentLoaderTest, BytesThatRottedSinceTheyWereStagedAreNotLoaded) {
  const std::string good = ContentFile(5), rotten = ContentFile(6);
  ASSERT_TRUE(Flip(good).ok());
  const std::string path = Downloaded(rotten);
  std::ofstream(path, std::ios::binary) << ContentFile(7);  // sound, but not what the name says
  EXPECT_REFUSED(Loader().Flip("ipc", path), "evidence_mismatch: artifact");
  EXPECT_EQ(RunsNow(), Sha256(good));
}

TEST_F(ContentLoaderTest, NoDowngradeIsStagedButAnOrderToGoBackIsLoaded) {
  const std::string first = ContentFile(5), second = ContentFile(6);
  ASSERT_TRUE(Flip(first).ok());
  ASSERT_TRUE(Flip(second).ok());
  ASSERT_TRUE(Flip(first).ok());  // ordered back
  EXPECT_EQ(RunsNow(), Sha256(first));
  EXPECT_REFUSED(Check(ContentFile(4)), "stale_version: header.serial: found 4, wanted above 6");
  EXPECT_REFUSED(Check(first), "stale_version");
  // The very bytes may come once more: the power may have failed over their flip.
  EXPECT_TRUE(Check(second).ok());
  EXPECT_TRUE(Check(ContentFile(7)).ok());
}

TEST_F(ContentLoaderTest, OtherChannelsCarryWhatTheyLikeUnlessItSaysThatItIsContent) {
  EXPECT_TRUE(Check("a package", "sensor").ok());
  EXPECT_REFUSED(Check(ContentFile(5, 21, "sensor"), "sensor"), "SCHEMA_MISMATCH");
  rules_.channels.clear();
  EXPECT_TRUE(Check("rules of another make").ok());
}

TEST_F(ContentLoaderTest, WhatItWasNotToldToCompareItDoesNotCompare) {
  rules_.sensors = std::nullopt;
  rules_.build_keys = std::nullopt;
  EXPECT_TRUE(Check(ContentFile(5, 21)).ok());
  EXPECT_REFUSED(Check(std::string(4096, '\0')), "malformed");
}

TEST_F(ContentLoaderTest, ADamagedMemoryOfSerialsForbidsNothing) {
  std::ofstream(rules_.serials_file) << "ipc\nipc many x\n\0\0 9";
  EXPECT_TRUE(Check(ContentFile(1)).ok());
  EXPECT_TRUE(Flip(ContentFile(1)).ok());
}

}  // namespace
}  // namespace ringfence::agent
