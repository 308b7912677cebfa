// The publish gate: what passes, and for each thing that can be wrong the one word that says so.
#include "server/gate/gate.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/content/repair.h"
#include "tests/gate/throwaway.h"

namespace ringfence::gate {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class GateTest : public testing::Test {
 protected:
  GateTest() {
    release.channel = "ipc-detect";
    release.kind = policy::ChannelKind::kContent;
    release.serial = 1042;
    release.version = "2026.11.22.3";
    release.matrix = {{{{"os", {"win10"}}, {"sensor", {"7.11+"}}}},
                      {{{"os", {"rhel9"}}, {"sensor", {"7.11+"}}}}};
    Pack(20);
  }

  content::Content MakeContent(size_t fields) const {
    const content::SensorVersion from = *content::SensorVersion::Parse("7.11.0");
    const content::SensorVersion to = *content::SensorVersion::Parse("7.19.999");
    return Throwaway::ContentOf(release, from, to, fields, 3000);
  }
  // Bytes, and everything that a careful publisher makes of them.
  void Pack(size_t fields) { Sign(Throwaway::FileOf(MakeContent(fields))); }
  void Sign(std::string file) {
    bytes = std::move(file);
    release.digest = Sha256(bytes);
    release.size_bytes = static_cast<int64_t>(bytes.size());
    signature = Throwaway::Signature(release);
    evidence = {Throwaway::Evidence(release.digest, Throwaway::PairsOf(release, trust))};
  }

  std::variant<Passed, trust::Refusal> Ask(bool trusting = true) const {
    return Judge({&release, bytes, evidence, signature}, trusting ? &trust : nullptr);
  }
  // "word part field", or "passed".
  std::string Answer(bool trusting = true) const {
    const auto judged = Ask(trusting);
    if (std::holds_alternative<Passed>(judged)) return "passed";
    const auto& refusal = std::get<trust::Refusal>(judged);
    return absl::StrCat(trust::Name(refusal.type), " ", refusal.part, " ", refusal.field);
  }
  std::string Text() const { return trust::ToString(std::get<trust::Refusal>(Ask())); }

  Trust trust = Throwaway::MakeTrust({Throwaway::Sensor("7.11+", "7.11.0", 20)});
  policy::Release release;
  std::string bytes, signature;
  std::vector<std::string> evidence;
};

TEST_F(GateTest, PassesWhatIsSoundSignedAndProven) {
  const auto judged = Ask();
  ASSERT_TRUE(std::holds_alternative<Passed>(judged)) << Text();
  const Passed& passed = std::get<Passed>(judged);
  EXPECT_TRUE(passed.is_fct1);
  EXPECT_TRUE(passed.is_signed);
  EXPECT_TRUE(passed.qualified);
  EXPECT_THAT(passed.warnings, IsEmpty());
}

TEST_F(GateTest, WithoutTrustNothingIsSignedOrProvenAndThePublisherIsTold) {
  const auto judged = Ask(false);
  const Passed& passed = std::get<Passed>(judged);
  EXPECT_FALSE(passed.is_signed);
  EXPECT_FALSE(passed.qualified);
  EXPECT_EQ(passed.warnings.size(), 2u);
}

TEST_F(GateTest, AFileOfZerosIsMalformedHoweverWellItIsSigned) {
  Sign(std::string(40960, '\0'));
  EXPECT_EQ(Answer(), "malformed artifact bytes");
  EXPECT_EQ(Answer(false), "malformed artifact bytes");
  EXPECT_THAT(Text(), HasSubstr("found 40960 zeros"));
}

TEST_F(GateTest, DamageIsMalformedThoughDigestAndSignaturesWereMadeAfterIt) {
  const std::string good = bytes;
  std::string zero_run = good;
  for (size_t i = good.size() / 4; i < good.size() / 2; ++i) zero_run[i] = '\0';
  Sign(zero_run);
  EXPECT_EQ(Answer(), "malformed artifact trailer.sha256") << Text();
  Sign(good.substr(0, good.size() / 2));
  EXPECT_EQ(Answer(), "malformed artifact header.total_len") << Text();
  std::string flipped = good;
  flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 1);
  Sign(flipped);
  EXPECT_EQ(Answer(), "malformed artifact trailer.sha256");
  EXPECT_EQ(Answer(false), "malformed artifact trailer.sha256");  // it says that it is content
  bytes.clear();
  EXPECT_EQ(Answer(), "malformed artifact bytes");
}

TEST_F(GateTest, TwentyOneInputsForASensorWithTwentyAreASchemaMismatch) {
  Pack(21);
  EXPECT_EQ(Answer(), "schema_mismatch artifact header.field_count");
  EXPECT_THAT(Text(), HasSubstr("found 21 inputs (SCHEMA_MISMATCH"));
}

TEST_F(GateTest, EverySensorThatTheMatrixLetsInMustBeInTheRangeOfTheFile) {
  trust.sensors.push_back(Throwaway::Sensor("7.10", "7.10.0", 20));
  EXPECT_EQ(Answer(), "passed") << Text();
  release.matrix[1].all_of[1].any_of = {"7.10", "7.11+"};
  Sign(bytes);
  EXPECT_EQ(Answer(), "schema_mismatch artifact header.sensor_min");
  EXPECT_THAT(Text(), HasSubstr("sensor=7.10"));
  release.matrix[1].all_of.pop_back();  // any sensor
  Sign(bytes);
  EXPECT_EQ(Answer(), "schema_mismatch artifact header.sensor_min");
  release.targets = {{{"sensor", {"7.11+"}}}};  // but not a target
  Sign(bytes);
  EXPECT_EQ(Answer(), "passed") << Text();
}

TEST_F(GateTest, ASensorThatNobodyRegisteredIsASchemaMismatch) {
  release.matrix[0].all_of[1].any_of = {"7.12"};
  Sign(bytes);
  EXPECT_EQ(Answer(), "schema_mismatch manifest matrix[0].sensor");
  trust.sensors.clear();
  EXPECT_EQ(Answer(), "schema_mismatch artifact header.sensor_min");
}

TEST_F(GateTest, MoreEntriesThanAReaderTakesExceedTheLimit) {
  content::SetNumber(&bytes, content::header::kFieldCountAt, 257, 2);
  const trust::SigningKey key = ThrowawayKey("build");
  content::Repair(&bytes, &key);
  Sign(bytes);
  EXPECT_EQ(Answer(), "limit_exceeded artifact header.field_count") << Text();
}

TEST_F(GateTest, AFileOfAnotherReleaseIsNoEvidenceForThisOne) {
  release.serial = 1043;
  Sign(bytes);
  EXPECT_EQ(Answer(), "evidence_mismatch manifest serial");
  EXPECT_EQ(Answer(false), "evidence_mismatch manifest serial");
}

TEST_F(GateTest, AManifestOverOtherBytesIsAnEvidenceMismatch) {
  release.digest = Sha256("other bytes");
  EXPECT_EQ(Answer(), "evidence_mismatch manifest digest");
}

TEST_F(GateTest, NoSignatureAWrongKeyAndAChangedManifestAreBadSignatures) {
  const std::string good = signature;
  signature.clear();
  EXPECT_EQ(Answer(), "bad_signature signature ");
  signature = Throwaway::Signature(release, "somebody");
  EXPECT_EQ(Answer(), "bad_signature signature signatures");
  signature = good;
  release.urgent = true;  // what was signed says nothing of that
  EXPECT_EQ(Answer(), "bad_signature signature payload");
  release.urgent = false;
  EXPECT_EQ(Answer(), "passed");
  signature = "no envelope";
  EXPECT_EQ(Answer().substr(0, 19), "malformed signature");
}

TEST_F(GateTest, TwoSignaturesOfOneKeyAreOne) {
  trust.authenticator =
      MakeManifestSignatures({ThrowawayKey("release").public_key(), ThrowawayKey("second").public_key()}, 2);
  signature = *trust::SealReleaseClaim(ClaimOf(release), ThrowawayKey("release"), signature);
  EXPECT_EQ(Answer(), "bad_signature signature signatures");
  signature = *trust::SealReleaseClaim(ClaimOf(release), ThrowawayKey("second"), signature);
  EXPECT_EQ(Answer(), "passed");
}

TEST_F(GateTest, WhatIsSignedHasOneSpelling) {
  policy::Release odd = release;
  odd.kind = policy::ChannelKind::kSensor;
  odd.version = "a \"b\" \\";
  odd.digest = Digest{};
  odd.size_bytes = 5;
  odd.targets = {{{"os", {"x", "y"}}}};
  odd.matrix = {{{{"os", {"x"}}}}, {}};
  EXPECT_EQ(
      trust::SerializeReleaseClaim(ClaimOf(odd)),
      R"({"channel":"ipc-detect","kind":"sensor","matrix":[[{"any_of":["x"],"key":"os"}],[]],"serial":1042,)"
      R"("sha256":"0000000000000000000000000000000000000000000000000000000000000000","size":5,)"
      R"("targets":[{"any_of":["x","y"],"key":"os"}],"urgent":false,"version":"a \"b\" \\"})");
}

TEST_F(GateTest, BuiltByAStrangerIsABadSignature) {
  trust.build_keys = {ThrowawayKey("other build").public_key()};
  EXPECT_EQ(Answer(), "bad_signature artifact trailer.keyid");
}

TEST_F(GateTest, NoEvidenceIsUnqualified) {
  evidence.clear();
  EXPECT_EQ(Answer(), "unqualified_artifact qualification ");
}

TEST_F(GateTest, EvidenceOfOtherBytesIsAMismatch) {
  evidence = {Throwaway::Evidence(Sha256("what was tested"), Throwaway::PairsOf(release, trust))};
  EXPECT_EQ(Answer(), "evidence_mismatch qualification subject.digest.sha256");
  evidence.insert(evidence.begin(), Throwaway::Evidence(release.digest, Throwaway::PairsOf(release, trust)));
  EXPECT_EQ(Answer(), "evidence_mismatch qualification[1] subject.digest.sha256");
}

TEST_F(GateTest, EvidenceOfAStrangerIsABadSignature) {
  evidence = {Throwaway::Evidence(release.digest, Throwaway::PairsOf(release, trust), "somebody")};
  EXPECT_EQ(Answer(), "bad_signature qualification signatures");
}

TEST_F(GateTest, AMatrixThatWasTestedInPartIsIncompleteAndOneThatWasNotIsUnqualified) {
  evidence = {Throwaway::Evidence(release.digest, {{"os=win10", "7.11+"}})};
  EXPECT_EQ(Answer(), "incomplete_set qualification predicate.passedTests");
  EXPECT_THAT(Text(), HasSubstr("1 of 2 of the matrix, not os=rhel9 with sensor 7.11+"));
  evidence = {Throwaway::Evidence(release.digest, {{"os=win11", "7.11+"}})};
  EXPECT_EQ(Answer(), "unqualified_artifact qualification predicate.passedTests");
  evidence = {Throwaway::Evidence(release.digest, {{"os=win10", "7.11+"}}),
              Throwaway::Evidence(release.digest, {{"os=rhel9", "7.11+"}})};
  EXPECT_EQ(Answer(), "passed");  // two laboratories, one matrix
}

TEST_F(GateTest, OnlyAnOpaqueChannelMayCarryOtherContent) {
  Sign("rules of another make");
  EXPECT_EQ(Answer(), "malformed artifact file") << Text();
  EXPECT_EQ(Answer(false), "passed");
  trust.opaque_channels = {"ipc-detect"};
  EXPECT_EQ(Answer(), "passed") << Text();
  Pack(21);  // says that it is content, so it is held to it
  EXPECT_EQ(Answer(), "schema_mismatch artifact header.field_count");
}

TEST_F(GateTest, ASensorReleaseIsTestedUnderItsOwnVersion) {
  release.kind = policy::ChannelKind::kSensor;
  release.matrix = {{{{"os", {"debian12"}}, {"kernel", {"6.1.0-18", "6.1.0-20"}}}}};
  Sign("a package");
  EXPECT_EQ(Answer(), "passed") << Text();
  EXPECT_THAT(Throwaway::PairsOf(release, trust),
              testing::ElementsAre(trust::Covered{"kernel=6.1.0-18,os=debian12", "2026.11.22.3"},
                                   trust::Covered{"kernel=6.1.0-20,os=debian12", "2026.11.22.3"}));
  evidence = {Throwaway::Evidence(release.digest, {{"kernel=6.1.0-18,os=debian12", "2026.11.22.3"}})};
  EXPECT_EQ(Answer(), "incomplete_set qualification predicate.passedTests");
}

TEST_F(GateTest, ALabelThatReadsLikeTwoNamesNoPlatform) {
  evidence = {Throwaway::Evidence(release.digest, {{"os=win10", "7.11+"}})};
  release.matrix[0].all_of[0].any_of = {"win10,arch=x64"};
  signature = Throwaway::Signature(release);
  EXPECT_EQ(Answer(), "malformed manifest matrix[0]");
}

TEST_F(GateTest, AMatrixOfTooManyCombinationsExceedsTheLimit) {
  std::vector<std::string> many;
  for (int i = 0; i < 256; ++i) many.push_back(absl::StrCat("v", i));
  release.matrix[0].all_of = {{"a", many}, {"b", many}, {"c", many}, {"sensor", {"7.11+"}}};
  signature = Throwaway::Signature(release);
  EXPECT_EQ(Answer(), "limit_exceeded manifest matrix");
}

TEST_F(GateTest, DocumentsAreBoundedWhetherOrNotTheyAreRead) {
  evidence.assign(9, evidence[0]);
  EXPECT_EQ(Answer(false), "limit_exceeded qualification ");
  evidence = {std::string(trust::kMaxEnvelopeBytes + 1, 'x')};
  EXPECT_EQ(Answer(), "limit_exceeded qualification ");
}

TEST_F(GateTest, ARefusalSurvivesItsWayThroughAStatus) {
  Pack(21);
  const auto refusal = std::get<trust::Refusal>(Ask());
  EXPECT_EQ(trust::RefusalFrom(trust::ToStatus(refusal)), refusal);
  EXPECT_EQ(trust::RefusalFrom(absl::InvalidArgumentError("no")), std::nullopt);
}

}  // namespace
}  // namespace ringfence::gate
