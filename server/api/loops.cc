#include "server/api/loops.h"

#include <algorithm>

namespace ringfence::api {

Loop::Loop(absl::Duration period, std::function<void()> step) : period_(period), step_(std::move(step)) {
  thread_ = std::thread([this] { Run(); });
}

Loop::~Loop() {
  Stop();
}

void Loop::Wake() {
  {
    MutexLock lock(&mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

void Loop::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Loop::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      wake_.wait_for(lock.native(), absl::ToChronoNanoseconds(period_),
                     [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return woken_ || stopping_; });
      if (stopping_) return;
      woken_ = false;
    }
    step_();
  }
}

absl::Duration EnginePeriod(absl::Duration checkin_interval, double time_scale) {
  return std::clamp(checkin_interval / 4 / time_scale, absl::Milliseconds(20), absl::Milliseconds(250));
}

}  // namespace ringfence::api
