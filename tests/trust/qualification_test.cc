#include "ringfence/trust/qualification.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualify.h"

namespace ringfence::trust {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Digest kBytes = Sha256("the published bytes");
const Digest kMatrix = Sha256("matrix/ipc/v9");

SigningKey KeyOf(char letter) {
  return *SigningKey::FromSeed(std::string(32, letter));
}

std::string NameOf(absl::string_view platform, absl::string_view test) {
  return absl::StrCat(platform, "|7.11.0|", test);
}

// A statement that lets kBytes go to win and linux.
TestStatement Good() {
  TestStatement statement;
  statement.subjects = {{"ipc.fct", {{"sha256", kBytes.ToString()}}}};
  statement.result = TestOutcome::kPassed;
  statement.configuration = {{"matrix/ipc/v9", {{"sha256", kMatrix.ToString()}}}};
  for (const char* platform : {"linux", "win"}) {
    for (const char* test : {"boot", "load"}) statement.passed.push_back(NameOf(platform, test));
  }
  return statement;
}

RequiredTests Required() {
  return {{"win", "linux"}, {"7.11.0"}, {"boot", "load"}, kMatrix};
}

std::string Sealed(absl::string_view payload, char key = 'q',
                   const std::string& type = kStatementPayloadType) {
  Envelope envelope{type, std::string(payload), {}};
  Sign(KeyOf(key), &envelope);
  return SerializeEnvelope(envelope);
}

std::variant<Qualification, Refusal> Judge(const std::string& envelope,
                                           const RequiredTests& required = Required(), int threshold = 1) {
  static const std::vector<PublicKey> keys = {KeyOf('q').public_key(), KeyOf('r').public_key()};
  return VerifyQualification(envelope, kBytes, {keys, threshold}, required);
}

// "" if it is let in.
std::string WhyNot(const std::variant<Qualification, Refusal>& result) {
  const Refusal* refusal = std::get_if<Refusal>(&result);
  return refusal == nullptr ? "" : ToString(*refusal);
}

std::string WhyNot(const TestStatement& statement) {
  return WhyNot(Judge(Sealed(SerializeTestStatement(statement))));
}

TEST(QualificationTest, LetsInWhatPassedEverythingThatIsRequired) {
  const auto result = Judge(Sealed(SerializeTestStatement(Good())));
  ASSERT_EQ(WhyNot(result), "");
  const Qualification& qualification = std::get<Qualification>(result);
  EXPECT_EQ(qualification.statement, Good());
  EXPECT_THAT(qualification.signers, ElementsAre(KeyOf('q').public_key()));
}

TEST(QualificationTest, RefusesWhatNoTrustedKeySigned) {
  EXPECT_EQ(WhyNot(Judge(Sealed(SerializeTestStatement(Good()), 'x'))),
            "bad_signature: qualification signatures: found 0 different trusted keys, wanted 1 of the 2 "
            "qualification "
            "keys");
}

TEST(QualificationTest, WantsDifferentKeysForAThreshold) {
  Envelope envelope{kStatementPayloadType, SerializeTestStatement(Good()), {}};
  Sign(KeyOf('q'), &envelope);
  Sign(KeyOf('q'), &envelope);
  EXPECT_THAT(WhyNot(Judge(SerializeEnvelope(envelope), Required(), 2)), HasSubstr("bad_signature"));
  Sign(KeyOf('r'), &envelope);
  EXPECT_EQ(WhyNot(Judge(SerializeEnvelope(envelope), Required(), 2)), "");
  EXPECT_THAT(WhyNot(Judge(SerializeEnvelope(envelope), Required(), 0)), HasSubstr("bad_signature"));
}

// What nobody vouches for is not even parsed.
TEST(QualificationTest, LooksAtSignaturesBeforeThePayload) {
  EXPECT_THAT(WhyNot(Judge(Sealed("{not json", 'x', "text/plain"))), HasSubstr("bad_signature"));
  EXPECT_THAT(WhyNot(Judge(Sealed("{not json", 'q', "text/plain"))),
              HasSubstr("unqualified_artifact: qualification payloadType: found text/plain"));
  EXPECT_THAT(WhyNot(Judge(Sealed("{not json"))), HasSubstr("malformed: qualification payload"));
}

TEST(QualificationTest, RefusesEvidenceOfOtherBytes) {
  TestStatement statement = Good();
  statement.subjects[0].digests["sha256"] = Sha256("the bytes before they were packed").ToString();
  EXPECT_EQ(WhyNot(statement), absl::StrCat("evidence_mismatch: qualification subject.digest.sha256: found ",
                                            Sha256("the bytes before they were packed").ToString(),
                                            ", wanted ", kBytes.ToString(), ", that of the bytes at hand"));
  statement.subjects.clear();
  EXPECT_THAT(WhyNot(statement), HasSubstr("evidence_mismatch"));
}

TEST(QualificationTest, TellsSubjectsApartByDigestAndNeverByName) {
  TestStatement statement = Good();
  statement.subjects[0].name = "anything";
  statement.subjects.insert(statement.subjects.begin(), {"ipc.fct", {{"sha256", std::string(64, '0')}}});
  EXPECT_EQ(WhyNot(statement), "");
  statement = Good();
  statement.subjects[0].digests = {{"sha512", kBytes.ToString()}, {"SHA256", kBytes.ToString()}};
  EXPECT_THAT(WhyNot(statement), HasSubstr("found no sha256"));
}

TEST(QualificationTest, RefusesFailuresAndWarnings) {
  TestStatement statement = Good();
  statement.failed = {NameOf("mac", "boot")};
  EXPECT_EQ(WhyNot(statement),
            "unqualified_artifact: qualification predicate.failedTests[0]: found mac|7.11.0|boot, wanted no "
            "failed test");
  statement = Good();
  statement.result = TestOutcome::kWarned;
  EXPECT_THAT(WhyNot(statement), HasSubstr("predicate.result: found WARNED, wanted PASSED"));
  statement.result = TestOutcome::kFailed;
  EXPECT_THAT(WhyNot(statement), HasSubstr("found FAILED"));
}

// A refusal is stored and sent: half a character at its end would keep it from both.
TEST(QualificationTest, CutsTheNameOfAFailedTestBetweenCharacters) {
  TestStatement statement = Good();
  statement.failed = {std::string(199, 'x') + "\xc3\xbc"};
  EXPECT_THAT(WhyNot(statement), HasSubstr("found " + std::string(199, 'x') + ", wanted"));
}

TEST(QualificationTest, NamesTheTestThatIsMissing) {
  TestStatement statement = Good();
  statement.passed.erase(statement.passed.begin());
  EXPECT_EQ(WhyNot(statement),
            "unqualified_artifact: qualification predicate.passedTests: found no linux|7.11.0|boot among 3, "
            "wanted boot "
            "passed on linux with sensor 7.11.0");
  // In the other list it has not passed.
  statement.warned = {NameOf("linux", "boot")};
  EXPECT_THAT(WhyNot(statement), HasSubstr("among those with a warning"));
  statement = Good();
  statement.warned = {NameOf("linux", "boot")};
  EXPECT_THAT(WhyNot(statement), HasSubstr("among those with a warning"));
}

// Debian stable was not in the matrix: a host asks for its own platform.
TEST(QualificationTest, RefusesAHostWhosePlatformWasNotTested) {
  RequiredTests own = Required();
  own.platforms = {"debian-12"};
  EXPECT_THAT(WhyNot(Judge(Sealed(SerializeTestStatement(Good())), own)),
              HasSubstr("boot passed on debian-12"));
}

TEST(QualificationTest, RefusesAnotherMatrix) {
  TestStatement statement = Good();
  statement.configuration[0].digests["sha256"] = std::string(64, 'a');
  EXPECT_THAT(WhyNot(statement), HasSubstr("evidence_mismatch: qualification predicate.configuration"));
  RequiredTests any_matrix = Required();
  any_matrix.matrix.reset();
  EXPECT_EQ(WhyNot(Judge(Sealed(SerializeTestStatement(statement)), any_matrix)), "");
}

TEST(QualificationTest, RefusesWhenNothingIsAskedFor) {
  for (const int empty : {0, 1, 2}) {
    RequiredTests required = Required();
    if (empty == 0) required.platforms.clear();
    if (empty == 1) required.sensors.clear();
    if (empty == 2) required.tests.clear();
    EXPECT_THAT(WhyNot(Judge(Sealed(SerializeTestStatement(Good())), required)), HasSubstr("proves nothing"));
  }
}

TEST(QualificationTest, RefusesStatementsOfAnotherKind) {
  const std::string text = SerializeTestStatement(Good());
  const auto with = [&](const char* from, const char* to) {
    return WhyNot(Judge(Sealed(absl::StrReplaceAll(text, {{from, to}}))));
  };
  EXPECT_THAT(with("Statement/v1", "Statement/v0.1"), HasSubstr("unqualified_artifact: qualification _type"));
  EXPECT_THAT(with("test-result/v0.1", "provenance/v1"),
              HasSubstr("unqualified_artifact: qualification predicateType"));
  EXPECT_THAT(with("\"PASSED\"", "\"passed\""), HasSubstr("malformed: qualification predicate.result"));
  EXPECT_THAT(with("\"PASSED\"", "1"), HasSubstr("predicate.result: found number, wanted a string"));
  EXPECT_THAT(with("\"configuration\"", "\"configurations\""),
              HasSubstr("predicate.configuration: found nothing"));
  EXPECT_THAT(with("\"passedTests\":[", "\"passedTests\":[7,"), HasSubstr("predicate.passedTests[0]"));
  EXPECT_THAT(with("\"subject\":[{", "\"subject\":[5,{"),
              HasSubstr("subject[0]: found number, wanted an object"));
  EXPECT_THAT(with("\"warnedTests\":[]", "\"failedTests\":[]"), HasSubstr("malformed"));
}

TEST(QualificationTest, BoundsAndEscapesWhatStrangersWrote) {
  const auto large = Judge(std::string(kMaxEnvelopeBytes + 1, ' '));
  EXPECT_EQ(std::get<Refusal>(large).type, RefusalType::kLimitExceeded);
  EXPECT_EQ(ToStatus(std::get<Refusal>(large)).GetPayload(kRefusalUrl), absl::Cord("limit_exceeded"));
  EXPECT_EQ(WhyNot(Judge("{\"payload\":\"\"}")),
            "malformed: qualification payloadType: found nothing, wanted a string that is not empty");
  EXPECT_EQ(WhyNot(Judge(Sealed("{\"a\":1,\"a\":1}"))),
            "malformed: qualification payload: found a key that its object has already, wanted strict JSON");
  EXPECT_THAT(WhyNot(Judge(Sealed("{}", 'q', "a\x1b[31m"))), HasSubstr("found a?[31m,"));
}

// The example of in-toto's page on test results, with fewer tests.
TEST(StatementTest, ReadsThePublishedExample) {
  const auto parsed = ParseTestStatement(R"json({
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"digest": {"gitCommit": "d20ace7968ba43c0219f62d71334c1095bab1602"}}],
    "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
    "predicate": {
        "result": "PASSED",
        "configuration": [{
            "name": ".github/workflows/ci.yml",
            "downloadLocation": "https://github.com/in-toto/in-toto/blob/d20ace79/.github/workflows/ci.yml",
            "digest": {"gitBlob": "ebe4add40f63c3c98bc9b32ff1e736f04120b023"}
        }],
        "url": "https://github.com/in-toto/in-toto/actions/runs/4425592351",
        "passedTests": ["build (3.7, ubuntu-latest, py)", "build (3.x, ubuntu-latest, lint)"],
        "warnedTests": [],
        "failedTests": []
    }})json");
  ASSERT_TRUE(std::holds_alternative<TestStatement>(parsed)) << ToString(std::get<Refusal>(parsed));
  const TestStatement& statement = std::get<TestStatement>(parsed);
  EXPECT_EQ(statement.passed.size(), 2u);
  EXPECT_EQ(statement.configuration[0].digests.at("gitBlob"), "ebe4add40f63c3c98bc9b32ff1e736f04120b023");
}

TEST(StatementTest, MayLeaveOutListsAndUrl) {
  TestStatement statement = Good();
  statement.passed.clear();
  const auto parsed = ParseTestStatement(
      absl::StrReplaceAll(SerializeTestStatement(statement), {{",\"failedTests\":[]", ""},
                                                              {"\"failedTests\":[],", ""},
                                                              {"\"passedTests\":[],", ""},
                                                              {",\"warnedTests\":[]", ""}}));
  ASSERT_TRUE(std::holds_alternative<TestStatement>(parsed)) << ToString(std::get<Refusal>(parsed));
  EXPECT_EQ(std::get<TestStatement>(parsed), statement);
}

TEST(CoverageTest, ListsWhereAllTestsPassed) {
  TestStatement statement = Good();
  statement.passed.push_back(NameOf("mac", "boot"));
  statement.passed.push_back("no name of ours");
  const std::vector<std::string> both = {"boot", "load"}, one = {"boot"};
  EXPECT_THAT(CoverageOf(statement, both), ElementsAre(Covered{"linux", "7.11.0"}, Covered{"win", "7.11.0"}));
  EXPECT_EQ(CoverageOf(statement, one).size(), 3u);
  EXPECT_THAT(CoverageOf(statement, {}), IsEmpty());
  statement.warned = {NameOf("win", "load")};
  EXPECT_THAT(CoverageOf(statement, both), ElementsAre(Covered{"linux", "7.11.0"}));
}

}  // namespace
}  // namespace ringfence::trust
