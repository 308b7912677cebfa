// Ends calls that the server never answers. statement_timeout is the server's own promise, and a stopped or
// half-dead server keeps none; libpq would wait for ever. One thread looks at all watched sockets and shuts
// an overdue one down, which makes the waiting call fail at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <set>
#include <thread>

#include "absl/time/time.h"
#include "ringfence/base/mutex.h"

namespace ringfence::storage {

// Thread-safe. Outlives its watches.
class Watchdog {
 public:
  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // One socket. Begin and End are called by one thread at a time.
  class Watch {
   public:
    // Keeps a duplicate of `socket`, so that a number that libpq closed and another thread got is never
    // touched.
    Watch(Watchdog& dog, int socket);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // From now on the socket has `patience` (real time) until End.
    void Begin(absl::Duration patience);
    void End();

   private:
    friend class Watchdog;
    Watchdog& dog_;
    const int socket_;
    std::chrono::steady_clock::time_point deadline_;  // guarded by dog_.mutex_; max(): not waiting
  };

 private:
  void Run();

  Mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<Watch*> watches_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace ringfence::storage
