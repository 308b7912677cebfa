// The threads that drive the application: the engine's steps and the group commit. Each is a few lines around
// RunOnce and CommitOnce, which tests call by hand.
#pragma once

#include <condition_variable>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "ringfence/base/mutex.h"

namespace ringfence::api {

// A thread that calls `step` again and again, `period` (real time) apart, until stopped. Wake makes the next
// call come at once; wakes during a call are not lost.
class Loop {
 public:
  Loop(absl::Duration period, std::function<void()> step);
  ~Loop();  // Stop()
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Wake();
  // Returns when the call under way ended. May be called twice.
  void Stop();

 private:
  void Run();

  const absl::Duration period_;
  const std::function<void()> step_;
  Mutex mutex_;
  std::condition_variable wake_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// Real time between two steps of the engine: a quarter of the check-in interval, and never more than 250 ms:
// operators' acts and verdicts must not wait.
absl::Duration EnginePeriod(absl::Duration checkin_interval, double time_scale);

}  // namespace ringfence::api
