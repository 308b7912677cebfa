#include "server/storage/postgres/connection_pool.h"

#include "absl/strings/str_cat.h"

namespace ringfence::storage {

absl::StatusOr<ConnectionPool::Lease> ConnectionPool::Acquire() {
  {
    MutexLock lock(&mutex_);
    const auto has_place = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return in_use_ < options_.pool_size; };
    if (!freed_.wait_for(lock.native(), absl::ToChronoNanoseconds(options_.statement_timeout), has_place)) {
      return absl::UnavailableError(absl::StrCat("database: all ", options_.pool_size, " sessions are busy"));
    }
    ++in_use_;
    if (!idle_.empty()) {
      std::unique_ptr<Session> session = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, /*reused=*/true, std::move(session));
    }
  }
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Connect(options_, watchdog_);
  if (!session.ok()) {
    Return(nullptr);
    return session.status();
  }
  return Lease(this, /*reused=*/false, std::move(session).value());
}

void ConnectionPool::Return(std::unique_ptr<Session> session) {
  // A broken session is closed outside the lock, when `session` ends.
  MutexLock lock(&mutex_);
  --in_use_;
  if (session != nullptr && !session->broken()) idle_.push_back(std::move(session));
  freed_.notify_one();
}

void ConnectionPool::DropIdle() {
  std::vector<std::unique_ptr<Session>> dropped;
  MutexLock lock(&mutex_);
  dropped.swap(idle_);
}

}  // namespace ringfence::storage
