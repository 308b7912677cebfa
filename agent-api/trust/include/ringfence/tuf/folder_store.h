// Metadata in a folder: root.json, timestamp.json and so on.
#pragma once

#include <string>

#include "ringfence/tuf/updater.h"

namespace ringfence::tuf {

// Reads at most `most` bytes of a file. NotFound, ResourceExhausted, or Unknown with the system's words.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t most);

// Writes to a new file beside it, brings that to the disk, renames, and brings the folder to the disk: `path`
// is the old file or the new one, whenever the power fails. `mode` as for open.
absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes, int mode);

// One file per role, named by Quote(role): no role's name leads out of the folder. The folder must exist.
class FolderStore final : public MetadataStore {
 public:
  explicit FolderStore(std::string folder) : folder_(std::move(folder)) {}
  absl::StatusOr<std::string> Load(const std::string& role) override;
  absl::Status Save(const std::string& role, absl::string_view bytes) override;

 private:
  std::string PathOf(const std::string& role) const;

  const std::string folder_;
};

}  // namespace ringfence::tuf
