#include "ringfence/agent/artifact_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;

absl::Status SyncPath(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (synced) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cannot sync ", path, ": ", std::generic_category().message(error)));
}

}  // namespace

absl::StatusOr<Digest> HashFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  Sha256Stream hash;
  std::string buffer(256 * 1024, '\0');
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.Update(absl::string_view(buffer.data(), static_cast<size_t>(file.gcount())));
  }
  if (file.bad()) return absl::InternalError(absl::StrCat("cannot read ", path));
  return hash.Finish();
}

std::string ArtifactStore::PathOf(const Digest& digest) const {
  return absl::StrCat(folder_, "/", digest.ToString());
}

bool ArtifactStore::Has(const Digest& digest) const {
  const absl::StatusOr<Digest> found = HashFile(PathOf(digest));
  return found.ok() && *found == digest;
}

int64_t ArtifactStore::PartSize(const Digest& digest) const {
  std::error_code error;
  const auto size = fs::file_size(PartOf(digest), error);
  return error ? 0 : static_cast<int64_t>(size);
}

absl::Status ArtifactStore::Append(const Digest& digest, int64_t offset, absl::string_view bytes) {
  if (offset != 0 && offset != PartSize(digest)) {
    return absl::FailedPreconditionError(absl::StrCat("byte ", offset, " does not follow what is there"));
  }
  std::ofstream file(PartOf(digest), std::ios::binary | (offset == 0 ? std::ios::trunc : std::ios::app));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.flush();
  if (!file) return absl::ResourceExhaustedError(absl::StrCat("cannot write ", PartOf(digest)));
  return absl::OkStatus();
}

absl::StatusOr<Digest> ArtifactStore::Finish(const Digest& digest) {
  ASSIGN_OR_RETURN(const Digest came, HashFile(PartOf(digest)));
  std::error_code error;
  if (came != digest) {
    fs::remove(PartOf(digest), error);
    return came;
  }
  RETURN_IF_ERROR(SyncPath(PartOf(digest)));
  fs::rename(PartOf(digest), PathOf(digest), error);
  if (error) return absl::InternalError(absl::StrCat("cannot keep ", PathOf(digest), ": ", error.message()));
  RETURN_IF_ERROR(SyncPath(folder_));
  return came;
}

absl::StatusOr<Digest> ArtifactStore::Import(const std::string& path) {
  ASSIGN_OR_RETURN(const Digest digest, HashFile(path));
  std::error_code error;
  fs::copy_file(path, PartOf(digest), fs::copy_options::overwrite_existing, error);
  if (error) return absl::InternalError(absl::StrCat("cannot copy ", path, ": ", error.message()));
  return Finish(digest);
}

void ArtifactStore::Remove(const Digest& digest) {
  std::error_code error;
  fs::remove(PathOf(digest), error);
  fs::remove(PartOf(digest), error);
}

void ArtifactStore::KeepOnly(const std::set<Digest>& wanted) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    const absl::StatusOr<Digest> digest = Digest::Parse(absl::StripSuffix(name, ".part"));
    if (digest.ok() && wanted.count(*digest) == 0) fs::remove(entry.path(), error);
  }
}

}  // namespace ringfence::agent
