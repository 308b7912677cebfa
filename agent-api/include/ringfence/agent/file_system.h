// The few file operations that the agent's memory needs, one step each, so that tests can let the power fail
// after any of them. Paths are plain; errors carry the path and the system's words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ringfence::agent {

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // NotFound if there is no such file.
  virtual absl::StatusOr<std::string> Read(const std::string& path) = 0;
  // Creates or empties the file, writes all bytes. May leave any part of them behind when it fails or the
  // power does.
  virtual absl::Status Write(const std::string& path, absl::string_view bytes, int mode) = 0;
  // The file's bytes are on the disk when it returns.
  virtual absl::Status Sync(const std::string& path) = 0;
  // Atomic replacement; on the disk for sure only after SyncFolder.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status SyncFolder(const std::string& path) = 0;
};

// The real one. Thread-safe.
std::unique_ptr<FileSystem> MakePosixFileSystem();

}  // namespace ringfence::agent
