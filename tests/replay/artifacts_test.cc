// Every form that a scenario may give an artifact is really built, and the gate has the class for it that the
// format promises.
#include "artifacts.h"

#include "gtest/gtest.h"
#include "server/simulate/plan_builder.h"

namespace ringfence::replay {
namespace {

struct Case {
  ArtifactForm form;
  Evidence evidence;
  const char* word;
};

class NothingStored final : public gate::StoredRepository {
 public:
  absl::StatusOr<std::string> Read(const std::string& name, const std::optional<Digest>&) override {
    return absl::NotFoundError(name);
  }
};

absl::StatusOr<gate::VerifiedRepository> Judge(const Artifacts& artifacts, const app::PublishRequest& made) {
  NothingStored nothing;
  return gate::VerifyRepository(*artifacts.trust(), *made.repository, std::nullopt, nothing,
                                absl::FromUnixSeconds(1'700'000'000));
}

class ArtifactsTest : public testing::Test {
 protected:
  ArtifactsTest() {
    scenario.fleet.cohorts = {{"new", 0.5, {{"os", "win10"}, {"sensor", "7.11+"}}},
                              {"old", 0.5, {{"os", "win7"}, {"sensor", "vse8.5"}}}};
    ReleaseSpec release;
    release.channel = kContentChannel;
    release.version = "ch-291";
    release.size_bytes = 10'000;
    release.matrix = {{{{"os", {"win10", "win11"}}}}, {{{"os", {"win7"}}, {"sensor", {"vse8.5"}}}}};
    scenario.releases = {release};
  }
  std::string WordFor(const Case& one) const {
    Artifacts artifacts(scenario);
    const app::PublishRequest made =
        artifacts.Make(scenario.releases[0], one.form, one.evidence, "ch-291", 100);
    const auto judged = Judge(artifacts, made);
    const auto refusal = trust::RefusalFrom(judged.status());
    if (judged.ok()) return "accepted";
    return refusal.has_value() ? std::string(trust::Name(refusal->type)) : judged.status().ToString();
  }
  Scenario scenario;
};

TEST_F(ArtifactsTest, EachFormGetsItsClass) {
  constexpr Evidence kThis = Evidence::kThisArtifact;
  for (const Case& one : {Case{ArtifactForm::kWellFormed, kThis, "accepted"},
                          {ArtifactForm::kEmpty, kThis, "malformed"},
                          {ArtifactForm::kZeroFilled, kThis, "malformed"},
                          {ArtifactForm::kZeroRun, kThis, "malformed"},
                          {ArtifactForm::kTruncated, kThis, "malformed"},
                          {ArtifactForm::kBitFlipped, kThis, "malformed"},
                          {ArtifactForm::kSchemaMismatch, kThis, "schema_mismatch"},
                          {ArtifactForm::kOversized, kThis, "limit_exceeded"},
                          {ArtifactForm::kIncompleteSet, kThis, "incomplete_set"},
                          {ArtifactForm::kUnsigned, kThis, "bad_signature"},
                          {ArtifactForm::kBadSignature, kThis, "bad_signature"},
                          {ArtifactForm::kWrongKey, kThis, "bad_signature"},
                          // What it is older than, the gate does not know: that is the engine's.
                          {ArtifactForm::kStaleVersion, kThis, "accepted"},
                          {ArtifactForm::kWellFormed, Evidence::kOtherArtifact, "evidence_mismatch"},
                          {ArtifactForm::kWellFormed, Evidence::kNone, "unqualified_artifact"}}) {
    EXPECT_EQ(WordFor(one), one.word) << Name(one.form);
  }
}

TEST_F(ArtifactsTest, ASensorsPackageIsHeldToEverythingButAFormat) {
  scenario.releases[0].channel = kSensorChannel;
  constexpr Evidence kThis = Evidence::kThisArtifact;
  for (const Case& one : {Case{ArtifactForm::kWellFormed, kThis, "accepted"},
                          {ArtifactForm::kEmpty, kThis, "malformed"},
                          {ArtifactForm::kZeroFilled, kThis, "malformed"},
                          {ArtifactForm::kIncompleteSet, kThis, "incomplete_set"},
                          {ArtifactForm::kWrongKey, kThis, "bad_signature"},
                          {ArtifactForm::kWellFormed, Evidence::kOtherArtifact, "evidence_mismatch"},
                          {ArtifactForm::kWellFormed, Evidence::kNone, "unqualified_artifact"}}) {
    EXPECT_EQ(WordFor(one), one.word) << Name(one.form);
  }
}

TEST_F(ArtifactsTest, ABaselineIsSoundAndForNoHost) {
  Artifacts artifacts(scenario);
  const app::PublishRequest made = artifacts.MakeBaseline(scenario.releases[0], 99);
  EXPECT_TRUE(Judge(artifacts, made).ok());
  EXPECT_FALSE(
      policy::IsTargeted(made.release, *policy::Labels::Make({{"os", "win10"}, {"sensor", "7.11+"}})));
}

}  // namespace
}  // namespace ringfence::replay
