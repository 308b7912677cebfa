// Releases: what is said of them, and that it holds.
#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "actions.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/content/view.h"
#include "ringfence/trust/qualification.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"

namespace ringfence::tuf {
namespace {

using trust::ReleaseKind;
using trust::ReleaseTerms;

std::string EnvelopePath(const Digest& envelope) {
  return absl::StrCat("qual/", envelope.ToString());
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

absl::Status Refused(const std::string& path, absl::string_view text) {
  return Failure(Fault::kMalformed, path, text);
}

// The format, signed by a build key, and the same release as the terms say.
absl::Status CheckContent(const std::string& path, const ReleaseTerms& terms, const std::string& artifact,
                          const trust::TrustDocument& trust) {
  const std::vector<trust::PublicKey> build_keys = trust.KeysOf("content_build");
  content::Checks checks;
  checks.build_keys = build_keys;
  checks.sensors = std::nullopt;  // sensors register theirs with the server, and each host compares its own
  const auto judged =
      content::Validate({reinterpret_cast<const uint8_t*>(artifact.data()), artifact.size()}, checks);
  if (const auto* rejection = std::get_if<content::Rejection>(&judged))
    return Refused(path, content::ToString(*rejection));
  const auto& layout = std::get<content::Layout>(judged);
  const content::View view(layout);
  if (view.channel() != terms.channel || view.version() != terms.version || layout.serial() != terms.serial)
    return Refused(
        path, absl::StrCat("found content ", view.channel(), " ", view.version(), " serial ", layout.serial(),
                           ", wanted ", terms.channel, " ", terms.version, " serial ", terms.serial));
  const bool counted = terms.schema.size() == 1 && terms.schema.begin()->second == layout.field_count();
  if (!counted)
    return Refused(path, absl::StrCat("found content of ", layout.field_count(),
                                      " fields, wanted --schema NAME=", layout.field_count()));
  if (layout.sensor_min() != terms.sensor_min || layout.sensor_max() != terms.sensor_max)
    return Refused(path, absl::StrCat("found content for sensors ", layout.sensor_min().ToString(), " to ",
                                      layout.sensor_max().ToString(), ", wanted the range of the terms"));
  return absl::OkStatus();
}

// The parts of one release share its serial; another release needs a higher one.
absl::Status CheckSerials(const std::string& path, const ReleaseTerms& terms, const std::string& before_path,
                          const std::string& before) {
  ASSIGN_OR_RETURN(const ReleaseTerms other, trust::ParseReleaseTerms(before_path, before));
  const bool same_release = other.version == terms.version && other.serial == terms.serial;
  if (other.channel != terms.channel || other.serial < terms.serial || same_release) return absl::OkStatus();
  return Failure(Fault::kStaleVersion, path,
                 absl::StrCat("found serial ", terms.serial, ", wanted more than the ", other.serial, " of ",
                              absl::Utf8SafeCEscape(before_path)));
}

}  // namespace

absl::Status KeysCommand::SignRelease() {
  ReleaseTerms terms;
  if (options_.kind != "content" && options_.kind != "sensor")
    return absl::InvalidArgumentError(
        absl::StrCat("found --kind ", options_.kind, ", wanted content or sensor"));
  terms.kind = options_.kind == "content" ? ReleaseKind::kContent : ReleaseKind::kSensor;
  terms.channel = options_.channel;
  terms.version = options_.version;
  terms.serial = static_cast<uint64_t>(std::max<int64_t>(options_.serial, 0));
  terms.rollback_floor = static_cast<uint64_t>(std::max<int64_t>(options_.rollback_floor, 0));
  terms.published_at = absl::FromUnixSeconds(absl::ToUnixSeconds(now_));
  terms.urgent = options_.urgent;
  terms.platforms = options_.platforms;
  ASSIGN_OR_RETURN(terms.sensor_min, content::SensorVersion::Parse(options_.sensor_min));
  ASSIGN_OR_RETURN(terms.sensor_max, content::SensorVersion::Parse(options_.sensor_max));
  for (const std::string& text : options_.schemas) {
    ASSIGN_OR_RETURN(const auto halves, Halves(text, "--schema NAME=FIELDS"));
    if (!absl::SimpleAtoi(halves.second, &terms.schema[halves.first]))
      return absl::InvalidArgumentError(absl::StrCat("found ", text, ", wanted --schema NAME=FIELDS"));
  }
  ASSIGN_OR_RETURN(const std::string artifact, ReadFile(options_.artifact, kMaxTargetBytes));
  std::vector<ListedTarget> envelopes;
  for (const std::string& file : options_.envelopes) {
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file, trust::kMaxEnvelopeBytes));
    const Digest digest = Sha256(bytes);
    terms.qualification.push_back({digest, options_.lab});
    envelopes.push_back({EnvelopePath(digest), bytes.size(), digest, ""});
    RETURN_IF_ERROR(repository_.SaveTarget(EnvelopePath(digest), bytes));
  }
  const std::string path =
      absl::StrCat(options_.kind, "/", terms.channel, "/", terms.version, "-", BaseName(options_.artifact));
  ASSIGN_OR_RETURN(const std::string custom, trust::SerializeReleaseTerms(path, terms));
  RETURN_IF_ERROR(repository_.SaveTarget(path, artifact));
  TargetFile target;
  target.path = path;
  target.info.length = static_cast<int64_t>(artifact.size());
  target.info.hashes["sha256"] = Sha256(artifact).ToString();
  target.custom = custom;
  const std::string role = terms.kind == ReleaseKind::kContent ? kContentRelease : kSensorRelease;
  ASSIGN_OR_RETURN(const std::string before, repository_.Latest(role));
  RETURN_IF_ERROR(CheckNewRelease(target, before));
  RETURN_IF_ERROR(DraftTargets(role, {{path, artifact.size(), Sha256(artifact), custom}}));
  // What the laboratory listed already need not be signed again.
  ASSIGN_OR_RETURN(const std::string listed_bytes, repository_.Latest(kQualification));
  if (!listed_bytes.empty()) {
    ASSIGN_OR_RETURN(const auto listed, ParseTargets(kQualification, listed_bytes));
    envelopes.erase(
        std::remove_if(envelopes.begin(), envelopes.end(),
                       [&](const ListedTarget& one) { return listed.body.targets.count(one.path) != 0; }),
        envelopes.end());
  }
  if (!envelopes.empty()) RETURN_IF_ERROR(DraftTargets(kQualification, envelopes));
  out_ << path << ": drafted; now `sign` it with a threshold of the keys of each draft, then `publish`\n";
  return absl::OkStatus();
}

absl::Status KeysCommand::RevokeRelease() {
  const std::string role = options_.path.rfind("sensor/", 0) == 0 ? kSensorRelease : kContentRelease;
  ASSIGN_OR_RETURN(const std::string bytes, repository_.Latest(role));
  if (bytes.empty()) return Failure(Fault::kMissing, role, "nothing is published");
  ASSIGN_OR_RETURN(const auto document, ParseTargets(role, bytes));
  const auto found = document.body.targets.find(options_.path);
  if (found == document.body.targets.end())
    return Failure(Fault::kMissing, options_.path, absl::StrCat(role, " does not list it"));
  ASSIGN_OR_RETURN(ReleaseTerms terms, trust::ParseReleaseTerms(options_.path, found->second.custom));
  terms.revoked = true;
  ASSIGN_OR_RETURN(const std::string custom, trust::SerializeReleaseTerms(options_.path, terms));
  ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(found->second.info.hashes.at("sha256")));
  return DraftTargets(role,
                      {{options_.path, static_cast<uint64_t>(*found->second.info.length), digest, custom}});
}

absl::Status KeysCommand::CheckNewReleases(const std::string& role, const std::string& draft) const {
  if (role != kContentRelease && role != kSensorRelease) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto document, ParseTargets(role, draft));
  const auto published = repository_.Published(role);
  std::optional<Document<Targets>> before;
  if (published.ok()) {
    ASSIGN_OR_RETURN(before, ParseTargets(role, *published));
  }
  // In one draft, too, no two releases of a channel share a serial.
  std::map<std::pair<std::string, uint64_t>, std::string> versions;
  for (const auto& [path, target] : document.body.targets) {
    ASSIGN_OR_RETURN(const ReleaseTerms terms, trust::ParseReleaseTerms(path, target.custom));
    const auto first = versions.emplace(std::pair(terms.channel, terms.serial), terms.version).first;
    if (first->second != terms.version)
      return Failure(Fault::kStaleVersion, path,
                     absl::StrCat("found serial ", terms.serial, " for two releases, wanted one for each"));
    if (before.has_value()) {
      const auto old = before->body.targets.find(path);
      const bool same = old != before->body.targets.end() && old->second.custom == target.custom &&
                        old->second.info.hashes == target.info.hashes;
      if (same) continue;
      // The one change that a published release may see is its recall.
      if (old != before->body.targets.end()) {
        ASSIGN_OR_RETURN(ReleaseTerms was, trust::ParseReleaseTerms(path, old->second.custom));
        was.revoked = true;
        if (old->second.info.hashes != target.info.hashes || !(was == terms))
          return Refused(path, "is published already, and may only be recalled");
        continue;
      }
    }
    RETURN_IF_ERROR(CheckNewRelease(target, published.ok() ? *published : std::string()));
  }
  return absl::OkStatus();
}

absl::Status KeysCommand::CheckNewRelease(const TargetFile& target, const std::string& before) const {
  const std::string& path = target.path;
  ASSIGN_OR_RETURN(const ReleaseTerms terms, trust::ParseReleaseTerms(path, target.custom));
  if (!before.empty()) {
    ASSIGN_OR_RETURN(const auto document, ParseTargets(path, before));
    for (const auto& [other_path, other] : document.body.targets)
      RETURN_IF_ERROR(CheckSerials(path, terms, other_path, other.custom));
  }
  ASSIGN_OR_RETURN(const std::string artifact, repository_.ReadTarget(target));
  ASSIGN_OR_RETURN(const trust::TrustDocument trust, CurrentTrust());
  if (terms.kind == ReleaseKind::kContent) RETURN_IF_ERROR(CheckContent(path, terms, artifact, trust));
  const auto matrix = trust.matrices.find(terms.channel);
  if (matrix == trust.matrices.end())
    return Refused(path, absl::StrCat("trust.json has no matrix for channel ", terms.channel));
  if (terms.platforms.empty() || terms.qualification.empty())
    return Refused(path, "wanted at least one --platform and one --qualification");
  // Every platform that is claimed, by some envelope; the sensors are the ends of the range that were tested.
  const std::vector<trust::PublicKey> keys = trust.KeysOf(kQualification);
  for (const std::string& platform : terms.platforms) {
    std::string why = "no envelope is there";
    const bool covered =
        std::any_of(terms.qualification.begin(), terms.qualification.end(), [&](const auto& ref) {
          TargetFile envelope;
          envelope.path = EnvelopePath(ref.envelope);
          envelope.info.length = static_cast<int64_t>(trust::kMaxEnvelopeBytes);
          envelope.info.hashes["sha256"] = ref.envelope.ToString();
          const auto name = TargetFileName(envelope, true);
          const auto bytes = name.ok() ? ReadFile(absl::StrCat(repository_.folder(), "/targets/", *name),
                                                  trust::kMaxEnvelopeBytes)
                                       : absl::StatusOr<std::string>(name.status());
          if (!bytes.ok() || Sha256(*bytes) != ref.envelope) return false;
          const trust::RequiredTests required{{std::string(absl::StripSuffix(platform, "+"))},
                                              {terms.sensor_min.ToString()},
                                              matrix->second.tests,
                                              matrix->second.sha256};
          const auto judged = trust::VerifyQualification(*bytes, Sha256(artifact),
                                                         {keys, trust.ThresholdOf(kQualification)}, required);
          if (const auto* refusal = std::get_if<trust::Refusal>(&judged)) why = trust::ToString(*refusal);
          return std::holds_alternative<trust::Qualification>(judged);
        });
    if (!covered) return Refused(path, absl::StrCat("platform ", absl::Utf8SafeCEscape(platform), ": ", why));
  }
  return absl::OkStatus();
}

}  // namespace ringfence::tuf
