#include "server/gate/repository.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/fetch_release.h"
#include "ringfence/trust/trust_document.h"
#include "ringfence/tuf/documents.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_repository.h"
#include "server/gate/artifacts.h"

namespace ringfence::gate {
namespace {

using trust::Refusal;
using trust::RefusalType;

constexpr char kTimestampFile[] = "timestamp.json";

absl::Status Refused(RefusalType type, std::string part, std::string field, std::string found,
                     std::string wanted) {
  return trust::ToStatus({type, std::move(part), std::move(field), std::move(found), std::move(wanted)});
}

RefusalType TypeOf(tuf::Fault fault) {
  switch (fault) {
    case tuf::Fault::kMalformed:
      return RefusalType::kMalformed;
    case tuf::Fault::kLimitExceeded:
      return RefusalType::kLimitExceeded;
    case tuf::Fault::kBadSignature:
      return RefusalType::kBadSignature;
    case tuf::Fault::kStaleVersion:
    case tuf::Fault::kExpired:
      return RefusalType::kStaleVersion;
    case tuf::Fault::kWrongVersion:
    case tuf::Fault::kDigestMismatch:
      return RefusalType::kEvidenceMismatch;
    case tuf::Fault::kMissing:
      return RefusalType::kIncompleteSet;
    case tuf::Fault::kUnavailable:
    case tuf::Fault::kStorage:
      return RefusalType::kIncompleteSet;  // not reached: these are passed on as they are
  }
  return RefusalType::kMalformed;
}

// What the TUF client says, as the gate says it: the part `metadata`, the role as its field.
absl::Status AsRefusal(const absl::Status& status) {
  const std::optional<tuf::Fault> fault = tuf::FaultOf(status);
  if (!fault.has_value()) return status;
  if (*fault == tuf::Fault::kUnavailable || *fault == tuf::Fault::kStorage)
    return absl::UnavailableError(status.message());
  const std::string role = tuf::RoleOf(status).value_or("");
  absl::string_view text = status.message();
  absl::ConsumePrefix(&text, absl::StrCat(tuf::Name(*fault), ": "));
  absl::ConsumePrefix(&text, absl::StrCat(role, ": "));
  std::string found(text), wanted = "what a client of the release repository accepts";
  absl::ConsumePrefix(&text, "found ");
  if (const size_t comma = text.find(", wanted "); comma != absl::string_view::npos) {
    found = std::string(text.substr(0, comma));
    wanted = std::string(text.substr(comma + sizeof(", wanted ") - 1));
  }
  return Refused(TypeOf(*fault), "metadata", role, found, wanted);
}

// The repository as it would be: what came, before what is stored. Remembers what was taken of what came.
class Overlay final : public tuf::Fetcher {
 public:
  Overlay(const RepositoryFiles& files, const std::optional<std::string>& timestamp, StoredRepository& stored)
      : files_(files), timestamp_(timestamp), stored_(stored) {}

  absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) override {
    const auto came = files_.metadata.find(name);
    const bool is_timestamp = name == kTimestampFile;
    const std::string* fresh = is_timestamp && timestamp_.has_value() ? &*timestamp_
                               : came != files_.metadata.end()        ? &came->second
                                                                      : nullptr;
    if (fresh == nullptr || (is_timestamp && keep_timestamp_))
      return Limited(stored_.Read(name, std::nullopt), name, most);
    ASSIGN_OR_RETURN(std::string bytes, Limited(*fresh, name, most));
    taken_metadata_[name] = bytes;
    return bytes;
  }

  absl::StatusOr<std::string> Target(const std::string& name, size_t most) override {
    // "qual/<sha256 of the bytes>.<last part>": consistent snapshots are all that the client asks for here.
    const size_t slash = name.rfind('/');
    const size_t start = slash == std::string::npos ? 0 : slash + 1;
    const absl::string_view last = absl::string_view(name).substr(start);
    if (last.size() < 66 || last[64] != '.') return absl::NotFoundError(name);
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(last.substr(0, 64)));
    const std::string path = absl::StrCat(name.substr(0, start), last.substr(65));
    const auto came = files_.targets.find(path);
    if (came == files_.targets.end()) return Limited(stored_.Read(path, digest), name, most);
    ASSIGN_OR_RETURN(std::string bytes, Limited(came->second, name, most));
    taken_targets_[path] = bytes;
    return bytes;
  }

  // The stored timestamp stays: the one that came says nothing new.
  void KeepTimestamp() {
    keep_timestamp_ = true;
    taken_metadata_.erase(kTimestampFile);
  }
  const std::map<std::string, std::string>& taken_metadata() const { return taken_metadata_; }
  const std::map<std::string, std::string>& taken_targets() const { return taken_targets_; }

 private:
  static absl::StatusOr<std::string> Limited(absl::StatusOr<std::string> bytes, const std::string& name,
                                             size_t most) {
    if (absl::IsNotFound(bytes.status()))
      return absl::NotFoundError(absl::StrCat(name, " did not come, and is not stored"));
    if (bytes.ok() && bytes->size() > most)
      return absl::ResourceExhaustedError(absl::StrCat(name, ": more than ", most, " bytes"));
    return bytes;
  }

  const RepositoryFiles& files_;
  const std::optional<std::string>& timestamp_;
  StoredRepository& stored_;
  bool keep_timestamp_ = false;
  std::map<std::string, std::string> taken_metadata_, taken_targets_;
};

// The file of a role that the stored snapshot lists.
absl::StatusOr<std::string> ReadListed(StoredRepository& stored, const tuf::Snapshot& snapshot,
                                       const std::string& role) {
  const auto listed = snapshot.meta.find(absl::StrCat(role, ".json"));
  if (listed == snapshot.meta.end()) return absl::NotFoundError(absl::StrCat(role, " is not listed"));
  return stored.Read(absl::StrCat(listed->second.version, ".", tuf::Quote(role), ".json"), std::nullopt);
}

absl::StatusOr<std::string> ReadSnapshot(StoredRepository& stored) {
  ASSIGN_OR_RETURN(const std::string bytes, stored.Read(kTimestampFile, std::nullopt));
  ASSIGN_OR_RETURN(const auto timestamp, tuf::ParseTimestamp(bytes));
  return stored.Read(absl::StrCat(timestamp.body.snapshot.version, ".snapshot.json"), std::nullopt);
}

// What the server trusts already, as the client's memory: so that nothing goes back behind it.
class Memory final : public tuf::MetadataStore {
 public:
  Memory(std::string root, StoredRepository& stored) : stored_(stored) {
    saved_[tuf::kRoot] = std::move(root);
  }

  absl::StatusOr<std::string> Load(const std::string& role) override {
    if (const auto saved = saved_.find(role); saved != saved_.end()) return saved->second;
    if (role == tuf::kTimestamp) return stored_.Read(kTimestampFile, std::nullopt);
    ASSIGN_OR_RETURN(const std::string bytes, ReadSnapshot(stored_));
    if (role == tuf::kSnapshot) return bytes;
    ASSIGN_OR_RETURN(const auto snapshot, tuf::ParseSnapshot(bytes));
    return ReadListed(stored_, snapshot.body, role);
  }
  absl::Status Save(const std::string& role, absl::string_view bytes) override {
    saved_[role] = std::string(bytes);
    return absl::OkStatus();
  }
  bool HasNew(const std::string& role) const { return saved_.contains(role); }

 private:
  StoredRepository& stored_;
  std::map<std::string, std::string> saved_;
};

bool IsRelease(const std::string& path) {
  return absl::StartsWith(path, "content/") || absl::StartsWith(path, "sensor/");
}

absl::StatusOr<int64_t> AcceptedTrustVersion(StoredRepository& stored) {
  const absl::StatusOr<std::string> bytes = stored.Read(trust::kTrustTarget, std::nullopt);
  if (absl::IsNotFound(bytes.status())) return 0;
  RETURN_IF_ERROR(bytes.status());
  ASSIGN_OR_RETURN(const trust::TrustDocument document, trust::ParseTrustDocument(*bytes));
  return document.version;
}

// The artifacts that came, and what is listed beside them under the same serial: one release, all of it.
absl::StatusOr<std::vector<ListedArtifact>> FindRelease(const std::vector<ListedArtifact>& listed,
                                                        const RepositoryFiles& files) {
  const ListedArtifact* first = nullptr;
  for (const ListedArtifact& one : listed) {
    if (!files.targets.contains(one.target.path)) continue;
    if (first == nullptr) first = &one;
    if (one.terms.channel == first->terms.channel && one.terms.serial == first->terms.serial) continue;
    return Refused(RefusalType::kMalformed, "release", "serial",
                   absl::StrCat(first->target.path, " and ", one.target.path),
                   "the artifacts of one release in one publication");
  }
  std::vector<ListedArtifact> set;
  if (first == nullptr) return set;
  for (const ListedArtifact& one : listed) {
    if (one.terms.channel != first->terms.channel || one.terms.serial != first->terms.serial) continue;
    if (!files.targets.contains(one.target.path)) {
      return Refused(
          RefusalType::kIncompleteSet, "release", "artifacts", absl::StrCat("no ", one.target.path),
          absl::StrCat("every artifact that is listed for ", one.terms.channel, "/", one.terms.serial));
    }
    set.push_back(one);
  }
  return set;
}

}  // namespace

absl::StatusOr<VerifiedRepository> VerifyRepository(const Trust& trust, const RepositoryFiles& files,
                                                    const std::optional<std::string>& timestamp,
                                                    StoredRepository& stored, absl::Time now) {
  if (files.metadata.size() + files.targets.size() > kMaxRepositoryFiles) {
    return Refused(RefusalType::kLimitExceeded, "metadata", "files",
                   absl::StrCat(files.metadata.size() + files.targets.size()),
                   absl::StrCat("at most ", kMaxRepositoryFiles));
  }
  Overlay overlay(files, timestamp, stored);
  Memory memory(trust.root, stored);
  tuf::Updater updater(overlay, memory, now);
  RETURN_IF_ERROR(AsRefusal(updater.Refresh()));
  if (!memory.HasNew(tuf::kTimestamp)) overlay.KeepTimestamp();
  const auto checked = tuf::CheckRepository(overlay, trust.root, now, /*bytes=*/false);
  RETURN_IF_ERROR(AsRefusal(checked.status()));

  VerifiedRepository verified;
  std::vector<ListedArtifact> listed;
  std::set<std::string> paths;
  for (const tuf::CheckedTarget& target : *checked) {
    paths.insert(target.file.path);
    if (!IsRelease(target.file.path)) continue;
    const auto terms = trust::ParseReleaseTerms(target.file.path, target.file.custom);
    RETURN_IF_ERROR(AsRefusal(terms.status()));
    if (terms->revoked) verified.recalled.emplace(terms->channel, terms->serial);
    listed.push_back({target.file, *terms});
  }
  ASSIGN_OR_RETURN(const int64_t accepted, AcceptedTrustVersion(stored));
  const auto document = trust::FetchTrust(updater, accepted);
  RETURN_IF_ERROR(AsRefusal(document.status()));
  for (const auto& [path, bytes] : files.targets) {
    if (paths.contains(path)) continue;
    return Refused(RefusalType::kBadSignature, "artifact", path, "no listing of it in the metadata",
                   "a file that a role which may speak of it has signed");
  }
  ASSIGN_OR_RETURN(const std::vector<ListedArtifact> set, FindRelease(listed, files));
  if (!set.empty()) {
    const auto envelope = [&](const Digest& digest) -> absl::StatusOr<std::string> {
      ASSIGN_OR_RETURN(const tuf::TargetFile target, updater.Find(absl::StrCat("qual/", digest.ToString())));
      if (target.info.length.value_or(0) > static_cast<int64_t>(trust::kMaxEnvelopeBytes))
        return absl::ResourceExhaustedError("an envelope that is too long");
      return updater.Download(target);
    };
    ASSIGN_OR_RETURN(verified.release, JudgeRelease(trust, *document, set, files.targets, envelope));
  }
  for (const auto& [name, bytes] : overlay.taken_metadata()) verified.files.push_back({name, bytes});
  for (const auto& [path, bytes] : overlay.taken_targets())
    if (!IsRelease(path)) verified.files.push_back({path, bytes});
  return verified;
}

absl::Duration SignAgainWithin(const std::string& role) {
  if (role == tuf::kTimestamp) return absl::Hours(36);
  if (role == tuf::kSnapshot) return absl::Hours(7 * 24);
  if (role == tuf::kRoot) return absl::Hours(180 * 24);
  if (role == "content-release") return absl::Hours(10 * 24);
  return absl::Hours(30 * 24);
}

absl::StatusOr<std::vector<RoleState>> DescribeRepository(const Trust& trust, StoredRepository& stored) {
  std::vector<RoleState> roles;
  const auto add = [&](const std::string& role, const tuf::Common& common) {
    roles.push_back({role, common.version, common.expires});
  };
  const absl::StatusOr<std::string> bytes = stored.Read(kTimestampFile, std::nullopt);
  if (absl::IsNotFound(bytes.status())) return roles;
  RETURN_IF_ERROR(bytes.status());
  ASSIGN_OR_RETURN(auto root, tuf::ParseRoot(trust.root));
  for (int step = 0; step < tuf::kMaxRootSteps; ++step) {
    const auto next = stored.Read(absl::StrCat(root.body.version + 1, ".root.json"), std::nullopt);
    if (absl::IsNotFound(next.status())) break;
    RETURN_IF_ERROR(next.status());
    ASSIGN_OR_RETURN(root, tuf::ParseRoot(*next));
  }
  add(tuf::kRoot, root.body);
  ASSIGN_OR_RETURN(const auto timestamp, tuf::ParseTimestamp(*bytes));
  add(tuf::kTimestamp, timestamp.body);
  ASSIGN_OR_RETURN(const std::string snapshot_bytes, ReadSnapshot(stored));
  ASSIGN_OR_RETURN(const auto snapshot, tuf::ParseSnapshot(snapshot_bytes));
  add(tuf::kSnapshot, snapshot.body);
  std::vector<std::string> names = {tuf::kTargets};
  for (const auto& [name, info] : snapshot.body.meta) {
    const std::string role(absl::StripSuffix(name, ".json"));
    if (role != tuf::kTargets) names.push_back(role);
  }
  for (const std::string& role : names) {
    ASSIGN_OR_RETURN(const std::string document, ReadListed(stored, snapshot.body, role));
    ASSIGN_OR_RETURN(const auto targets, tuf::ParseTargets(role, document));
    add(role, targets.body);
  }
  return roles;
}

absl::StatusOr<std::optional<std::string>> SignTimestamp(const trust::SigningKey& key,
                                                         const RepositoryFiles& files,
                                                         StoredRepository& stored, absl::Time now,
                                                         absl::Duration lifetime) {
  int64_t version = 0, snapshot_version = 0;
  std::string snapshot;
  if (const auto bytes = stored.Read(kTimestampFile, std::nullopt); bytes.ok()) {
    ASSIGN_OR_RETURN(const auto timestamp, tuf::ParseTimestamp(*bytes));
    version = timestamp.body.version;
    snapshot_version = timestamp.body.snapshot.version;
    ASSIGN_OR_RETURN(snapshot, ReadSnapshot(stored));
  } else if (!absl::IsNotFound(bytes.status())) {
    return bytes.status();
  }
  if (const auto came = files.metadata.find(kTimestampFile); came != files.metadata.end()) {
    if (const auto timestamp = tuf::ParseTimestamp(came->second); timestamp.ok())
      version = std::max(version, timestamp->body.version);
  }
  for (const auto& [name, bytes] : files.metadata) {
    if (!absl::EndsWith(name, ".snapshot.json")) continue;
    const auto parsed = tuf::ParseSnapshot(bytes);
    if (!parsed.ok() || parsed->body.version <= snapshot_version) continue;
    snapshot_version = parsed->body.version;
    snapshot = bytes;
  }
  if (snapshot.empty()) return std::nullopt;
  const absl::Time expires = absl::FromUnixSeconds(absl::ToUnixSeconds(now + lifetime));
  ASSIGN_OR_RETURN(const std::string document, tuf::MakeTimestamp(version + 1, expires, snapshot));
  ASSIGN_OR_RETURN(std::string signed_document, tuf::AddSignature(document, key));
  return signed_document;
}

policy::Selector PlatformSelector(const std::string& platform) {
  policy::Selector selector;
  if (platform == "any") return selector;
  if (!absl::StrContains(platform, '=')) return {{{"platform", {platform}}}};
  for (const absl::string_view pair : absl::StrSplit(platform, ',')) {
    const std::pair<std::string, std::string> halves = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    selector.all_of.push_back({halves.first, {halves.second}});
  }
  return selector;
}

}  // namespace ringfence::gate
