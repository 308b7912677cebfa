#include "ringfence/tuf/updater.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::tuf {
namespace {

Fault FaultOfFetch(const absl::Status& status) {
  if (absl::IsNotFound(status)) return Fault::kMissing;
  if (absl::IsResourceExhausted(status)) return Fault::kLimitExceeded;
  return Fault::kUnavailable;
}

// A path keeps its folders, everything else in it is quoted.
std::string QuotePath(absl::string_view path) {
  std::string quoted;
  while (true) {
    const size_t slash = path.find('/');
    quoted += Quote(path.substr(0, slash));
    if (slash == absl::string_view::npos) return quoted;
    quoted += '/';
    path.remove_prefix(slash + 1);
  }
}

// The roles to ask next, in order, and whether nobody after them may be asked.
struct Next {
  std::vector<std::string> roles;
  bool terminating = false;
};

Next NextRoles(const Targets& targets, const std::string& path) {
  Next next;
  if (targets.succinct.has_value()) next.roles.push_back(RoleFor(*targets.succinct, path));
  for (const Delegation& delegation : targets.delegations) {
    if (!Covers(delegation, path)) continue;
    next.roles.push_back(delegation.name);
    next.terminating = delegation.terminating;
    if (next.terminating) break;
  }
  return next;
}

}  // namespace

absl::StatusOr<std::string> Updater::Fetch(const std::string& role, std::optional<int64_t> version,
                                           std::optional<int64_t> length, size_t most) {
  const std::string name = version.has_value() ? absl::StrCat(*version, ".", Quote(role), ".json")
                                               : absl::StrCat(Quote(role), ".json");
  // A listed length says where to stop; it never lifts our own limit.
  if (length.has_value()) most = std::min(most, static_cast<size_t>(*length));
  absl::StatusOr<std::string> bytes = fetcher_.Metadata(name, most);
  if (bytes.ok()) return bytes;
  return Failure(FaultOfFetch(bytes.status()), role,
                 absl::StrCat(name, ": ", absl::Utf8SafeCEscape(bytes.status().message())));
}

absl::Status Updater::Save(const std::string& role, absl::string_view bytes) {
  absl::Status saved = store_.Save(role, bytes);
  if (saved.ok()) return saved;
  return Failure(Fault::kStorage, role,
                 absl::StrCat("cannot be stored: ", absl::Utf8SafeCEscape(saved.message())));
}

absl::StatusOr<std::string> NoFetcher::Metadata(const std::string&, size_t) {
  return absl::UnavailableError("no repository is asked");
}
absl::StatusOr<std::string> NoFetcher::Target(const std::string&, size_t) {
  return absl::UnavailableError("no repository is asked");
}

absl::Status Updater::TrustStoredRoot() {
  const absl::StatusOr<std::string> stored = store_.Load(kRoot);
  if (!stored.ok())
    return Failure(Fault::kStorage, kRoot,
                   absl::StrCat("no trusted root: ", absl::Utf8SafeCEscape(stored.status().message())));
  refreshed_ = false;
  trusted_.reset();
  ASSIGN_OR_RETURN(trusted_, TrustedSet::FromRoot(*stored, now_));
  return absl::OkStatus();
}

absl::Status Updater::Refresh() {
  RETURN_IF_ERROR(TrustStoredRoot());
  RETURN_IF_ERROR(RefreshRoot());
  RETURN_IF_ERROR(RefreshTimestamp());
  RETURN_IF_ERROR(RefreshSnapshot());
  RETURN_IF_ERROR(RefreshTargets(kTargets, kRoot));
  refreshed_ = true;
  return absl::OkStatus();
}

absl::Status Updater::UseStored() {
  RETURN_IF_ERROR(TrustStoredRoot());
  for (const char* role : {kTimestamp, kSnapshot, kTargets}) {
    const absl::StatusOr<std::string> stored = store_.Load(role);
    if (!stored.ok()) return Failure(Fault::kMissing, role, absl::Utf8SafeCEscape(stored.status().message()));
    const absl::string_view name = role;
    RETURN_IF_ERROR(name == kTimestamp  ? trusted_->LoadTimestamp(*stored)
                    : name == kSnapshot ? trusted_->LoadSnapshot(*stored)
                                        : trusted_->UpdateTargets(kTargets, kRoot, *stored));
  }
  refreshed_ = true;
  return absl::OkStatus();
}

absl::Status Updater::RefreshRoot() {
  for (int step = 0; step < kMaxRootSteps; ++step) {
    const auto bytes = Fetch(kRoot, trusted_->root().version + 1, std::nullopt, kMaxRootBytes);
    if (FaultOf(bytes.status()) == Fault::kMissing) break;
    RETURN_IF_ERROR(bytes.status());
    RETURN_IF_ERROR(trusted_->UpdateRoot(*bytes));
    RETURN_IF_ERROR(Save(kRoot, *bytes));
  }
  return trusted_->CheckRoot();
}

absl::Status Updater::RefreshTimestamp() {
  // Whatever is wrong with what we stored, the repository can mend it.
  if (const auto stored = store_.Load(kTimestamp); stored.ok())
    trusted_->LoadTimestamp(*stored).IgnoreError();
  ASSIGN_OR_RETURN(const std::string bytes,
                   Fetch(kTimestamp, std::nullopt, std::nullopt, kMaxTimestampBytes));
  ASSIGN_OR_RETURN(const TrustedSet::Accepted accepted, trusted_->UpdateTimestamp(bytes));
  return accepted == TrustedSet::Accepted::kNew ? Save(kTimestamp, bytes) : absl::OkStatus();
}

absl::Status Updater::RefreshSnapshot() {
  if (const auto stored = store_.Load(kSnapshot); stored.ok()) trusted_->LoadSnapshot(*stored).IgnoreError();
  if (trusted_->SnapshotIsCurrent()) return absl::OkStatus();
  const FileInfo& listed = trusted_->timestamp()->snapshot;
  const auto version = trusted_->root().consistent_snapshot ? std::optional(listed.version) : std::nullopt;
  ASSIGN_OR_RETURN(const std::string bytes, Fetch(kSnapshot, version, listed.length, kMaxSnapshotBytes));
  RETURN_IF_ERROR(trusted_->UpdateSnapshot(bytes));
  return Save(kSnapshot, bytes);
}

absl::Status Updater::RefreshTargets(const std::string& role, const std::string& delegator) {
  absl::Status confirmed = trusted_->ConfirmTargets(role, delegator);
  if (FaultOf(confirmed) != Fault::kMissing) return confirmed;
  if (const auto stored = store_.Load(role);
      stored.ok() && trusted_->UpdateTargets(role, delegator, *stored).ok()) {
    return absl::OkStatus();
  }
  const FileInfo* listed = trusted_->Listed(role);
  if (listed == nullptr)
    return Failure(Fault::kMissing, role,
                   absl::StrCat("delegated by ", absl::Utf8SafeCEscape(delegator),
                                ", but the snapshot does not list it"));
  const auto version = trusted_->root().consistent_snapshot ? std::optional(listed->version) : std::nullopt;
  ASSIGN_OR_RETURN(const std::string bytes, Fetch(role, version, listed->length, kMaxTargetsBytes));
  RETURN_IF_ERROR(trusted_->UpdateTargets(role, delegator, bytes));
  return Save(role, bytes);
}

absl::StatusOr<TargetFile> Updater::Find(const std::string& path) {
  if (!refreshed_) {
    RETURN_IF_ERROR(Refresh());
  }
  std::vector<std::pair<std::string, std::string>> to_ask = {
      {kTargets, kRoot}};  // role, delegator; last first
  std::set<std::string> asked;
  while (!to_ask.empty() && asked.size() <= kMaxRolesPerSearch) {
    const auto [role, delegator] = to_ask.back();
    to_ask.pop_back();
    if (asked.count(role) != 0) continue;  // a circle, or a second way to it
    RETURN_IF_ERROR(RefreshTargets(role, delegator));
    const Targets& targets = *trusted_->targets(role, delegator);
    if (const auto found = targets.targets.find(path); found != targets.targets.end()) return found->second;
    asked.insert(role);
    const Next next = NextRoles(targets, path);
    if (next.terminating) to_ask.clear();
    for (auto child = next.roles.rbegin(); child != next.roles.rend(); ++child)
      to_ask.emplace_back(*child, role);
  }
  if (!to_ask.empty()) {
    return Failure(Fault::kLimitExceeded, path,
                   absl::StrCat("not found in ", asked.size(), " roles, which is as many as are asked"));
  }
  return Failure(Fault::kMissing, path, "no role that may speak of this target lists it");
}

absl::StatusOr<std::vector<TargetFile>> Updater::Select(
    const std::function<bool(const TargetFile&)>& wanted) {
  if (!refreshed_) {
    RETURN_IF_ERROR(Refresh());
  }
  std::vector<std::pair<std::string, std::string>> to_ask = {{kTargets, kRoot}};
  std::set<std::string> asked, paths;
  absl::Status unread;
  for (size_t next = 0; next < to_ask.size() && asked.size() < kMaxRolesPerSearch; ++next) {
    const auto [role, delegator] = to_ask[next];
    if (asked.count(role) != 0) continue;
    if (const absl::Status had = RefreshTargets(role, delegator); !had.ok()) {
      // Delegated to, but never published: it lists nothing.
      if (trusted_->Listed(role) != nullptr) unread.Update(had);
      continue;
    }
    asked.insert(role);
    const Targets& targets = *trusted_->targets(role, delegator);
    for (const auto& [path, target] : targets.targets) {
      if (wanted(target)) paths.insert(path);
    }
    for (const Delegation& delegation : targets.delegations) to_ask.emplace_back(delegation.name, role);
  }
  std::vector<TargetFile> found;
  for (const std::string& path : paths) {
    absl::StatusOr<TargetFile> target = Find(path);
    if (!target.ok()) {
      // Listed by a role that may not speak of it: as if it were not listed.
      if (FaultOf(target.status()) != Fault::kMissing) unread.Update(target.status());
    } else if (wanted(*target)) {
      found.push_back(*std::move(target));
    }
  }
  if (found.empty() && !unread.ok()) return unread;
  return found;
}

absl::StatusOr<std::string> TargetFileName(const TargetFile& target, bool consistent_snapshot) {
  if (!consistent_snapshot) return QuotePath(target.path);
  for (const char* algorithm : {"sha256", "sha512"}) {
    const auto hash = target.info.hashes.find(algorithm);
    if (hash == target.info.hashes.end()) continue;
    const size_t slash = target.path.rfind('/');
    const size_t start = slash == std::string::npos ? 0 : slash + 1;
    return absl::StrCat(QuotePath(target.path.substr(0, start)), Quote(hash->second), ".",
                        Quote(target.path.substr(start)));
  }
  return Failure(Fault::kDigestMismatch, target.path,
                 "found only hashes of unknown kinds, wanted sha256 or sha512");
}

absl::Status Updater::CopyTrusted(MetadataStore& to) {
  if (!refreshed_) return Failure(Fault::kMissing, kRoot, "found nothing trusted, wanted a refresh first");
  std::vector<std::string> roles = trusted_->TargetsRoles();
  // Root last: a copy without it is none.
  roles.insert(roles.end(), {kSnapshot, kTimestamp, kRoot});
  for (const std::string& role : roles) {
    const absl::StatusOr<std::string> stored = store_.Load(role);
    const absl::Status copied = stored.ok() ? to.Save(role, *stored) : stored.status();
    if (!copied.ok())
      return Failure(Fault::kStorage, role,
                     absl::StrCat("cannot be copied: ", absl::Utf8SafeCEscape(copied.message())));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Updater::Download(const TargetFile& target) {
  if (trusted_ == std::nullopt)
    return Failure(Fault::kMissing, target.path, "found no trusted root, wanted a refresh first");
  ASSIGN_OR_RETURN(const std::string name, TargetFileName(target, trusted_->root().consistent_snapshot));
  const int64_t length = target.info.length.value_or(0);
  if (length > kMaxTargetBytes)
    return Failure(Fault::kLimitExceeded, target.path,
                   absl::StrCat("found ", length, " bytes, wanted at most ", kMaxTargetBytes));
  absl::StatusOr<std::string> bytes = fetcher_.Target(name, static_cast<size_t>(length));
  if (!bytes.ok()) {
    return Failure(FaultOfFetch(bytes.status()), target.path,
                   absl::Utf8SafeCEscape(bytes.status().message()));
  }
  RETURN_IF_ERROR(CheckBytes(target.info, *bytes, target.path));
  return bytes;
}

}  // namespace ringfence::tuf
