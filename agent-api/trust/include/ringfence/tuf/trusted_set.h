// The metadata that a client trusts, and the rules by which it comes to trust more: section 5 of TUF's
// specification without its files and requests. Pure: bytes in, Status out. A call that fails changes
// nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::tuf {

// Update is for what the repository sent, Load for what this client accepted earlier and stored itself. What
// was stored may have expired or been superseded: then it is good for nothing but to notice that the
// repository goes back behind it, and for that it must be loaded before the update. The order is: all roots,
// then timestamp, snapshot, targets, delegated targets; a call that comes too early is kMissing.
// Thread-compatible.
class TrustedSet {
 public:
  // Trust begins here. The root must be signed by its own keys; it may have expired. `now` is the one time of
  // the whole update.
  static absl::StatusOr<TrustedSet> FromRoot(absl::string_view bytes, absl::Time now);

  // The next root: signed by a threshold of the old one's keys and of its own, its version exactly one
  // higher. May have expired: only the last one counts, which CheckRoot asks. Not after a timestamp.
  absl::Status UpdateRoot(absl::string_view bytes);
  absl::Status CheckRoot() const;

  // kSame: it has the version that is trusted already, whose content then counts.
  enum class Accepted { kNew, kSame };
  absl::Status LoadTimestamp(absl::string_view bytes);
  absl::StatusOr<Accepted> UpdateTimestamp(absl::string_view bytes);

  absl::Status LoadSnapshot(absl::string_view bytes);
  absl::Status UpdateSnapshot(absl::string_view bytes);
  // Is the snapshot the one that the timestamp announces, so that nothing needs fetching?
  bool SnapshotIsCurrent() const;

  // `role` as delegated by `delegator`: kTargets by kRoot, every other by a role that is trusted already. The
  // bytes must be those that the snapshot lists, signed by the keys that this delegator names; stored and
  // fetched ones alike.
  absl::Status UpdateTargets(absl::string_view role, absl::string_view delegator, absl::string_view bytes);
  // A role that another delegator vouched for has to satisfy this one as well. kMissing if it is not here.
  absl::Status ConfirmTargets(const std::string& role, const std::string& delegator);

  const Root& root() const { return root_.body; }
  const Timestamp* timestamp() const { return timestamp_.has_value() ? &timestamp_->body : nullptr; }
  const Snapshot* snapshot() const { return snapshot_.has_value() ? &snapshot_->body : nullptr; }
  // Trusted through this delegator; null otherwise.
  const Targets* targets(const std::string& role, const std::string& delegator) const;
  // All that were loaded, kTargets included.
  std::vector<std::string> TargetsRoles() const;
  // Of a current snapshot; null if it lists no such role.
  const FileInfo* Listed(absl::string_view role) const;
  absl::Time now() const { return now_; }

 private:
  struct Delegated {
    Document<Targets> document;
    std::set<std::string> delegators;  // that vouched for it
  };

  TrustedSet(Document<Root> root, absl::Time now) : root_(std::move(root)), now_(now) {}
  absl::Status CheckExpiry(absl::string_view role, const Common& common) const;
  absl::Status CheckTimestamp() const;
  absl::Status CheckSnapshot() const;
  absl::Status CheckDelegated(absl::string_view role, absl::string_view delegator,
                              const Document<Targets>& document) const;

  Document<Root> root_;
  absl::Time now_;
  std::optional<Document<Timestamp>> timestamp_;
  std::optional<Document<Snapshot>> snapshot_;
  bool snapshot_matches_ = false;  // the bytes are those that the timestamp lists
  std::map<std::string, Delegated> targets_;
};

}  // namespace ringfence::tuf
