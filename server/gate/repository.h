// The release repository at the server's border: what a publisher sends is verified as an agent verifies it,
// with the same library. Pure but for what it is given to read from.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringfence/policy/release.h"
#include "server/gate/gate.h"

namespace ringfence::gate {

// Files of a release repository, as they came. Nothing of it is believed.
struct RepositoryFiles {
  std::map<std::string, std::string> metadata;  // by file name: "timestamp.json", "7.snapshot.json"
  std::map<std::string, std::string>
      targets;  // by path: "trust.json", "qual/<sha256>", "content/ipc/1-a.fct"
};

// What this server stored of the repository before.
class StoredRepository {
 public:
  virtual ~StoredRepository() = default;
  // The newest file of this name (metadata's file name, a target's path), or the one with this digest.
  // NotFound.
  virtual absl::StatusOr<std::string> Read(const std::string& name, const std::optional<Digest>& sha256) = 0;
};

// A file that was verified, and is to be stored: with the release that came with it, or not at all.
struct VerifiedFile {
  std::string name;
  std::string bytes;
};

struct VerifiedRepository {
  std::vector<VerifiedFile> files;
  // Channel and serial of every release that is listed as recalled.
  std::set<std::pair<std::string, uint64_t>> recalled;
  // The release whose artifacts came along, if any did: everything but targets, published_at and what a
  // channel's history says. Its bytes are those of RepositoryFiles::targets, by the path of each artifact.
  std::optional<policy::Release> release;
};

inline constexpr size_t kMaxRepositoryFiles = 1024;

// In this order, the first that fails, as a refusal (trust::ToStatus):
//  1 the metadata: root by root from the trusted start, then timestamp, snapshot and every targets role, with
//    signatures, thresholds, versions that never go back, and expiry at `now`;
//  2 trust.json, whose version never goes back; every target that came is listed by a role that may speak of
//  it; 3 the artifacts that came are one release, and all of it (incomplete_set); 4 of each artifact its
//  size, that it is not all zeros, and CheckRelease for every platform that it is listed
//    for, with every registered sensor in its range: as each agent will ask.
// Any other error is what `stored` said. Files that the metadata does not need are not looked at.
// `timestamp`, if there is one, is taken for the file of that name, whatever came.
absl::StatusOr<VerifiedRepository> VerifyRepository(const Trust& trust, const RepositoryFiles& files,
                                                    const std::optional<std::string>& timestamp,
                                                    StoredRepository& stored, absl::Time now);

// What a role's newest document says of itself.
struct RoleState {
  std::string role;
  int64_t version = 0;
  absl::Time expires;

  friend bool operator==(const RoleState&, const RoleState&) = default;
};
// People should sign again when less than this is left: half of the days that docs/trust.md suggests for
// timestamp and snapshot, more for what needs a ceremony.
absl::Duration SignAgainWithin(const std::string& role);
// Of what is stored, root first, delegated roles last; empty before the first publication.
absl::StatusOr<std::vector<RoleState>> DescribeRepository(const Trust& trust, StoredRepository& stored);

// A timestamp over the snapshot that is newest among `files` and what is stored, signed by the server's own
// key, one version above every timestamp that is known, good for `lifetime`; absent if nothing is stored and
// no snapshot came. It is as believable as any: to be verified like one that came.
absl::StatusOr<std::optional<std::string>> SignTimestamp(const trust::SigningKey& key,
                                                         const RepositoryFiles& files,
                                                         StoredRepository& stored, absl::Time now,
                                                         absl::Duration lifetime);

// The hosts that a listing's platform means, by their labels: `os=debian12,arch=x86_64` those labels, `any`
// every host, every other text the label `platform`.
policy::Selector PlatformSelector(const std::string& platform);

}  // namespace ringfence::gate
