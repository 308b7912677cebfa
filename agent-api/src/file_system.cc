#include "ringfence/agent/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace ringfence::agent {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  const int error = errno;
  const std::string text =
      absl::StrCat("cannot ", what, " ", path, ": ", std::generic_category().message(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::InternalError(text);
}

// Closes on every way out.
struct Descriptor {
  explicit Descriptor(int value) : fd(value) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::string> Read(const std::string& path) override {
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.fd < 0) return Failed("open", path);
    std::string bytes;
    char buffer[64 * 1024];
    while (true) {
      const ssize_t got = ::read(file.fd, buffer, sizeof buffer);
      if (got == 0) return bytes;
      if (got > 0) {
        bytes.append(buffer, static_cast<size_t>(got));
      } else if (errno != EINTR) {
        return Failed("read", path);
      }
    }
  }

  absl::Status Write(const std::string& path, absl::string_view bytes, int mode) override {
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (file.fd < 0) return Failed("create", path);
    while (!bytes.empty()) {
      const ssize_t put = ::write(file.fd, bytes.data(), bytes.size());
      if (put >= 0) {
        bytes.remove_prefix(static_cast<size_t>(put));
      } else if (errno != EINTR) {
        return Failed("write", path);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Sync(const std::string& path) override { return SyncAny(path, O_RDONLY); }
  absl::Status SyncFolder(const std::string& path) override { return SyncAny(path, O_RDONLY | O_DIRECTORY); }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return Failed("rename", from);
    return absl::OkStatus();
  }

 private:
  static absl::Status SyncAny(const std::string& path, int flags) {
    Descriptor file(::open(path.c_str(), flags | O_CLOEXEC));
    if (file.fd < 0) return Failed("open", path);
    if (::fsync(file.fd) != 0) return Failed("sync", path);
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<FileSystem> MakePosixFileSystem() {
  return std::make_unique<PosixFileSystem>();
}

}  // namespace ringfence::agent
