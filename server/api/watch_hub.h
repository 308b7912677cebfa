// Tells open watch streams that something changed: at most a few times a second, however often it does.
#pragma once

#include <condition_variable>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "ringfence/base/mutex.h"
#include "server/app/app.h"

namespace ringfence::api {

// What a hub tells. Calls come from the hub's thread, one at a time, never after Remove returned.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void Changed() = 0;   // quick
  virtual void Stopping() = 0;  // the server ends: the last call
};

// Thread-safe.
class WatchHub {
 public:
  // Two rounds are at least `least_gap` (real time) apart.
  explicit WatchHub(absl::Duration least_gap);
  ~WatchHub();  // Stop()

  // Watches `app` from now on; it outlives the hub. Once.
  void Watch(app::App* app);

  // False when the hub stops: nothing was added. Add and Remove must not be called from inside a Watcher's
  // calls.
  [[nodiscard]] bool Add(Watcher* watcher);
  void Remove(Watcher* watcher);  // waits for a round that is under way

  // Tells every watcher that the server ends. May be called twice.
  void Stop();

 private:
  void Run();

  const absl::Duration least_gap_;
  app::App* app_ = nullptr;  // of the thread that starts and stops the server
  int token_ = 0;
  Mutex mutex_;  // of the flags; taken by the application's threads, so never held for long
  std::condition_variable wake_;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Mutex watchers_mutex_;  // held during a round; never taken inside mutex_
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(watchers_mutex_);
  bool closed_ ABSL_GUARDED_BY(watchers_mutex_) = false;
  std::thread thread_;
};

}  // namespace ringfence::api
