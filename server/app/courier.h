// Does on a thread of its own what may take long, so that whoever asked for it waits only so long.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "ringfence/base/mutex.h"

namespace ringfence::app {

// One errand after the other. Thread-safe; the thread starts with the first errand.
class Courier {
 public:
  Courier() = default;
  ~Courier();  // waits for the errand under way; those that wait are dropped
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  // True when the errand ended within `patience` (real time). Otherwise it goes on without the caller, or, if
  // it had not begun, is dropped: it must own what it touches.
  bool Run(absl::Duration patience, std::function<void()> errand);

 private:
  struct Errand {
    std::function<void()> work;
    bool ended = false;
  };
  void Loop();

  Mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Errand>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringfence::app
