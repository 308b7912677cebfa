// What is asked of bytes that nobody signed.
#include "server/gate/gate.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/gate/throwaway.h"

namespace ringfence::gate {
namespace {

class GateTest : public testing::Test {
 protected:
  GateTest() {
    release.channel = "ipc-detect";
    release.serial = 1042;
    release.version = "2026.11.22.3";
    release.matrix = {{}};
    const content::SensorVersion sensor = *content::SensorVersion::Parse("7.11.0");
    Take(Throwaway::FileOf(Throwaway::ContentOf(release, sensor, sensor, 20, 3000)));
  }
  void Take(std::string file) {
    bytes = std::move(file);
    release.digest = Sha256(bytes);
  }
  // "word part field", or "passed".
  std::string Answer() const {
    const auto judged = Judge({&release, bytes});
    if (std::holds_alternative<Passed>(judged)) return "passed";
    const auto& refusal = std::get<trust::Refusal>(judged);
    return absl::StrCat(trust::Name(refusal.type), " ", refusal.part, " ", refusal.field);
  }

  policy::Release release;
  std::string bytes;
};

TEST_F(GateTest, SoundContentPassesAndThePublisherIsToldWhatNobodyLookedAt) {
  const auto judged = Judge({&release, bytes});
  ASSERT_EQ(Answer(), "passed");
  EXPECT_TRUE(std::get<Passed>(judged).is_fct1);
  EXPECT_EQ(std::get<Passed>(judged).warnings.size(), 1u);
}

TEST_F(GateTest, NothingAndZerosAreMalformedWhateverTheFormat) {
  Take("");
  EXPECT_EQ(Answer(), "malformed artifact bytes");
  Take(std::string(40'960, '\0'));
  EXPECT_EQ(Answer(), "malformed artifact bytes");
  release.kind = policy::ChannelKind::kSensor;
  EXPECT_EQ(Answer(), "malformed artifact bytes");
}

TEST_F(GateTest, WhatSaysThatItIsContentIsHeldToTheFormat) {
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  Take(bytes);
  EXPECT_EQ(Answer(), "malformed artifact trailer.sha256");
  Take("rules of another make");
  EXPECT_EQ(Answer(), "passed");
}

TEST_F(GateTest, AFileOfAnotherReleaseIsNoEvidenceForThisOne) {
  release.serial = 1043;
  EXPECT_EQ(Answer(), "evidence_mismatch manifest serial");
}

TEST_F(GateTest, AManifestOverOtherBytesIsAnEvidenceMismatch) {
  release.digest = Sha256("other bytes");
  EXPECT_EQ(Answer(), "evidence_mismatch manifest digest");
}

TEST_F(GateTest, ARefusalSurvivesItsWayThroughAStatus) {
  Take("");
  const auto refusal = std::get<trust::Refusal>(Judge({&release, bytes}));
  EXPECT_EQ(trust::RefusalFrom(trust::ToStatus(refusal)), refusal);
  EXPECT_EQ(trust::RefusalFrom(absl::InvalidArgumentError("no")), std::nullopt);
}

}  // namespace
}  // namespace ringfence::gate
