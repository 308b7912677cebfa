#include "ringfence/tuf/folder_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::tuf {
namespace {

absl::Status SystemError(const std::string& path) {
  const int error = errno;
  const std::string text = absl::StrCat(path, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(text) : absl::UnknownError(text);
}

class File {
 public:
  File(const std::string& path, int flags, int mode) : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::Status WriteAll(const File& file, const std::string& path, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.fd(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return SystemError(path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return ::fsync(file.fd()) == 0 ? absl::OkStatus() : SystemError(path);
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t most) {
  const File file(path, O_RDONLY, 0);
  if (!file.open()) return SystemError(path);
  std::string bytes;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = ::read(file.fd(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path);
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
    if (bytes.size() > most)
      return absl::ResourceExhaustedError(absl::StrCat(path, ": more than ", most, " bytes"));
  }
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes, int mode) {
  const std::string draft = absl::StrCat(path, ".new");
  absl::Status status;
  {
    const File file(draft, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (!file.open()) return SystemError(draft);
    status = WriteAll(file, draft, bytes);
  }
  if (status.ok() && std::rename(draft.c_str(), path.c_str()) != 0) status = SystemError(path);
  if (!status.ok()) {
    std::remove(draft.c_str());
    return status;
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const File opened(folder, O_RDONLY | O_DIRECTORY, 0);
  if (!opened.open() || ::fsync(opened.fd()) != 0) return SystemError(folder);
  return absl::OkStatus();
}

std::string FolderStore::PathOf(const std::string& role) const {
  return absl::StrCat(folder_, "/", Quote(role), ".json");
}

absl::StatusOr<std::string> FolderStore::Load(const std::string& role) {
  return ReadFile(PathOf(role), kMaxTargetsBytes);
}

absl::Status FolderStore::Save(const std::string& role, absl::string_view bytes) {
  return WriteFileDurably(PathOf(role), bytes, 0644);
}

}  // namespace ringfence::tuf
