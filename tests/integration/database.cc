#include "tests/integration/database.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ringfence/base/check.h"

namespace ringfence::testing_support {
namespace {

constexpr char kSocketName[] = "/.s.PGSQL.5432";

std::string MakeFolder(const char* pattern) {
  std::string folder = pattern;
  RF_CHECK(::mkdtemp(folder.data()) != nullptr);
  RF_CHECK(::chmod(folder.c_str(), 0755) == 0);
  return folder;
}

// The processes that this one started.
std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::ifstream status(entry.path() / "status");
    for (std::string line; std::getline(status, line);) {
      int of = 0;
      if (std::sscanf(line.c_str(), "PPid: %d", &of) == 1 && of == parent) children.push_back(pid);
    }
  }
  return children;
}

sockaddr_un Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  RF_CHECK(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Database::Database() : folder_(MakeFolder("/var/tmp/rf-db-XXXXXX")) {
  Start();
  url_ = cluster_->ConnectionString();
}

Database::~Database() {
  if (cluster_ != nullptr) WakeUp();
  Stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Database::Start() {
  storage::PrivateClusterOptions options;
  options.directory = folder_ + "/pg";
  options.unsafe_fast = true;
  absl::StatusOr<std::unique_ptr<storage::PrivateCluster>> cluster = storage::PrivateCluster::Start(options);
  RF_CHECK(cluster.ok());
  cluster_ = *std::move(cluster);
}

void Database::Stop() {
  cluster_.reset();
}

void Database::SignalAll(int signal) {
  const pid_t postmaster = cluster_->postmaster_pid();
  ::kill(postmaster, signal);  // first: it starts no more of them
  for (const pid_t child : ChildrenOf(postmaster)) ::kill(child, signal);
}

void Database::Stun() {
  SignalAll(SIGSTOP);
}

void Database::WakeUp() {
  SignalAll(SIGCONT);
}

DatabaseProxy::DatabaseProxy(const Database& database) : folder_(MakeFolder("/var/tmp/rf-px-XXXXXX")) {
  const std::string socket_folder = database.folder() + "/pg/sock";
  target_ = socket_folder + kSocketName;
  url_ = absl::StrReplaceAll(database.url(), {{socket_folder, folder_}});
  RF_CHECK(url_ != database.url());
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = Address(folder_ + kSocketName);
  RF_CHECK(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  RF_CHECK(::listen(listener_, 64) == 0);
  RF_CHECK(::pipe(wake_) == 0);
  thread_ = std::thread([this] { Run(); });
}

DatabaseProxy::~DatabaseProxy() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  RF_CHECK(::write(wake_[1], "", 1) == 1);
  thread_.join();
  CloseAll();
  for (const int fd : {listener_, wake_[0], wake_[1]}) ::close(fd);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void DatabaseProxy::SetMode(Mode mode, const std::string& text) {
  {
    MutexLock lock(&mutex_);
    mode_ = mode;
    cut_at_ = text;
    ends_all_ = ends_all_ || (mode == Mode::kOpen && text.empty());
  }
  RF_CHECK(::write(wake_[1], "", 1) == 1);
}

void DatabaseProxy::CutOffAt(const std::string& text) {
  SetMode(Mode::kOpen, text);
}

void DatabaseProxy::FallSilent() {
  SetMode(Mode::kSilent, "");
}

void DatabaseProxy::Mend() {
  SetMode(Mode::kOpen, "");
}

DatabaseProxy::Mode DatabaseProxy::mode() const {
  MutexLock lock(&mutex_);
  return mode_;
}

bool DatabaseProxy::is_cut() const {
  return mode() != Mode::kOpen;
}

void DatabaseProxy::CloseAll() {
  for (const Pair& pair : pairs_) {
    ::close(pair.server);
    if (pair.database >= 0) ::close(pair.database);
  }
  pairs_.clear();
}

void DatabaseProxy::Accept() {
  Pair pair{::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), -1};
  if (pair.server < 0) return;
  if (mode() == Mode::kCut) {
    ::close(pair.server);
    return;
  }
  if (mode() == Mode::kOpen) {
    pair.database = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = Address(target_);
    if (::connect(pair.database, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(pair.server);
      ::close(pair.database);
      return;
    }
  }
  pairs_.push_back(pair);
}

bool DatabaseProxy::Forward(int from, int to, bool to_database) {
  char buffer[1 << 16];
  const ssize_t got = ::recv(from, buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  if (to_database) {
    MutexLock lock(&mutex_);
    if (!cut_at_.empty() &&
        std::search(buffer, buffer + got, cut_at_.begin(), cut_at_.end()) != buffer + got) {
      mode_ = Mode::kCut;
      cut_at_.clear();
      ends_all_ = true;
      return false;
    }
  }
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t part = ::send(to, buffer + sent, static_cast<size_t>(got - sent), MSG_NOSIGNAL);
    if (part <= 0) return false;
    sent += part;
  }
  return true;
}

void DatabaseProxy::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
      if (ends_all_) CloseAll();
      ends_all_ = false;
    }
    std::vector<pollfd> ready = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    if (mode() == Mode::kOpen) {
      for (const Pair& pair : pairs_) {
        ready.push_back({pair.server, POLLIN, 0});
        ready.push_back({pair.database, POLLIN, 0});
      }
    }
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    char woken[64];
    if (ready[0].revents != 0) RF_CHECK(::read(wake_[0], woken, sizeof(woken)) > 0);
    std::vector<Pair> kept;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Pair& pair = pairs_[i];
      bool alive = true;
      if (2 + 2 * i + 1 < ready.size()) {
        if (ready[2 + 2 * i].revents != 0) alive = Forward(pair.server, pair.database, true);
        if (alive && ready[2 + 2 * i + 1].revents != 0) alive = Forward(pair.database, pair.server, false);
      }
      if (alive) {
        kept.push_back(pair);
      } else {
        ::close(pair.server);
        ::close(pair.database);
      }
    }
    pairs_ = std::move(kept);
    if (ready[1].revents != 0) Accept();
  }
}

}  // namespace ringfence::testing_support
