// The client: fetches what TrustedSet wants next, and stores what it accepted.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/tuf/trusted_set.h"

namespace ringfence::tuf {

// Where metadata and targets come from. Nothing that it gives is believed.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // The file of this name, relative to the repository's folder of metadata, quoted for a URL. NotFound if the
  // repository says that it has none; ResourceExhausted, without having read much more, if it has more than
  // `most` bytes; any other error if it could not be asked.
  virtual absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) = 0;
  // The same for a target's file, relative to the folder of targets.
  virtual absl::StatusOr<std::string> Target(const std::string& name, size_t most) = 0;
};

// Gives nothing: for a host without a network.
class NoFetcher final : public Fetcher {
 public:
  absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) override;
  absl::StatusOr<std::string> Target(const std::string& name, size_t most) override;
};

// Where accepted metadata is kept, the bytes as they came.
class MetadataStore {
 public:
  virtual ~MetadataStore() = default;
  // NotFound if there is none.
  virtual absl::StatusOr<std::string> Load(const std::string& role) = 0;
  // After it returned ok the new bytes are there even if the power fails; before, the old ones are.
  virtual absl::Status Save(const std::string& role, absl::string_view bytes) = 0;
};

// Root's versions that one refresh goes through at most, and roles that one search asks.
inline constexpr int kMaxRootSteps = 256;
inline constexpr size_t kMaxRolesPerSearch = 32;
// The largest target that Download takes into memory.
inline constexpr int64_t kMaxTargetBytes = int64_t{1} << 30;

// One update. `now` counts from beginning to end. Every error is a Failure that names role and cause; what
// had been accepted and stored before it stays so, everything else is as it was. Not thread-safe.
class Updater {
 public:
  Updater(Fetcher& fetcher, MetadataStore& store, absl::Time now)
      : fetcher_(fetcher), store_(store), now_(now) {}

  // Brings root, timestamp, snapshot and top-level targets up to date. The store must hold a root.
  absl::Status Refresh();

  // Instead of Refresh, without the repository: what was accepted and stored earlier is verified again. With
  // absl::InfinitePast() as `now` nothing has expired: for what runs already, which no expiry may stop. Fails
  // if an update was interrupted half-way; the next Refresh mends that. And whoever has the online keys can
  // make the store say that a role has moved on without showing it: for what runs, use a copy made by
  // CopyTrusted when it was staged.
  absl::Status UseStored();

  // The most trusted listing of this path: the tree of delegations in order of appearance, depth first, each
  // role asked once at most. Fetches the roles that it needs. kMissing if nobody who is asked lists the path.
  // Refreshes first if that has not been done.
  absl::StatusOr<TargetFile> Find(const std::string& path);

  // Of all that is listed by any role that delegations lead to (kMaxRolesPerSearch at most, succinct ones
  // left out), what `wanted` picks: each as Find gives it, so a role that may not speak of a path adds
  // nothing. A role that cannot be had is an error only if nothing was found elsewhere.
  absl::StatusOr<std::vector<TargetFile>> Select(const std::function<bool(const TargetFile&)>& wanted);

  // The bytes of a target that Find gave; of the length and with the hashes that are listed.
  absl::StatusOr<std::string> Download(const TargetFile& target);

  // Writes every document that is trusted now, the roles that Find has asked included, to another store:
  // enough for UseStored and the same Find, whatever becomes of this one.
  absl::Status CopyTrusted(MetadataStore& to);

  // What is trusted; null before a Refresh that got as far as loading the root.
  const TrustedSet* trusted() const { return trusted_.has_value() ? &*trusted_ : nullptr; }

 private:
  absl::Status TrustStoredRoot();
  absl::Status RefreshRoot();
  absl::Status RefreshTimestamp();
  absl::Status RefreshSnapshot();
  absl::Status RefreshTargets(const std::string& role, const std::string& delegator);
  absl::StatusOr<std::string> Fetch(const std::string& role, std::optional<int64_t> version,
                                    std::optional<int64_t> length, size_t most);
  absl::Status Save(const std::string& role, absl::string_view bytes);

  Fetcher& fetcher_;
  MetadataStore& store_;
  const absl::Time now_;
  std::optional<TrustedSet> trusted_;
  bool refreshed_ = false;
};

// The name of a target's file, relative to the folder of targets: with consistent snapshots its hash stands
// before its last part. kDigestMismatch if there is no hash of a known kind.
absl::StatusOr<std::string> TargetFileName(const TargetFile& target, bool consistent_snapshot);

}  // namespace ringfence::tuf
