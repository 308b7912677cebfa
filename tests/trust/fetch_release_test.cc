#include "ringfence/trust/fetch_release.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualify.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/fault.h"
#include "tests/content/builders.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::trust {
namespace {

using ::testing::HasSubstr;

constexpr char kPath[] = "content/ipc-detect/ipc.fct";
constexpr char kRole[] = "content-release";

// A repository with one good release, and a host that it suits.
class FetchReleaseTest : public ::testing::Test {
 protected:
  FetchReleaseTest() {
    repository_.Delegate(tuf::kTargets, kRole, {"content/*/*"}, true);
    repository_.Delegate(tuf::kTargets, "qualification", {"qual/*"}, true);
    artifact_ = content::Signed(content::SmallContent());
    TestResults results;
    for (const char* test : {"boot", "load"}) results.passed.insert({"linux", "7.11.0", test});
    envelope_ = *SealStatement(
        MakeTestStatement("x", Sha256(artifact_), results, {FileResource("matrix", "matrix")}, ""), lab_);
    repository_.AddTarget("qualification", EnvelopePath(), envelope_);
    terms_.channel = "ipc-detect";
    terms_.version = "2026.11.22.3";
    terms_.serial = 1042;
    terms_.published_at = absl::FromUnixSeconds(1'795'000'000);
    terms_.platforms = {"linux"};
    terms_.sensor_min = content::Version("7.11.0");
    terms_.sensor_max = content::Version("7.19.999");
    terms_.schema = {{"ipc", 2}};
    terms_.qualification = {{Sha256("an envelope that nobody has"), "lab"}, {Sha256(envelope_), "lab"}};
    trust_.version = 3;
    trust_.roles["qualification"] = {{{lab_.public_key(), ""}}, 1};
    trust_.roles["content_build"] = {{{content::TestKey().public_key(), ""}}, 1};
    trust_.matrices["ipc-detect"] = {Sha256("matrix"), {"boot", "load"}};
    schemas_ = {content::SensorWith(content::SmallContent().fields)};
    host_ = {"linux", content::Version("7.11.0"), schemas_, 1041, 0, {}};
    Publish();
  }
  std::string EnvelopePath() const { return "qual/" + Sha256(envelope_).ToString(); }

  void Publish() {
    repository_.AddTarget(tuf::kTargets, kTrustTarget, SerializeTrustDocument(trust_));
    repository_.AddTarget(kRole, kPath, artifact_);
    repository_.signed_part(kRole)["targets"][kPath]["custom"] =
        *ParseStrictJson(*SerializeReleaseTerms(kPath, terms_), 10'000);
    repository_.Publish({kRole, "qualification", tuf::kTargets, tuf::kSnapshot, tuf::kTimestamp});
  }

  absl::StatusOr<FetchedRelease> Fetch(int64_t trust_version = 3) {
    tuf::Updater updater(repository_, client_.store, tuf::TestNow());
    return FetchRelease(updater, kPath, host_, Step::kForward, trust_version);
  }

  tuf::TestRepository repository_;
  tuf::TestClient client_{repository_};
  const SigningKey lab_ = *SigningKey::FromSeed(std::string(32, 'q'));
  ReleaseTerms terms_;
  TrustDocument trust_;
  std::vector<content::SensorSchema> schemas_;
  HostFacts host_;
  std::string artifact_, envelope_;
};

TEST_F(FetchReleaseTest, GivesAllThatIsNeededToJudgeAgainWithoutANetwork) {
  const auto release = Fetch();
  ASSERT_TRUE(release.ok()) << release.status();
  EXPECT_EQ(release->artifact, artifact_);
  EXPECT_EQ(release->terms, terms_);
  EXPECT_EQ(release->trust, trust_);
  Remember(release->terms, &host_);
  const auto again = CheckRelease(release->target, release->artifact, release->envelopes, release->trust,
                                  host_, Step::kKeep);
  EXPECT_TRUE(std::holds_alternative<ReleaseTerms>(again));
  EXPECT_THAT(std::string(Fetch().status().message()), HasSubstr("stale_version"))
      << "it was activated already";
}

TEST_F(FetchReleaseTest, DownloadsNothingThatTheListingRulesOut) {
  repository_.targets.erase("content/ipc-detect/" + Sha256(artifact_).ToString() + ".ipc.fct");
  EXPECT_EQ(tuf::FaultOf(Fetch().status()), tuf::Fault::kMissing);
  host_.refused.insert(Sha256(artifact_));
  EXPECT_THAT(std::string(Fetch().status().message()), HasSubstr("known_bad"));
}

TEST_F(FetchReleaseTest, RefusesWithoutAnyEvidence) {
  repository_.targets.erase("qual/" + Sha256(envelope_).ToString() + "." + Sha256(envelope_).ToString());
  EXPECT_THAT(std::string(Fetch().status().message()), HasSubstr("unqualified_artifact"));
}

// Whoever signs targets may replace keys, not bring old ones back.
TEST_F(FetchReleaseTest, RefusesATrustDocumentOlderThanTheOneItAccepted) {
  const absl::Status status = Fetch(/*trust_version=*/4).status();
  EXPECT_EQ(tuf::FaultOf(status), tuf::Fault::kStaleVersion);
  EXPECT_EQ(tuf::RoleOf(status), kTrustTarget);
  trust_.version = 4;
  trust_.revoked.insert(lab_.public_key().KeyId());
  Publish();
  EXPECT_THAT(std::string(Fetch(4).status().message()), HasSubstr("bad_signature"));
}

TEST_F(FetchReleaseTest, RefusesExpiredMetadataAndABrokenRepository) {
  tuf::Updater late(repository_, client_.store, tuf::TestNow() + absl::Hours(24 * 31));
  EXPECT_EQ(tuf::FaultOf(FetchRelease(late, kPath, host_, Step::kForward, 0).status()), tuf::Fault::kExpired);
  tuf::NoFetcher nobody;
  tuf::Updater offline(nobody, client_.store, tuf::TestNow());
  EXPECT_EQ(tuf::FaultOf(FetchRelease(offline, kPath, host_, Step::kForward, 0).status()),
            tuf::Fault::kUnavailable);
}

TEST_F(FetchReleaseTest, RefusesContentLargerThanAnyReaderTakes) {
  repository_.signed_part(kRole)["targets"][kPath]["length"] = (64 << 20) + 1;
  repository_.Publish({kRole, tuf::kSnapshot, tuf::kTimestamp});
  EXPECT_THAT(std::string(Fetch().status().message()), HasSubstr("limit_exceeded: artifact length"));
}

}  // namespace
}  // namespace ringfence::trust
