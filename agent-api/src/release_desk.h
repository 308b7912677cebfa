// Where the agent's releases are looked at: one thread of its own, because following metadata waits for a
// server and looking at bytes takes a while, and the agent must go on checking in meanwhile.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "ringfence/agent/release_verifier.h"
#include "ringfence/base/mutex.h"

namespace ringfence::agent {

// Every question ends in one call of `done` on the desk's thread, unless the desk closes before. Thread-safe.
class ReleaseDesk {
 public:
  using Done = std::function<void(absl::Status)>;

  // All outlive it, or Close. `clock` may be any that does not go back.
  ReleaseDesk(ReleaseVerifier* verifier, tuf::Fetcher* metadata, Clock* clock, absl::Duration recheck_after);
  ~ReleaseDesk();

  void Refresh(Done done);
  // Before a byte is fetched: CheckOffer.
  void Offered(Offer offer, Done done);
  // The bytes came: CheckStaged, after CheckOffer if another offer was looked at meanwhile.
  void Staged(Offer offer, std::string path, Done done);
  // Before permission is asked for: both again, by metadata of now; or of a moment ago, if it passed less
  // than `recheck_after` before.
  void BeforeLease(Offer offer, std::string path, Done done);

  // Waits for the question that is being answered; drops the others. Whoever waits for a server inside it has
  // to be woken first.
  void Close();

 private:
  void Ask(std::function<void()> question);
  void Run();
  absl::Status LookAt(const Offer& offer, const std::string& path);

  ReleaseVerifier* const verifier_;
  tuf::Fetcher* const metadata_;
  Clock* const clock_;
  const absl::Duration recheck_after_;
  // Of the desk's thread: what passed in full, and when.
  std::optional<Offer> passed_;
  absl::Time passed_at_;
  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> questions_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace ringfence::agent
