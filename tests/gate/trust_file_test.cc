// The trust file: all of it is understood, or none of it is believed.
#include "server/gate/trust_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gate/throwaway.h"

namespace ringfence::gate {
namespace {

using testing::HasSubstr;

constexpr char kGood[] = R"(format: ringfence-trust/1
throwaway: true
qualification:
  keys: [laboratory.pem]
  threshold: 1
  tests: [boot, load]
release:
  keys: [release.pem, second.pem]
  threshold: 2
build: {keys: [build.pem]}
sensors:
  - {label: 7.11+, file: sensor.yaml}
  - sensor.yaml
opaque_channels: [signatures]
)";

class TrustFileTest : public testing::Test {
 protected:
  TrustFileTest() {
    for (const char* name : {"laboratory", "release", "second", "build"})
      Write(absl::StrCat(name, ".pem"), ThrowawayKey(name).public_key().ToPem());
    Write(
        "sensor.yaml",
        "format: ringfence-schema/1\nschema: 1\nsensors: [7.11.0]\nfields:\n  - {name: pipe, type: text}\n");
  }
  ~TrustFileTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  absl::StatusOr<Trust> Load(const std::string& text) {
    Write("trust.yaml", text);
    return LoadTrust((folder_ / "trust.yaml").string());
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

TEST_F(TrustFileTest, IsReadWithTheKeysAndSensorsThatItNames) {
  const absl::StatusOr<Trust> trust = Load(kGood);
  ASSERT_TRUE(trust.ok()) << trust.status();
  EXPECT_TRUE(trust->throwaway);
  EXPECT_EQ(trust->laboratory, std::vector{ThrowawayKey("laboratory").public_key()});
  EXPECT_THAT(trust->tests, testing::ElementsAre("boot", "load"));
  EXPECT_NE(trust->authenticator, nullptr);
  ASSERT_TRUE(trust->build_keys.has_value());
  ASSERT_EQ(trust->sensors.size(), 2u);
  EXPECT_EQ(trust->sensors[0].label, "7.11+");
  EXPECT_EQ(trust->sensors[1].label, "7.11.0");
  EXPECT_TRUE(trust->opaque_channels.contains("signatures"));
}

TEST_F(TrustFileTest, AThresholdAboveTheNumberOfKeysIsRefusedWithItsLine) {
  EXPECT_THAT(FaultOf("threshold: 2", "threshold: 3"), HasSubstr("trust.yaml:9: release.threshold: found 3"));
  EXPECT_THAT(FaultOf("threshold: 1", "threshold: 0"), HasSubstr("qualification.threshold: found 0"));
}

TEST_F(TrustFileTest, OneKeyUnderTwoNamesIsRefused) {
  Write("second.pem", ThrowawayKey("release").public_key().ToPem());
  EXPECT_THAT(std::string(Load(kGood).status().message()), HasSubstr("a key that stands there already"));
}

TEST_F(TrustFileTest, WhatIsNotUnderstoodIsNotBelieved) {
  EXPECT_THAT(FaultOf("throwaway: true", "throwaway: maybe"), HasSubstr("throwaway"));
  EXPECT_THAT(FaultOf("opaque_channels", "opaque_channel"), HasSubstr("unknown key"));
  EXPECT_THAT(FaultOf("ringfence-trust/1", "ringfence-trust/2"), HasSubstr("wanted ringfence-trust/1"));
  EXPECT_THAT(FaultOf("laboratory.pem", "nobody.pem"), HasSubstr("cannot be read"));
  EXPECT_THAT(FaultOf("tests: [boot, load]", "tests: []"), HasSubstr("qualification.tests"));
  EXPECT_THAT(FaultOf("qualification:", "qualifications:"), HasSubstr("unknown key"));
  EXPECT_THAT(FaultOf("format:", "format: ["), HasSubstr("trust.yaml:"));
}

}  // namespace
}  // namespace ringfence::gate
