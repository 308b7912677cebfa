#include "ringfence/tuf/trusted_set.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::tuf {
namespace {

template <typename T>
absl::Status CheckSigners(absl::string_view name, absl::string_view whose, const Role& role,
                          const std::map<std::string, Key>& keys, const Document<T>& document) {
  const int signers = CountSigners(role, keys, document.signed_bytes, document.signatures);
  if (signers >= role.threshold) return absl::OkStatus();
  return Failure(
      Fault::kBadSignature, name,
      absl::StrCat("found ", signers, " of the role's keys under it, wanted ", role.threshold, " of the ",
                   role.key_ids.size(), " that ", absl::Utf8SafeCEscape(whose), " names"));
}

template <typename T>
absl::Status CheckTopLevel(absl::string_view name, const Root& root, const Document<T>& document) {
  return CheckSigners(name, absl::StrCat("root version ", root.version), root.roles.at(std::string(name)),
                      root.keys, document);
}

absl::Status WrongVersion(Fault fault, absl::string_view role, int64_t found, absl::string_view wanted) {
  return Failure(fault, role, absl::StrCat("found version ", found, ", wanted ", wanted));
}

absl::Status TooEarly(absl::string_view role, absl::string_view before) {
  return Failure(Fault::kMissing, role,
                 absl::StrCat("found no trusted ", absl::Utf8SafeCEscape(before), ", wanted it first"));
}

}  // namespace

absl::StatusOr<TrustedSet> TrustedSet::FromRoot(absl::string_view bytes, absl::Time now) {
  ASSIGN_OR_RETURN(Document<Root> root, ParseRoot(bytes));
  RETURN_IF_ERROR(CheckTopLevel(kRoot, root.body, root));
  return TrustedSet(std::move(root), now);
}

absl::Status TrustedSet::CheckExpiry(absl::string_view role, const Common& common) const {
  if (now_ < common.expires) return absl::OkStatus();
  return Failure(Fault::kExpired, role,
                 absl::StrCat("version ", common.version, " expired at ", TimeText(common.expires),
                              ", now is ", TimeText(now_)));
}

absl::Status TrustedSet::UpdateRoot(absl::string_view bytes) {
  if (timestamp_.has_value())
    return Failure(Fault::kStaleVersion, kRoot, "found a root after the timestamp, wanted it before");
  ASSIGN_OR_RETURN(Document<Root> root, ParseRoot(bytes));
  RETURN_IF_ERROR(CheckTopLevel(kRoot, root_.body, root));
  const int64_t next = root_.body.version + 1;
  if (root.body.version != next)
    return WrongVersion(root.body.version < next ? Fault::kStaleVersion : Fault::kWrongVersion, kRoot,
                        root.body.version, absl::StrCat("exactly ", next));
  RETURN_IF_ERROR(CheckTopLevel(kRoot, root.body, root));
  root_ = std::move(root);
  return absl::OkStatus();
}

absl::Status TrustedSet::CheckRoot() const {
  return CheckExpiry(kRoot, root_.body);
}

absl::Status TrustedSet::LoadTimestamp(absl::string_view bytes) {
  ASSIGN_OR_RETURN(Document<Timestamp> timestamp, ParseTimestamp(bytes));
  // Keys that root has replaced do not verify any more: so a stored version that a thief of the old key made
  // too high is forgotten here, and the repository may go back behind it.
  RETURN_IF_ERROR(CheckTopLevel(kTimestamp, root_.body, timestamp));
  timestamp_ = std::move(timestamp);
  return absl::OkStatus();
}

absl::StatusOr<TrustedSet::Accepted> TrustedSet::UpdateTimestamp(absl::string_view bytes) {
  RETURN_IF_ERROR(CheckRoot());
  ASSIGN_OR_RETURN(Document<Timestamp> timestamp, ParseTimestamp(bytes));
  RETURN_IF_ERROR(CheckTopLevel(kTimestamp, root_.body, timestamp));
  if (timestamp_.has_value()) {
    const Timestamp& old = timestamp_->body;
    if (timestamp.body.version < old.version) {
      return WrongVersion(Fault::kStaleVersion, kTimestamp, timestamp.body.version,
                          absl::StrCat("at least the trusted ", old.version));
    }
    if (timestamp.body.version == old.version) {
      RETURN_IF_ERROR(CheckTimestamp());
      return Accepted::kSame;
    }
    if (timestamp.body.snapshot.version < old.snapshot.version) {
      return WrongVersion(Fault::kStaleVersion, kTimestamp, timestamp.body.snapshot.version,
                          absl::StrCat("of the snapshot at least the trusted ", old.snapshot.version));
    }
  }
  RETURN_IF_ERROR(CheckExpiry(kTimestamp, timestamp.body));
  timestamp_ = std::move(timestamp);
  return Accepted::kNew;
}

absl::Status TrustedSet::CheckTimestamp() const {
  if (!timestamp_.has_value()) return TooEarly(kTimestamp, kTimestamp);
  return CheckExpiry(kTimestamp, timestamp_->body);
}

absl::Status TrustedSet::LoadSnapshot(absl::string_view bytes) {
  if (!timestamp_.has_value()) return TooEarly(kSnapshot, kTimestamp);
  ASSIGN_OR_RETURN(Document<Snapshot> snapshot, ParseSnapshot(bytes));
  RETURN_IF_ERROR(CheckTopLevel(kSnapshot, root_.body, snapshot));
  snapshot_ = std::move(snapshot);
  snapshot_matches_ = CheckBytes(timestamp_->body.snapshot, bytes, kSnapshot).ok();
  return absl::OkStatus();
}

absl::Status TrustedSet::UpdateSnapshot(absl::string_view bytes) {
  RETURN_IF_ERROR(CheckRoot());
  RETURN_IF_ERROR(CheckTimestamp());
  const FileInfo& listed = timestamp_->body.snapshot;
  RETURN_IF_ERROR(CheckBytes(listed, bytes, kSnapshot));
  ASSIGN_OR_RETURN(Document<Snapshot> snapshot, ParseSnapshot(bytes));
  RETURN_IF_ERROR(CheckTopLevel(kSnapshot, root_.body, snapshot));
  if (snapshot.body.version != listed.version) {
    return WrongVersion(Fault::kWrongVersion, kSnapshot, snapshot.body.version,
                        absl::StrCat("the ", listed.version, " of the timestamp"));
  }
  if (snapshot_.has_value()) {
    for (const auto& [name, old] : snapshot_->body.meta) {
      const auto now = snapshot.body.meta.find(name);
      if (now == snapshot.body.meta.end()) {
        return Failure(Fault::kStaleVersion, kSnapshot,
                       absl::StrCat("found no ", absl::Utf8SafeCEscape(name),
                                    ", wanted it with at least the trusted version ", old.version));
      }
      if (now->second.version < old.version) {
        return Failure(Fault::kStaleVersion, kSnapshot,
                       absl::StrCat("found ", absl::Utf8SafeCEscape(name), " with version ",
                                    now->second.version, ", wanted at least the trusted ", old.version));
      }
    }
  }
  RETURN_IF_ERROR(CheckExpiry(kSnapshot, snapshot.body));
  snapshot_ = std::move(snapshot);
  snapshot_matches_ = true;
  return absl::OkStatus();
}

absl::Status TrustedSet::CheckSnapshot() const {
  RETURN_IF_ERROR(CheckRoot());
  RETURN_IF_ERROR(CheckTimestamp());
  if (!snapshot_.has_value()) return TooEarly(kSnapshot, kSnapshot);
  if (snapshot_->body.version != timestamp_->body.snapshot.version || !snapshot_matches_) {
    return WrongVersion(Fault::kWrongVersion, kSnapshot, snapshot_->body.version,
                        absl::StrCat("the ", timestamp_->body.snapshot.version, " of the timestamp"));
  }
  return CheckExpiry(kSnapshot, snapshot_->body);
}

bool TrustedSet::SnapshotIsCurrent() const {
  return CheckSnapshot().ok();
}

const FileInfo* TrustedSet::Listed(absl::string_view role) const {
  if (!snapshot_.has_value()) return nullptr;
  const auto found = snapshot_->body.meta.find(absl::StrCat(role, ".json"));
  return found == snapshot_->body.meta.end() ? nullptr : &found->second;
}

absl::Status TrustedSet::CheckDelegated(absl::string_view role, absl::string_view delegator,
                                        const Document<Targets>& document) const {
  if (delegator == kRoot) {
    if (role != kTargets) return Failure(Fault::kMissing, role, "found no delegation by root, wanted one");
    return CheckTopLevel(kTargets, root_.body, document);
  }
  const auto parent = targets_.find(std::string(delegator));
  if (parent == targets_.end()) return TooEarly(role, delegator);
  const Targets& by = parent->second.document.body;
  const Role* found = nullptr;
  if (by.succinct.has_value() && IsRoleOf(*by.succinct, role)) found = &by.succinct->role;
  for (const Delegation& delegation : by.delegations) {
    if (delegation.name == role) found = &delegation.role;
  }
  if (found == nullptr)
    return Failure(Fault::kMissing, role,
                   absl::StrCat("found no delegation by ", absl::Utf8SafeCEscape(delegator), ", wanted one"));
  return CheckSigners(role, absl::StrCat("role ", delegator), *found, by.keys, document);
}

absl::Status TrustedSet::UpdateTargets(absl::string_view role, absl::string_view delegator,
                                       absl::string_view bytes) {
  RETURN_IF_ERROR(CheckSnapshot());
  const FileInfo* listed = Listed(role);
  if (listed == nullptr)
    return Failure(
        Fault::kMissing, role,
        absl::StrCat("found no such role in snapshot version ", snapshot_->body.version, ", wanted it"));
  RETURN_IF_ERROR(CheckBytes(*listed, bytes, role));
  ASSIGN_OR_RETURN(Document<Targets> document, ParseTargets(role, bytes));
  RETURN_IF_ERROR(CheckDelegated(role, delegator, document));
  if (document.body.version != listed->version) {
    return WrongVersion(document.body.version < listed->version ? Fault::kStaleVersion : Fault::kWrongVersion,
                        role, document.body.version,
                        absl::StrCat("the ", listed->version, " of the snapshot"));
  }
  RETURN_IF_ERROR(CheckExpiry(role, document.body));
  targets_[std::string(role)] = Delegated{std::move(document), {std::string(delegator)}};
  return absl::OkStatus();
}

absl::Status TrustedSet::ConfirmTargets(const std::string& role, const std::string& delegator) {
  const auto found = targets_.find(role);
  if (found == targets_.end()) return Failure(Fault::kMissing, role, "found nothing, wanted it loaded first");
  if (found->second.delegators.count(delegator) != 0) return absl::OkStatus();
  RETURN_IF_ERROR(CheckDelegated(role, delegator, found->second.document));
  found->second.delegators.insert(delegator);
  return absl::OkStatus();
}

std::vector<std::string> TrustedSet::TargetsRoles() const {
  std::vector<std::string> roles;
  for (const auto& [role, loaded] : targets_) roles.push_back(role);
  return roles;
}

const Targets* TrustedSet::targets(const std::string& role, const std::string& delegator) const {
  const auto found = targets_.find(role);
  const bool trusted = found != targets_.end() && found->second.delegators.count(delegator) != 0;
  return trusted ? &found->second.document.body : nullptr;
}

}  // namespace ringfence::tuf
