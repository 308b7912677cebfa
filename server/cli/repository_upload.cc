#include "server/cli/repository_upload.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/release.h"
#include "ringfence/trust/trust_document.h"
#include "ringfence/tuf/folder_store.h"

namespace ringfence::cli {
namespace {

constexpr char kTimestampFile[] = "timestamp.json";

bool IsRelease(const std::string& path) {
  return absl::StartsWith(path, "content/") || absl::StartsWith(path, "sensor/");
}

}  // namespace

absl::StatusOr<RepositoryUpload> RepositoryUpload::Open(const std::string& folder) {
  RepositoryUpload upload(folder);
  const absl::Status read = upload.Read();
  if (read.ok()) return upload;
  return absl::Status(read.code(), absl::StrCat(folder, ": ", read.message()));
}

absl::Status RepositoryUpload::AddTargets(const std::string& role, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string bytes, repository_.ReadMetadata(name, tuf::kMaxTargetsBytes));
  metadata_[name] = bytes;
  ASSIGN_OR_RETURN(const auto document, tuf::ParseTargets(role, bytes));
  for (const auto& [path, target] : document.body.targets) targets_[path] = target;
  return absl::OkStatus();
}

absl::Status RepositoryUpload::Read() {
  const absl::StatusOr<std::string> timestamp =
      repository_.ReadMetadata(kTimestampFile, tuf::kMaxTimestampBytes);
  if (absl::IsNotFound(timestamp.status()))
    return absl::NotFoundError(
        "found no metadata/timestamp.json, wanted a folder that `ringfence-keys publish` wrote");
  RETURN_IF_ERROR(timestamp.status());
  metadata_[kTimestampFile] = *timestamp;
  for (int64_t version = 1; version <= tuf::kMaxRootSteps; ++version) {
    absl::StatusOr<std::string> root = repository_.RootVersion(version);
    if (absl::IsNotFound(root.status())) break;
    RETURN_IF_ERROR(root.status());
    metadata_[absl::StrCat(version, ".root.json")] = *std::move(root);
  }
  ASSIGN_OR_RETURN(const auto parsed, tuf::ParseTimestamp(*timestamp));
  timestamp_ = parsed.body.version;
  snapshot_ = parsed.body.snapshot.version;
  const std::string name = absl::StrCat(snapshot_, ".snapshot.json");
  ASSIGN_OR_RETURN(metadata_[name], repository_.ReadMetadata(name, tuf::kMaxSnapshotBytes));
  ASSIGN_OR_RETURN(const auto snapshot, tuf::ParseSnapshot(metadata_[name]));
  for (const auto& [file, info] : snapshot.body.meta) {
    const std::string role(absl::StripSuffix(file, ".json"));
    RETURN_IF_ERROR(AddTargets(role, absl::StrCat(info.version, ".", tuf::Quote(role), ".json")));
  }
  std::map<std::pair<std::string, uint64_t>, ListedRelease> found;
  for (const auto& [path, target] : targets_) {
    if (!IsRelease(path)) continue;
    ASSIGN_OR_RETURN(const trust::ReleaseTerms terms, trust::ParseReleaseTerms(path, target.custom));
    ListedRelease& release = found[{terms.channel, terms.serial}];
    release.channel = terms.channel;
    release.serial = terms.serial;
    release.version = terms.version;
    release.revoked |= terms.revoked;
    release.artifacts.push_back(target);
    for (const trust::QualificationRef& ref : terms.qualification)
      release.envelopes.insert(absl::StrCat("qual/", ref.envelope.ToString()));
  }
  for (auto& [key, release] : found) releases_.push_back(std::move(release));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<UploadFile>> RepositoryUpload::Files(const ListedRelease* release) const {
  std::vector<UploadFile> files;
  for (const auto& [name, bytes] : metadata_)
    files.push_back({v1::REPOSITORY_FILE_KIND_METADATA, name, bytes});
  std::set<std::string> wanted = {trust::kTrustTarget};
  if (release != nullptr) {
    wanted.insert(release->envelopes.begin(), release->envelopes.end());
    for (const tuf::TargetFile& artifact : release->artifacts) wanted.insert(artifact.path);
  }
  for (const std::string& path : wanted) {
    const auto listed = targets_.find(path);
    if (listed == targets_.end()) continue;  // the server says what that means
    // Not held against the listing here: what is wrong is the server's to say, and on record then.
    ASSIGN_OR_RETURN(const std::string name,
                     tuf::TargetFileName(listed->second, /*consistent_snapshot=*/true));
    ASSIGN_OR_RETURN(std::string bytes, tuf::ReadFile(absl::StrCat(repository_.folder(), "/targets/", name),
                                                      static_cast<size_t>(policy::kMaxArtifactBytes)));
    files.push_back({v1::REPOSITORY_FILE_KIND_TARGET, path, std::move(bytes)});
  }
  return files;
}

std::string RepositoryUpload::Versions() const {
  return absl::StrCat("snapshot ", snapshot_, ", timestamp ", timestamp_);
}

}  // namespace ringfence::cli
