#include "tests/integration/database.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"

namespace ringfence::testing_support {
namespace {

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

}  // namespace

Database::Database() : folder_("/var/tmp/rf-db-XXXXXX") {
  RF_CHECK(::mkdtemp(folder_.data()) != nullptr);
  RF_CHECK(::chmod(folder_.c_str(), 0755) == 0);
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

DatabaseProxy::DatabaseProxy(const Database& database)
    : door_(database.url(), database.folder() + "/pg/sock") {
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
  for (const int fd : wake_) ::close(fd);
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
  Pair pair{door_.Accept(), -1};
  if (pair.server < 0) return;
  if (mode() == Mode::kCut) {
    ::close(pair.server);
    return;
  }
  if (mode() == Mode::kOpen) {
    pair.database = door_.Connect();
    if (pair.database < 0) {
      ::close(pair.server);
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
  return SendAll(to, buffer, static_cast<size_t>(got));
}

void DatabaseProxy::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
      if (ends_all_) CloseAll();
      ends_all_ = false;
    }
    std::vector<pollfd> ready = {{wake_[0], POLLIN, 0}, {door_.listener(), POLLIN, 0}};
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
