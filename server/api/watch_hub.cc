#include "server/api/watch_hub.h"

namespace ringfence::api {

WatchHub::WatchHub(absl::Duration least_gap) : least_gap_(least_gap) {
  thread_ = std::thread([this] { Run(); });
}

void WatchHub::Watch(app::App* app) {
  app_ = app;
  token_ = app->AddWatcher([this] {
    {
      MutexLock lock(&mutex_);
      changed_ = true;
    }
    wake_.notify_one();
  });
}

WatchHub::~WatchHub() {
  Stop();
}

bool WatchHub::Add(Watcher* watcher) {
  MutexLock lock(&watchers_mutex_);
  if (closed_) return false;
  watchers_.insert(watcher);
  return true;
}

void WatchHub::Remove(Watcher* watcher) {
  MutexLock lock(&watchers_mutex_);
  watchers_.erase(watcher);
}

void WatchHub::Stop() {
  {
    MutexLock lock(&mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  if (app_ != nullptr) app_->RemoveWatcher(token_);
  MutexLock lock(&watchers_mutex_);
  closed_ = true;
  for (Watcher* watcher : watchers_) watcher->Stopping();
}

void WatchHub::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      while (!changed_ && !stopping_) wake_.wait(lock.native());
      if (stopping_) return;
      changed_ = false;
    }
    {
      MutexLock lock(&watchers_mutex_);
      for (Watcher* watcher : watchers_) watcher->Changed();
    }
    MutexLock lock(&mutex_);
    wake_.wait_for(lock.native(), absl::ToChronoNanoseconds(least_gap_),
                   [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopping_; });
  }
}

}  // namespace ringfence::api
