// A release repository's folder, as `ringfence-keys` writes it, made ready to be sent. Believes nothing and
// checks nothing: that is the server's, which follows the repository.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/tuf/folder_repository.h"
#include "ringfence/v1/release.pb.h"

namespace ringfence::cli {

struct UploadFile {
  v1::RepositoryFileKind kind = v1::REPOSITORY_FILE_KIND_METADATA;
  std::string name, bytes;
};

// A release that the folder's published metadata lists.
struct ListedRelease {
  std::string channel, version;
  uint64_t serial = 0;
  bool revoked = false;
  std::vector<tuf::TargetFile> artifacts;
  std::set<std::string> envelopes;  // paths
};

class RepositoryUpload {
 public:
  // Reads the published metadata: every root, the timestamp, and what they lead to. InvalidArgument or
  // NotFound, naming the file.
  static absl::StatusOr<RepositoryUpload> Open(const std::string& folder);

  // By channel, then rising serial.
  const std::vector<ListedRelease>& releases() const { return releases_; }
  // The metadata, trust.json, and of `release` (null: of none) the evidence and every artifact.
  absl::StatusOr<std::vector<UploadFile>> Files(const ListedRelease* release) const;
  // "snapshot 7, timestamp 9".
  std::string Versions() const;

 private:
  explicit RepositoryUpload(const std::string& folder) : repository_(folder) {}
  absl::Status Read();
  absl::Status AddTargets(const std::string& role, const std::string& name);

  tuf::FolderRepository repository_;
  std::map<std::string, std::string> metadata_;     // by file name
  std::map<std::string, tuf::TargetFile> targets_;  // by path
  std::vector<ListedRelease> releases_;
  int64_t snapshot_ = 0, timestamp_ = 0;
};

}  // namespace ringfence::cli
