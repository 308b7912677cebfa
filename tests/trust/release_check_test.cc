#include "ringfence/trust/release_check.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualify.h"
#include "ringfence/tuf/fault.h"
#include "tests/content/builders.h"

namespace ringfence::trust {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const SigningKey& Lab() {
  static const SigningKey key = *SigningKey::FromSeed(std::string(32, 'q'));
  return key;
}

// A release of two-field content, tested on linux with sensor 7.11.0, and a host that it suits. A test
// changes one thing and asks.
class ReleaseCheckTest : public ::testing::Test {
 protected:
  ReleaseCheckTest() {
    terms.channel = "ipc-detect";
    terms.version = "2026.11.22.3";
    terms.serial = 1042;
    terms.published_at = absl::FromUnixSeconds(1'795'000'000);
    terms.rollback_floor = 1038;
    terms.platforms = {"windows/x86_64/10.0.22631+", "linux/x86_64/debian-12"};
    terms.sensor_min = content::Version("7.11.0");
    terms.sensor_max = content::Version("7.19.999");
    terms.schema = {{"ipc", 2}};
    trust.version = 1;
    trust.roles["qualification"] = {{{Lab().public_key(), ""}}, 1};
    trust.roles["content_build"] = {{{content::TestKey().public_key(), ""}}, 1};
    trust.matrices["ipc-detect"] = {Sha256("matrix"), {"boot", "load"}};
    schemas = {content::SensorWith(content::SmallContent().fields)};
    host.platform = "linux/x86_64/debian-12";
    host.sensor = content::Version("7.11.0");
    host.schemas = schemas;
    host.highest_serial = 1041;
    host.rollback_floor = 1030;
    artifact = content::Signed(content::SmallContent());
    tested = artifact;
  }

  std::string Envelope(const std::string& bytes, const std::string& platform,
                       const std::vector<std::string>& tests) {
    TestResults results;
    for (const std::string& test : tests) results.passed.insert({platform, "7.11.0", test});
    const TestStatement statement =
        MakeTestStatement("x", Sha256(bytes), results, {FileResource("matrix", "matrix")}, "");
    return *SealStatement(statement, Lab());
  }

  // "accepted", or the type and field of the refusal.
  std::string Judge(Step step = Step::kForward) {
    if (envelopes.empty()) envelopes = {Envelope(tested, evidence_platform, {"boot", "load"})};
    if (terms.qualification.empty()) {
      for (const std::string& envelope : envelopes) terms.qualification.push_back({Sha256(envelope), "lab"});
    }
    tuf::TargetFile target;
    target.path = "content/ipc-detect/2026.11.22.3.fct";
    target.info.length = static_cast<int64_t>(artifact.size());
    target.info.hashes["sha256"] = Sha256(listed.empty() ? artifact : listed).ToString();
    target.custom = *SerializeReleaseTerms(target.path, terms);
    const auto judged = CheckRelease(target, artifact, envelopes, trust, host, step);
    if (std::holds_alternative<ReleaseTerms>(judged)) {
      EXPECT_EQ(std::get<ReleaseTerms>(judged), terms);
      return "accepted";
    }
    const Refusal& refusal = std::get<Refusal>(judged);
    EXPECT_FALSE(refusal.found.empty()) << ToString(refusal);
    return absl::StrCat(Name(refusal.type), " ", refusal.field);
  }

  ReleaseTerms terms;
  TrustDocument trust;
  std::vector<content::SensorSchema> schemas;
  HostFacts host;
  std::string artifact, tested, listed, evidence_platform = "linux/x86_64/debian-12";
  std::vector<std::string> envelopes;
};

TEST_F(ReleaseCheckTest, AcceptsWhatIsRight) {
  EXPECT_EQ(Judge(), "accepted");
}

TEST_F(ReleaseCheckTest, RefusesARecalledRelease) {
  terms.revoked = true;
  EXPECT_EQ(Judge(), "known_bad revoked");
}

TEST_F(ReleaseCheckTest, RefusesWhatWasQuarantinedHere) {
  host.refused.insert(Sha256(artifact));
  EXPECT_EQ(Judge(), "known_bad sha256");
  EXPECT_EQ(Judge(Step::kKeep), "known_bad sha256");
}

TEST_F(ReleaseCheckTest, RefusesASerialThatIsNotHigher) {
  host.highest_serial = 1042;
  EXPECT_EQ(Judge(), "stale_version serial");
  host.highest_serial = 5000;
  EXPECT_EQ(Judge(), "stale_version serial");
}

TEST_F(ReleaseCheckTest, GoesBackOnlyWhenOrderedAndNotBehindTheFloor) {
  host.highest_serial = 1050;
  EXPECT_EQ(Judge(Step::kRollback), "accepted");
  host.rollback_floor = 1042;
  EXPECT_EQ(Judge(Step::kRollback), "accepted");
  host.rollback_floor = 1043;
  EXPECT_EQ(Judge(Step::kRollback), "stale_version serial");
  host.rollback_floor = 0;
  host.highest_serial = 1041;
  EXPECT_EQ(Judge(Step::kRollback), "stale_version serial") << "a way back is no way forward";
}

TEST_F(ReleaseCheckTest, LooksAtEverythingButTheSerialAgainAtALoad) {
  host.highest_serial = 1042;
  EXPECT_EQ(Judge(Step::kKeep), "accepted");
  artifact[100] = static_cast<char>(artifact[100] ^ 1);
  listed = tested;
  EXPECT_EQ(Judge(Step::kKeep), "evidence_mismatch bytes");
}

TEST_F(ReleaseCheckTest, RefusesAnotherPlatformAndAnotherSensor) {
  host.platform = "linux/x86_64/debian-11";
  EXPECT_EQ(Judge(), "unqualified_artifact platforms");
  host.platform = "linux/x86_64/debian-12";
  host.sensor = content::Version("7.20.0");
  EXPECT_EQ(Judge(), "unqualified_artifact requires.sensor_min");
}

// Listed, but nobody tested there: the April story.
TEST_F(ReleaseCheckTest, RefusesAListedPlatformWithoutEvidence) {
  evidence_platform = "windows/x86_64/10.0.22631";
  EXPECT_EQ(Judge(), "unqualified_artifact predicate.passedTests");
  host.platform = "windows/x86_64/10.0.22635";  // covered by "10.0.22631+"
  EXPECT_EQ(Judge(), "accepted");
}

TEST_F(ReleaseCheckTest, RefusesEvidenceOfOtherBytesOrTooFewTests) {
  tested = "what was tested before it was packed again";
  EXPECT_EQ(Judge(), "evidence_mismatch subject.digest.sha256");
  envelopes = {Envelope(artifact, evidence_platform, {"boot"})};
  terms.qualification.clear();
  EXPECT_EQ(Judge(), "unqualified_artifact predicate.passedTests");
}

TEST_F(ReleaseCheckTest, TakesOnlyEnvelopesThatAreListedAndAnyOneThatPasses) {
  envelopes = {Envelope(artifact, evidence_platform, {"boot", "load"})};
  terms.qualification = {{Sha256("another"), "lab"}};
  EXPECT_EQ(Judge(), "unqualified_artifact envelopes");
  envelopes.insert(envelopes.begin(), "no envelope");
  terms.qualification = {{Sha256(envelopes[0]), "lab"}, {Sha256(envelopes[1]), "lab"}};
  EXPECT_EQ(Judge(), "accepted");
}

TEST_F(ReleaseCheckTest, CountsNoRevokedKey) {
  trust.revoked.insert(Lab().public_key().KeyId());
  EXPECT_EQ(Judge(), "bad_signature signatures");
  trust.revoked = {content::TestKey().public_key().KeyId()};
  EXPECT_THAT(Judge(), HasSubstr("bad_signature trailer."));
}

TEST_F(ReleaseCheckTest, WithoutAMatrixOrARoleNothingPasses) {
  TrustDocument full = trust;
  trust.matrices.clear();
  EXPECT_EQ(Judge(), "unqualified_artifact matrices");
  trust = full;
  trust.roles.erase("qualification");
  EXPECT_EQ(Judge(), "bad_signature signatures");
  trust = full;
  trust.roles.erase("content_build");
  EXPECT_THAT(Judge(), HasSubstr("bad_signature trailer."));
}

// 21 inputs for a sensor that supplies 20, here 2 for 1: whether the listing says so or hides it.
TEST_F(ReleaseCheckTest, RefusesContentForAnotherNumberOfInputs) {
  schemas[0].fields.pop_back();
  EXPECT_EQ(Judge(), "schema_mismatch requires.schema.ipc");
  terms.schema = {{"ipc", 1}};
  EXPECT_EQ(Judge(), "schema_mismatch header.field_count");
  terms.schema = {};
  EXPECT_EQ(Judge(), "schema_mismatch requires.schema");
  terms.schema = {{"other", 2}};
  EXPECT_EQ(Judge(), "schema_mismatch requires.schema.other");
}

TEST_F(ReleaseCheckTest, RefusesContentThatSaysItIsAnotherRelease) {
  content::Content other = content::SmallContent();
  other.serial = 1043;
  artifact = tested = content::Signed(other);
  EXPECT_EQ(Judge(), "evidence_mismatch identity");
}

TEST_F(ReleaseCheckTest, RefusesZerosEvenIfTheyWereTestedAndListed) {
  artifact = tested = std::string(40000, '\0');
  EXPECT_THAT(Judge(), HasSubstr("malformed header.magic"));
}

TEST_F(ReleaseCheckTest, RefusesAListingWithoutSha256OrWithUnreadableTerms) {
  tuf::TargetFile target;
  target.path = "content/ipc-detect/x";
  target.info.length = 1;
  target.info.hashes["sha512"] = std::string(128, '0');
  target.custom = *SerializeReleaseTerms(target.path, terms);
  EXPECT_EQ(std::get<Refusal>(CheckListing(target, host, Step::kForward)).field, "hashes");
  target.custom = "{}";
  EXPECT_EQ(std::get<Refusal>(CheckListing(target, host, Step::kForward)).type, RefusalType::kMalformed);
}

TEST_F(ReleaseCheckTest, TheHostsMemoryOnlyGrows) {
  Remember(terms, &host);
  EXPECT_EQ(host.highest_serial, 1042u);
  EXPECT_EQ(host.rollback_floor, 1038u);
  terms.serial = 1039;
  terms.rollback_floor = 2;
  Remember(terms, &host);
  EXPECT_EQ(host.highest_serial, 1042u);
  EXPECT_EQ(host.rollback_floor, 1038u);
}

TEST(ReleaseTermsTest, TheKindAndChannelAreThoseOfThePath) {
  const std::string custom =
      R"({"kind":"content","channel":"c","version":"1","serial":1,"published_at":"2026-11-22T04:09:00Z",)"
      R"("urgency":"normal","rollback_floor":0,"platforms":[],"requires":{"sensor_min":"1.0.0","sensor_max":"1.0.0",)"
      R"("schema":{}},"qualification":[],"revoked":false})";
  EXPECT_TRUE(ParseReleaseTerms("content/c/x", custom).ok());
  for (const char* path : {"sensor/c/x", "content/d/x", "content/c", "c/x", ""})
    EXPECT_EQ(tuf::FaultOf(ParseReleaseTerms(path, custom).status()), tuf::Fault::kMalformed) << path;
}

TEST(ReleaseTermsTest, APlatformWithAPlusCoversLaterOnes) {
  const std::vector<std::string> platforms = {"windows/x86_64/10.0.22631+", "linux/x86_64/debian-12"};
  const std::pair<const char*, const char*> kCases[] = {
      {"windows/x86_64/10.0.22631", "windows/x86_64/10.0.22631"},
      {"windows/x86_64/10.0.26100", "windows/x86_64/10.0.22631"},
      {"windows/x86_64/11", "windows/x86_64/10.0.22631"},
      {"windows/x86_64/10.0.9", ""},
      {"windows/arm64/10.0.22631", ""},
      {"windows/x86_64/10.0.x", ""},
      {"linux/x86_64/debian-12", "linux/x86_64/debian-12"},
      {"linux/x86_64/debian-13", ""},
      {"", ""}};
  for (const auto& [host, covering] : kCases) EXPECT_EQ(CoveringPlatform(platforms, host), covering) << host;
}

TEST(TrustDocumentTest, IsReadBackAsItWasWritten) {
  TrustDocument document;
  document.version = 12;
  document.roles["resume"] = {{{Lab().public_key(), "ann"}, {content::TestKey().public_key(), "bob"}}, 2};
  document.roles["qualification"] = {{{Lab().public_key(), ""}}, 1};
  document.matrices["ipc"] = {Sha256("m"), {"boot"}};
  document.agent_ca = {"PEM"};
  document.revoked = {Sha256("k")};
  const auto again = ParseTrustDocument(SerializeTrustDocument(document));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, document);
  EXPECT_THAT(again->KeysOf("qualification"), ElementsAre(Lab().public_key()));
  EXPECT_THAT(again->KeysOf("nobody"), ElementsAre());
  EXPECT_EQ(again->ThresholdOf("nobody"), 0);
}

TEST(TrustDocumentTest, RefusesAKeyTwiceAWrongIdAndAThresholdThatCannotBeMet) {
  TrustDocument document;
  document.version = 1;
  document.roles["halt"] = {{{Lab().public_key(), ""}}, 2};
  EXPECT_FALSE(ParseTrustDocument(SerializeTrustDocument(document)).ok());
  document.roles["halt"] = {{{Lab().public_key(), "ann"}, {Lab().public_key(), "bob"}}, 1};
  EXPECT_THAT(std::string(ParseTrustDocument(SerializeTrustDocument(document)).status().message()),
              HasSubstr("a key again"));
  document.roles["halt"] = {{{Lab().public_key(), ""}}, 1};
  std::string text = SerializeTrustDocument(document);
  const std::string id = Lab().public_key().KeyId().ToString();
  text.replace(text.find(id), id.size(), std::string(64, '0'));
  EXPECT_THAT(std::string(ParseTrustDocument(text).status().message()), HasSubstr("keyid"));
}

}  // namespace
}  // namespace ringfence::trust
