// Whom a server believes: all of it is understood, or none of it is believed.
#include "server/gate/load_trust.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/trust/sealed_key.h"
#include "tests/gate/throwaway.h"

namespace ringfence::gate {
namespace {

using testing::HasSubstr;

constexpr char kGood[] = R"(format: ringfence-sensors/1
sensors:
  - {label: 7.11+, file: sensor.yaml}
  - sensor.yaml
)";

class LoadTrustTest : public testing::Test {
 protected:
  LoadTrustTest() {
    Write("root.json", ThrowawayRepository({}).trust().root);
    Write(
        "sensor.yaml",
        "format: ringfence-schema/1\nschema: 1\nsensors: [7.11.0]\nfields:\n  - {name: pipe, type: text}\n");
  }
  ~LoadTrustTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  std::string At(const std::string& name) const { return (folder_ / name).string(); }
  absl::StatusOr<Trust> Load(const std::string& text) {
    Write("sensors.yaml", text);
    return LoadTrust(At("root.json"), At("sensors.yaml"));
  }
  std::string FaultOf(const char* old, const char* changed) {
    return std::string(Load(absl::StrReplaceAll(kGood, {{old, changed}})).status().message());
  }

 private:
  std::filesystem::path folder_ = [] {
    std::string path = std::filesystem::temp_directory_path() / "ringfence-trust-XXXXXX";
    return std::filesystem::path(::mkdtemp(path.data()));
  }();
};

TEST_F(LoadTrustTest, TheRootIsTheTrustedStartAndItsMarkIsSeen) {
  const absl::StatusOr<Trust> trust = Load(kGood);
  ASSERT_TRUE(trust.ok()) << trust.status();
  EXPECT_TRUE(trust->throwaway);
  EXPECT_EQ(trust->root, ThrowawayRepository({}).trust().root);
  ASSERT_EQ(trust->sensors.size(), 2u);
  EXPECT_EQ(trust->sensors[0].label, "7.11+");
  EXPECT_EQ(trust->sensors[1].label, "7.11.0");
  EXPECT_EQ(trust->timestamp_key, nullptr);
}

TEST_F(LoadTrustTest, ARootThatItsOwnKeysDidNotSignIsNone) {
  std::string root = ThrowawayRepository({}).trust().root;
  ASSERT_EQ(absl::StrReplaceAll({{"\"version\": 1", "\"version\": 2"}}, &root), 1);
  Write("root.json", root);
  EXPECT_THAT(std::string(Load(kGood).status().message()), HasSubstr("root.json: bad_signature"));
  Write("root.json", "{}");
  EXPECT_THAT(std::string(Load(kGood).status().message()), HasSubstr("root.json: malformed"));
}

TEST_F(LoadTrustTest, SensorsMayBeLeftOut) {
  const absl::StatusOr<Trust> trust = LoadTrust(At("root.json"), "");
  ASSERT_TRUE(trust.ok()) << trust.status();
  EXPECT_TRUE(trust->sensors.empty());
}

TEST_F(LoadTrustTest, WhatIsNotUnderstoodIsNotBelieved) {
  EXPECT_THAT(FaultOf("sensors:", "sensor:"), HasSubstr("sensors.yaml:2: sensor: found an unknown key"));
  EXPECT_THAT(FaultOf("ringfence-sensors/1", "ringfence-sensors/2"), HasSubstr("wanted ringfence-sensors/1"));
  EXPECT_THAT(FaultOf("- sensor.yaml", "- nobody.yaml"), HasSubstr("cannot be read"));
  EXPECT_THAT(FaultOf("format:", "format: ["), HasSubstr("sensors.yaml:"));
}

TEST_F(LoadTrustTest, TheTimestampKeyIsPemOrAFileOfTheKeysTool) {
  const trust::SigningKey key = ThrowawayKey("timestamp");
  Write("key.pem", key.ToPem());
  EXPECT_EQ(LoadTimestampKey(At("key.pem"), "")->public_key(), key.public_key());
  const std::string seed(32, 's');
  Write("sealed.key", *trust::SealKey(seed, "nobody", "a passphrase of the test", trust::kMinScryptLog2));
  Write("passphrase", "a passphrase of the test\n");
  EXPECT_EQ(LoadTimestampKey(At("sealed.key"), At("passphrase"))->public_key(),
            trust::SigningKey::FromSeed(seed)->public_key());
  EXPECT_FALSE(LoadTimestampKey(At("sealed.key"), "").ok());
}

}  // namespace
}  // namespace ringfence::gate
