// Sessions kept open for reuse. A broken one is thrown away.
#pragma once

#include <condition_variable>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/base/mutex.h"
#include "server/storage/postgres/session.h"

namespace ringfence::storage {

// Thread-safe. Outlives its leases.
class ConnectionPool {
 public:
  explicit ConnectionPool(const PostgresOptions& options) : options_(options) {}

  // A session for one caller; goes back to the pool with the lease.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : pool_(other.pool_), reused_(other.reused_), session_(std::move(other.session_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (session_ != nullptr) pool_->Return(std::move(session_));
    }
    Session& operator*() { return *session_; }
    Session* operator->() { return session_.get(); }
    // It was used before, so the server may have gone away since without a sign.
    bool reused() const { return reused_; }

   private:
    friend class ConnectionPool;
    Lease(ConnectionPool* pool, bool reused, std::unique_ptr<Session> session)
        : pool_(pool), reused_(reused), session_(std::move(session)) {}
    ConnectionPool* pool_;
    bool reused_;
    std::unique_ptr<Session> session_;
  };

  // Waits for a free place if all are taken, up to statement_timeout; then Unavailable, as when the server is
  // not reached.
  absl::StatusOr<Lease> Acquire();
  // Forgets the sessions that nobody uses now: the server they led to is gone.
  void DropIdle();

 private:
  void Return(std::unique_ptr<Session> session);

  const PostgresOptions options_;
  Watchdog watchdog_;
  Mutex mutex_;
  std::condition_variable freed_;
  int in_use_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<Session>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringfence::storage
