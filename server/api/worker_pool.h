// A few threads for work that may wait for the database, so that no gRPC thread ever does.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "ringfence/base/mutex.h"

namespace ringfence::api {

// Thread-safe.
class WorkerPool {
 public:
  // At most `capacity` tasks wait. `urgent_threads` more threads run urgent tasks only.
  WorkerPool(int threads, size_t capacity, int urgent_threads = 0);
  ~WorkerPool();  // Stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False, and the task is dropped, when the queue is full or the pool stops. An urgent task (a halt) goes
  // before all others and is never refused for a full queue.
  [[nodiscard]] bool Submit(std::function<void()> task, bool urgent = false);

  // Takes no more tasks, runs those that wait, ends the threads. May be called twice.
  void Stop();

 private:
  void Run(bool urgent_only);

  const size_t capacity_;
  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> urgent_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace ringfence::api
