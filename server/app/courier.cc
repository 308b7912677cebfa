#include "server/app/courier.h"

#include <algorithm>
#include <utility>

namespace ringfence::app {
namespace {

// Longer is as good as for ever, and a condition variable can still count it.
constexpr absl::Duration kMostPatience = absl::Hours(1);

}  // namespace

Courier::~Courier() {
  std::thread thread;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    waiting_.clear();
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
}

bool Courier::Run(absl::Duration patience, std::function<void()> work) {
  const auto errand = std::make_shared<Errand>();
  errand->work = std::move(work);
  MutexLock lock(&mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
  waiting_.push_back(errand);
  changed_.notify_all();
  changed_.wait_for(lock.native(), absl::ToChronoNanoseconds(std::min(patience, kMostPatience)),
                    [&] { return errand->ended; });
  const auto unbegun = std::find(waiting_.begin(), waiting_.end(), errand);
  if (unbegun != waiting_.end()) waiting_.erase(unbegun);
  return errand->ended;
}

void Courier::Loop() {
  while (true) {
    std::shared_ptr<Errand> errand;
    {
      MutexLock lock(&mutex_);
      while (waiting_.empty() && !stopping_) changed_.wait(lock.native());
      if (stopping_) return;
      errand = std::move(waiting_.front());
      waiting_.pop_front();
    }
    errand->work();
    {
      MutexLock lock(&mutex_);
      errand->ended = true;
    }
    changed_.notify_all();
  }
}

}  // namespace ringfence::app
