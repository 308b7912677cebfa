// A disk in memory.
#pragma once

#include <map>
#include <string>

#include "ringfence/agent/file_system.h"

namespace ringfence::test {

class MemoryFiles final : public agent::FileSystem {
 public:
  absl::StatusOr<std::string> Read(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return absl::NotFoundError(path);
    return found->second;
  }
  absl::Status Write(const std::string& path, absl::string_view bytes, int) override {
    if (full) return absl::ResourceExhaustedError("no space left");
    files[path] = std::string(bytes);
    return absl::OkStatus();
  }
  absl::Status Sync(const std::string&) override { return absl::OkStatus(); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    files[to] = files[from];
    files.erase(from);
    return absl::OkStatus();
  }
  absl::Status SyncFolder(const std::string&) override { return absl::OkStatus(); }

  std::map<std::string, std::string> files;
  bool full = false;  // refuses every write
};

}  // namespace ringfence::test
