#include "tests/support/wire_cut.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "ringfence/base/check.h"

namespace ringfence::testing {
namespace {

constexpr size_t kLengthBytes = 4;

// The host in "... host=FOLDER ..." or "...?host=FOLDER&...".
std::string SocketFolder(const std::string& url) {
  const size_t at = url.find("host=");
  RF_CHECK(at != std::string::npos);
  const size_t begin = url.find('/', at);
  return url.substr(begin, url.find_first_of(" '&", begin) - begin);
}

// The length of the message that begins here, without its type; nothing until four bytes of it are there.
std::optional<size_t> LengthAt(const std::string& bytes, size_t at) {
  if (bytes.size() < at + kLengthBytes) return std::nullopt;
  size_t length = 0;
  for (size_t i = at; i < at + kLengthBytes; ++i) length = length << 8 | static_cast<uint8_t>(bytes[i]);
  return length;
}

// The server works on nothing before one of these: a query, or the end of what was sent in parts.
bool IsStatement(char type) {
  return type == 'Q' || type == 'S';
}

}  // namespace

WireCut::WireCut(const std::string& url) : door_(url, SocketFolder(url)) {
  RF_CHECK(::pipe(wake_) == 0);
  thread_ = std::thread([this] { Run(); });
}

WireCut::~WireCut() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  CloseAll();
  for (const int fd : wake_) ::close(fd);
}

void WireCut::Wake() {
  RF_CHECK(::write(wake_[1], "", 1) == 1);
}

void WireCut::CutAt(int statement, Last last) {
  MutexLock lock(&mutex_);
  cut_at_ = statement;
  last_ = last;
  statements_ = 0;
}

void WireCut::Mend() {
  MutexLock lock(&mutex_);
  cut_at_.reset();
  cut_ = false;
}

int WireCut::statements() const {
  MutexLock lock(&mutex_);
  return statements_;
}

bool WireCut::is_cut() const {
  MutexLock lock(&mutex_);
  return cut_;
}

void WireCut::CloseAll() {
  for (const Connection& connection : connections_) {
    ::close(connection.client);
    ::close(connection.server);
  }
  connections_.clear();
}

void WireCut::Accept() {
  Connection connection;
  connection.client = door_.Accept();
  if (connection.client < 0) return;
  if (!is_cut()) connection.server = door_.Connect();
  if (connection.server < 0) {
    ::close(connection.client);
    return;
  }
  connections_.push_back(std::move(connection));
}

// Hands on whole messages only, up to the one at which everything ends.
bool WireCut::FromClient(Connection& connection) {
  char buffer[1 << 16];
  const ssize_t got = ::recv(connection.client, buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  std::string& pending = connection.pending;
  pending.append(buffer, static_cast<size_t>(got));
  size_t passed = 0;
  bool ends = false;
  while (!ends && passed < pending.size()) {
    const size_t type_bytes = connection.greeted ? 1 : 0;
    const std::optional<size_t> length = LengthAt(pending, passed + type_bytes);
    if (!length.has_value() || pending.size() < passed + type_bytes + *length) break;
    if (connection.greeted && IsStatement(pending[passed])) {
      MutexLock lock(&mutex_);
      if (cut_at_.has_value() && ++statements_ == *cut_at_) ends = cut_ = true;
      if (ends && last_ == Last::kLost) break;
    }
    connection.greeted = true;
    passed += type_bytes + *length;
  }
  if (!testing_support::SendAll(connection.server, pending.data(), passed)) return false;
  pending.erase(0, passed);
  return !ends;
}

bool WireCut::FromServer(Connection& connection) {
  char buffer[1 << 16];
  const ssize_t got = ::recv(connection.server, buffer, sizeof(buffer), 0);
  return got > 0 && testing_support::SendAll(connection.client, buffer, static_cast<size_t>(got));
}

void WireCut::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    std::vector<pollfd> ready = {{wake_[0], POLLIN, 0}, {door_.listener(), POLLIN, 0}};
    for (const Connection& connection : connections_) {
      ready.push_back({connection.client, POLLIN, 0});
      ready.push_back({connection.server, POLLIN, 0});
    }
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    char woken[64];
    if (ready[0].revents != 0) RF_CHECK(::read(wake_[0], woken, sizeof(woken)) > 0);
    std::vector<Connection> kept;
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      bool alive = !is_cut();
      if (alive && ready[2 + 2 * i].revents != 0) alive = FromClient(connection);
      if (alive && ready[3 + 2 * i].revents != 0) alive = FromServer(connection);
      if (alive) {
        kept.push_back(std::move(connection));
      } else {
        ::close(connection.client);
        ::close(connection.server);
      }
    }
    connections_ = std::move(kept);
    if (is_cut()) CloseAll();
    if (ready[1].revents != 0) Accept();
  }
}

}  // namespace ringfence::testing
