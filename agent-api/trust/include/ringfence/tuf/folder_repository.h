// A repository as a folder, as it is served: metadata/ and targets/, with drafts/ beside them, which nobody
// serves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ringfence/tuf/updater.h"

namespace ringfence::tuf {

// Not thread-safe; one process at a time. Errors are NotFound or Unknown with the path, or Failures of what
// is there.
class FolderRepository {
 public:
  explicit FolderRepository(std::string folder) : folder_(std::move(folder)) {}

  // Makes the folders that are not there.
  absl::Status Create();

  // The newest document of a role; NotFound if there is none.
  absl::StatusOr<std::string> Published(const std::string& role) const;
  // Of root, this version.
  absl::StatusOr<std::string> RootVersion(int64_t version) const;
  // 0 if there is none.
  absl::StatusOr<int64_t> PublishedVersion(const std::string& role) const;

  // The document that waits for signatures; NotFound if there is none.
  absl::StatusOr<std::string> Draft(const std::string& role) const;
  absl::Status SaveDraft(const std::string& role, absl::string_view bytes) const;
  absl::Status RemoveDraft(const std::string& role) const;
  absl::StatusOr<std::vector<std::string>> Drafts() const;
  // The draft, or else what is published; empty if there is neither.
  absl::StatusOr<std::string> Latest(const std::string& role) const;

  // Puts a target's bytes in their place; harmless while nothing lists them.
  absl::Status SaveTarget(const std::string& path, absl::string_view bytes) const;
  absl::StatusOr<std::string> ReadTarget(const TargetFile& target) const;
  absl::Status SaveMetadata(const std::string& name, absl::string_view bytes) const;
  absl::StatusOr<std::string> ReadMetadata(const std::string& name, size_t most) const;

  const std::string& folder() const { return folder_; }

 private:
  const std::string folder_;
};

// The repository as a client would see it, with some files in place of what is there.
class FolderFetcher final : public Fetcher {
 public:
  FolderFetcher(const FolderRepository& repository, std::map<std::string, std::string> instead)
      : repository_(repository), instead_(std::move(instead)) {}
  absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) override;
  absl::StatusOr<std::string> Target(const std::string& name, size_t most) override;

 private:
  const FolderRepository& repository_;
  const std::map<std::string, std::string> instead_;
};

// Every target that any role lists, by path: who lists it is named first.
struct CheckedTarget {
  std::string role;
  TargetFile file;
};

// Goes through everything as a client that begins with `root` does: all top-level roles, every delegated
// role, that a client is led to every target that is
// listed, and if `bytes` every target's bytes. The first Failure otherwise.
absl::StatusOr<std::vector<CheckedTarget>> CheckRepository(Fetcher& fetcher, absl::string_view root,
                                                           absl::Time now, bool bytes);

}  // namespace ringfence::tuf
