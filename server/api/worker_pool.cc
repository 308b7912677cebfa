#include "server/api/worker_pool.h"

#include <utility>

namespace ringfence::api {

WorkerPool::WorkerPool(int threads, size_t capacity) : capacity_(capacity) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
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
  wake_.notify_one();
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

void WorkerPool::Run() {
  for (;;) {
    std::function<void()> task;
    {
      MutexLock lock(&mutex_);
      while (urgent_.empty() && tasks_.empty() && !stopping_) wake_.wait(lock.native());
      std::deque<std::function<void()>>& from = urgent_.empty() ? tasks_ : urgent_;
      if (from.empty()) return;  // stopping, and nothing waits
      task = std::move(from.front());
      from.pop_front();
    }
    task();
  }
}

}  // namespace ringfence::api
