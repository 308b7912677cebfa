#include "server/api/worker_pool.h"

#include <utility>

namespace ringfence::api {

WorkerPool::WorkerPool(int threads, size_t capacity, int urgent_threads) : capacity_(capacity) {
  threads_.reserve(static_cast<size_t>(threads + urgent_threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(/*urgent_only=*/false); });
  for (int i = 0; i < urgent_threads; ++i) threads_.emplace_back([this] { Run(/*urgent_only=*/true); });
}

WorkerPool::~WorkerPool() {
  Stop();
}

bool WorkerPool::Submit(std::function<void()> task, bool urgent) {
  {
    MutexLock lock(&mutex_);
    if (stopping_ || (!urgent && tasks_.size() >= capacity_)) return false;
    (urgent ? urgent_ : tasks_).push_back(std::move(task));
  }
  wake_.notify_all();  // one alone may be of those that leave it
  return true;
}

void WorkerPool::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::Run(bool urgent_only) {
  for (;;) {
    std::function<void()> task;
    {
      MutexLock lock(&mutex_);
      while (urgent_.empty() && (urgent_only || tasks_.empty()) && !stopping_) wake_.wait(lock.native());
      if (urgent_only && urgent_.empty()) return;
      std::deque<std::function<void()>>& from = urgent_.empty() ? tasks_ : urgent_;
      if (from.empty()) return;  // stopping, and nothing waits
      task = std::move(from.front());
      from.pop_front();
    }
    task();
  }
}

}  // namespace ringfence::api
