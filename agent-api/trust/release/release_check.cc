#include "ringfence/trust/release_check.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/content/view.h"
#include "ringfence/trust/qualification.h"

namespace ringfence::trust {
namespace {

Refusal Refuse(RefusalType type, std::string part, std::string field, std::string found, std::string wanted) {
  return {type, std::move(part), std::move(field), std::move(found), std::move(wanted)};
}

std::optional<Refusal> CheckSerial(const ReleaseTerms& terms, const HostFacts& host, Step step) {
  switch (step) {
    case Step::kKeep:
      return std::nullopt;
    case Step::kForward:
      if (terms.serial > host.highest_serial) return std::nullopt;
      return Refuse(RefusalType::kStaleVersion, "release", "serial", absl::StrCat(terms.serial),
                    absl::StrCat("more than ", host.highest_serial, ", which was activated here"));
    case Step::kRollback:
      if (terms.serial < host.rollback_floor)
        return Refuse(RefusalType::kStaleVersion, "release", "serial", absl::StrCat(terms.serial),
                      absl::StrCat("at least the rollback floor ", host.rollback_floor));
      if (terms.serial >= host.highest_serial)
        return Refuse(RefusalType::kStaleVersion, "release", "serial", absl::StrCat(terms.serial),
                      absl::StrCat("less than ", host.highest_serial, ": a way back does not lead forward"));
      return std::nullopt;
  }
  return Refuse(RefusalType::kMalformed, "release", "step", "another", "one of the three");
}

std::optional<Refusal> CheckSchemas(const ReleaseTerms& terms, const HostFacts& host) {
  if (terms.kind != ReleaseKind::kContent) return std::nullopt;
  for (const auto& [name, fields] : terms.schema) {
    const auto found =
        std::find_if(host.schemas.begin(), host.schemas.end(), [&, wanted = &name](const auto& schema) {
          return schema.name == *wanted && schema.sensor == host.sensor;
        });
    if (found == host.schemas.end())
      return Refuse(RefusalType::kSchemaMismatch, "release", absl::StrCat("requires.schema.", name),
                    absl::StrCat(fields, " fields"), "a schema that this sensor has");
    if (static_cast<size_t>(fields) != found->fields.size())
      return Refuse(RefusalType::kSchemaMismatch, "release", absl::StrCat("requires.schema.", name),
                    absl::StrCat(fields, " fields"),
                    absl::StrCat("the ", found->fields.size(), " of this sensor"));
  }
  if (!terms.schema.empty()) return std::nullopt;
  return Refuse(RefusalType::kSchemaMismatch, "release", "requires.schema", "none",
                "the schema that content is for");
}

std::optional<Refusal> CheckBytes(const tuf::TargetFile& target, absl::string_view artifact) {
  const absl::Status checked = tuf::CheckBytes(target.info, artifact, target.path);
  if (checked.ok()) return std::nullopt;
  return Refuse(RefusalType::kEvidenceMismatch, "artifact", "bytes", std::string(checked.message()),
                "the bytes that are listed");
}

RefusalType TypeOf(const content::Rejection& rejection) {
  const absl::string_view name = content::RefusalOf(rejection.code);
  for (const RefusalType type :
       {RefusalType::kLimitExceeded, RefusalType::kSchemaMismatch, RefusalType::kBadSignature}) {
    if (Name(type) == name) return type;
  }
  return RefusalType::kMalformed;
}

std::optional<Refusal> CheckContent(const ReleaseTerms& terms, absl::string_view artifact,
                                    const TrustDocument& trust, const HostFacts& host) {
  const std::vector<PublicKey> build_keys = trust.KeysOf("content_build");
  std::vector<content::SensorSchema> own;
  std::copy_if(host.schemas.begin(), host.schemas.end(), std::back_inserter(own),
               [&](const auto& schema) { return schema.sensor == host.sensor; });
  content::Checks checks;
  checks.build_keys = build_keys;
  checks.sensors = own;
  const auto judged =
      content::Validate({reinterpret_cast<const uint8_t*>(artifact.data()), artifact.size()}, checks);
  if (const auto* rejection = std::get_if<content::Rejection>(&judged)) {
    return Refuse(TypeOf(*rejection), "content", rejection->field,
                  absl::StrCat(rejection->found, " (", content::CodeName(rejection->code), ")"),
                  rejection->wanted);
  }
  const content::Layout& layout = std::get<content::Layout>(judged);
  const content::View view(layout);
  const bool same =
      view.channel() == terms.channel && view.version() == terms.version && layout.serial() == terms.serial;
  if (same) return std::nullopt;
  return Refuse(
      RefusalType::kEvidenceMismatch, "content", "identity",
      absl::StrCat(view.channel(), " ", view.version(), " serial ", layout.serial()),
      absl::StrCat(terms.channel, " ", terms.version, " serial ", terms.serial, ", as it is listed"));
}

std::optional<Digest> ListedSha256(const tuf::TargetFile& target) {
  const auto found = target.info.hashes.find("sha256");
  if (found == target.info.hashes.end()) return std::nullopt;
  const auto digest = Digest::Parse(found->second);
  if (!digest.ok()) return std::nullopt;
  return *digest;
}

}  // namespace

std::variant<ReleaseTerms, Refusal> CheckListing(const tuf::TargetFile& target, const HostFacts& host,
                                                 Step step) {
  const absl::StatusOr<ReleaseTerms> parsed = ParseReleaseTerms(target.path, target.custom);
  if (!parsed.ok())
    return Refuse(RefusalType::kMalformed, "release", "custom", std::string(parsed.status().message()),
                  "sound terms");
  const ReleaseTerms& terms = *parsed;
  // Quarantine, halts and qualification go by sha256: without it none of them could be looked up.
  const std::optional<Digest> digest = ListedSha256(target);
  if (!digest.has_value()) return Refuse(RefusalType::kMalformed, "release", "hashes", "no sha256", "one");
  if (terms.revoked)
    return Refuse(RefusalType::kKnownBad, "release", "revoked", "true", "a release that was not recalled");
  if (host.refused.count(*digest) != 0)
    return Refuse(RefusalType::kKnownBad, "release", "sha256", digest->ToString(),
                  "one that is not refused on this host");
  if (host.sensor < terms.sensor_min || host.sensor > terms.sensor_max)
    return Refuse(RefusalType::kUnqualifiedArtifact, "release", "requires.sensor_min", host.sensor.ToString(),
                  absl::StrCat(terms.sensor_min.ToString(), " to ", terms.sensor_max.ToString()));
  if (CoveringPlatform(terms.platforms, host.platform, host.labels).empty())
    return Refuse(RefusalType::kUnqualifiedArtifact, "release", "platforms", "not " + host.platform,
                  "this host's platform");
  if (auto refusal = CheckSchemas(terms, host)) return *std::move(refusal);
  if (auto refusal = CheckSerial(terms, host, step)) return *std::move(refusal);
  return terms;
}

std::optional<Refusal> CheckQualified(const ReleaseTerms& terms, const Digest& artifact,
                                      std::span<const std::string> envelopes, const TrustDocument& trust,
                                      const std::string& platform, const content::SensorVersion& sensor) {
  const auto matrix = trust.matrices.find(terms.channel);
  if (matrix == trust.matrices.end())
    return Refuse(RefusalType::kUnqualifiedArtifact, "qualification", "matrices", "none for " + terms.channel,
                  "a matrix in trust.json");
  const std::vector<PublicKey> keys = trust.KeysOf("qualification");
  const RequiredTests required{{CoveringPlatform(terms.platforms, platform)},
                               {sensor.ToString()},
                               matrix->second.tests,
                               matrix->second.sha256};
  // Deny unless one passes: an envelope that is missing or bad never opens anything, and never closes what
  // another opened.
  std::optional<Refusal> refusal;
  for (const std::string& envelope : envelopes) {
    const Digest digest = Sha256(envelope);
    const bool listed = std::any_of(terms.qualification.begin(), terms.qualification.end(),
                                    [&](const QualificationRef& ref) { return ref.envelope == digest; });
    if (!listed) continue;
    const auto judged =
        VerifyQualification(envelope, artifact, {keys, trust.ThresholdOf("qualification")}, required);
    if (std::holds_alternative<Qualification>(judged)) return std::nullopt;
    if (!refusal.has_value()) refusal = std::get<Refusal>(judged);
  }
  if (refusal.has_value()) return refusal;
  return Refuse(RefusalType::kUnqualifiedArtifact, "qualification", "envelopes",
                "none of those that are listed", "one at least");
}

std::variant<ReleaseTerms, Refusal> CheckRelease(const tuf::TargetFile& target, absl::string_view artifact,
                                                 std::span<const std::string> envelopes,
                                                 const TrustDocument& trust, const HostFacts& host,
                                                 Step step) {
  auto listed = CheckListing(target, host, step);
  if (std::holds_alternative<Refusal>(listed)) return listed;
  const ReleaseTerms& terms = std::get<ReleaseTerms>(listed);
  if (auto refusal = CheckBytes(target, artifact)) return *std::move(refusal);
  if (auto refusal =
          CheckQualified(terms, Sha256(artifact), envelopes, trust,
                         CoveringPlatform(terms.platforms, host.platform, host.labels), host.sensor))
    return *std::move(refusal);
  if (terms.kind == ReleaseKind::kContent) {
    if (auto refusal = CheckContent(terms, artifact, trust, host)) return *std::move(refusal);
  }
  return listed;
}

void Remember(const ReleaseTerms& activated, HostFacts* host) {
  host->highest_serial = std::max(host->highest_serial, activated.serial);
  host->rollback_floor = std::max(host->rollback_floor, activated.rollback_floor);
}

}  // namespace ringfence::trust
