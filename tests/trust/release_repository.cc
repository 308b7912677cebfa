#include "tests/trust/release_repository.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/qualify.h"
#include "ringfence/trust/strict_json.h"
#include "tests/content/builders.h"

namespace ringfence::trust {

ReleaseRepository::ReleaseRepository() {
  tuf.Delegate(tuf::kTargets, kContentRole, {"content/*/*"}, true);
  // Two keys of two, as a build and a gate hold them.
  nlohmann::json& delegations = tuf.signed_part(tuf::kTargets)["delegations"];
  delegations["keys"]["key-90"] = tuf.KeyJson(90);
  delegations["roles"][0]["keyids"].push_back("key-90");
  delegations["roles"][0]["threshold"] = 2;
  tuf.signers(kContentRole).push_back(90);
  tuf.Delegate(tuf::kTargets, kQualificationRole, {"qual/*"}, true);
  trust.version = 1;
  trust.roles["qualification"] = {{{lab_.public_key(), "lab"}}, 1};
  trust.roles["content_build"] = {{{content::TestKey().public_key(), ""}}, 1};
  trust.matrices["ipc-detect"] = {Sha256("matrix"), {"boot", "load"}};
  PublishTrust();
}

std::vector<content::SensorSchema> ReleaseRepository::Schemas() {
  return {content::SensorWith(content::SmallContent().fields)};
}

void ReleaseRepository::PublishTrust() {
  tuf.AddTarget(tuf::kTargets, kTrustTarget, SerializeTrustDocument(trust));
  PublishAll();
}

void ReleaseRepository::PublishAll() {
  tuf.Publish({kContentRole, kQualificationRole, tuf::kTargets, tuf::kSnapshot, tuf::kTimestamp});
}

Published ReleaseRepository::Publish(uint64_t serial, const std::function<void(ReleaseDraft&)>& change,
                                     const std::string& channel) {
  ReleaseDraft draft;
  draft.content = content::SmallContent();
  draft.content.channel = channel;
  draft.content.serial = serial;
  draft.content.version = absl::StrCat("1.", serial);
  draft.terms.channel = channel;
  draft.terms.version = draft.content.version;
  draft.terms.serial = serial;
  draft.terms.published_at = tuf::TestNow();
  draft.terms.platforms = {kTestPlatform};
  draft.terms.sensor_min = content::Version("7.11.0");
  draft.terms.sensor_max = content::Version("7.19.999");
  draft.terms.schema = {{"ipc", 2}};
  for (const char* test : {"boot", "load"}) draft.results.passed.insert({kTestPlatform, "7.11.0", test});
  if (change) change(draft);

  Published release;
  release.bytes = draft.bytes.empty() ? content::Signed(draft.content) : draft.bytes;
  release.digest = Sha256(release.bytes);
  release.path = absl::StrCat("content/", channel, "/", serial, ".fct");
  if (draft.qualified) {
    TestStatement statement =
        MakeTestStatement(release.path, draft.tested.IsZero() ? release.digest : draft.tested, draft.results,
                          {FileResource("matrix", "matrix")}, "");
    Envelope envelope{kStatementPayloadType, SerializeTestStatement(statement), {}};
    Sign(lab_, &envelope);
    release.envelope = SerializeEnvelope(envelope);
    const std::string digest = Sha256(release.envelope).ToString();
    tuf.AddTarget(kQualificationRole, "qual/" + digest, release.envelope);
    draft.terms.qualification.push_back({Sha256(release.envelope), "lab"});
  }
  release.terms = draft.terms;
  tuf.AddTarget(kContentRole, release.path, release.bytes);
  Relist(release, release.terms);
  return release;
}

void ReleaseRepository::Relist(const Published& release, const ReleaseTerms& terms) {
  const absl::StatusOr<std::string> custom = SerializeReleaseTerms(release.path, terms);
  RF_CHECK(custom.ok());
  tuf.signed_part(kContentRole)["targets"][release.path]["custom"] = *ParseStrictJson(*custom, 10'000);
  PublishAll();
}

}  // namespace ringfence::trust
