#include "server/storage/postgres/watchdog.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringfence::storage {
namespace {

constexpr auto kNever = std::chrono::steady_clock::time_point::max();
constexpr auto kLookEvery = std::chrono::milliseconds(200);

}  // namespace

Watchdog::Watchdog() : thread_([this] { Run(); }) {}

Watchdog::~Watchdog() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Watchdog::Run() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    changed_.wait_for(lock.native(), kLookEvery);
    const auto now = std::chrono::steady_clock::now();
    for (Watch* watch : watches_) {
      if (watch->deadline_ > now) continue;
      shutdown(watch->socket_, SHUT_RDWR);
      watch->deadline_ = kNever;
    }
  }
}

Watchdog::Watch::Watch(Watchdog& dog, int socket)
    : dog_(dog), socket_(fcntl(socket, F_DUPFD_CLOEXEC, 0)), deadline_(kNever) {
  MutexLock lock(&dog_.mutex_);
  dog_.watches_.insert(this);
}

Watchdog::Watch::~Watch() {
  {
    MutexLock lock(&dog_.mutex_);
    dog_.watches_.erase(this);
  }
  if (socket_ >= 0) close(socket_);
}

void Watchdog::Watch::Begin(absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  MutexLock lock(&dog_.mutex_);
  deadline_ = deadline;
}

void Watchdog::Watch::End() {
  MutexLock lock(&dog_.mutex_);
  deadline_ = kNever;
}

}  // namespace ringfence::storage
