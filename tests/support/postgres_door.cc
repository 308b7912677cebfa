#include "tests/support/postgres_door.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_replace.h"
#include "ringfence/base/check.h"

namespace ringfence::testing_support {
namespace {

constexpr char kSocketName[] = "/.s.PGSQL.5432";

sockaddr_un Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  RF_CHECK(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

PostgresDoor::PostgresDoor(const std::string& url, const std::string& socket_folder)
    : folder_("/var/tmp/rf-px-XXXXXX"), target_(socket_folder + kSocketName) {
  RF_CHECK(::mkdtemp(folder_.data()) != nullptr);
  RF_CHECK(::chmod(folder_.c_str(), 0755) == 0);
  url_ = absl::StrReplaceAll(url, {{socket_folder, folder_}});
  RF_CHECK(url_ != url);
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = Address(folder_ + kSocketName);
  RF_CHECK(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  RF_CHECK(::listen(listener_, 64) == 0);
}

PostgresDoor::~PostgresDoor() {
  ::close(listener_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

int PostgresDoor::Accept() const {
  return ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
}

int PostgresDoor::Connect() const {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = Address(target_);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  ::close(fd);
  return -1;
}

bool SendAll(int to, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t part = ::send(to, bytes, size, MSG_NOSIGNAL);
    if (part <= 0) return false;
    bytes += part;
    size -= static_cast<size_t>(part);
  }
  return true;
}

}  // namespace ringfence::testing_support
