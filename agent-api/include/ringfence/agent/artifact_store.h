// Downloaded bytes in a folder, named by their sha256; unfinished downloads beside them, resumable.
#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"

namespace ringfence::agent {

// Thread-safe as long as no two threads work on the same digest.
class ArtifactStore {
 public:
  // `folder` exists.
  explicit ArtifactStore(std::string folder) : folder_(std::move(folder)) {}

  std::string PathOf(const Digest& digest) const;
  bool Has(const Digest& digest) const;
  // Bytes of an unfinished download that are there already.
  int64_t PartSize(const Digest& digest) const;
  // Writes at `offset`, which is where the part ends, or 0 to start it again.
  absl::Status Append(const Digest& digest, int64_t offset, absl::string_view bytes);
  // Ends a download: returns the sha256 of what came. Only if it is `digest` the bytes are kept, synced,
  // under its name.
  absl::StatusOr<Digest> Finish(const Digest& digest);
  // Brings a file of the host in, as if it had been downloaded.
  absl::StatusOr<Digest> Import(const std::string& path);
  // Removes the bytes of this digest, finished or not.
  void Remove(const Digest& digest);
  // Removes everything that is not in `wanted`, unfinished downloads included.
  void KeepOnly(const std::set<Digest>& wanted);

 private:
  std::string PartOf(const Digest& digest) const { return PathOf(digest) + ".part"; }
  const std::string folder_;
};

// sha256 of a file's bytes.
absl::StatusOr<Digest> HashFile(const std::string& path);

}  // namespace ringfence::agent
