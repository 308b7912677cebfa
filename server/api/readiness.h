// Is this server doing its work? For /healthz and the gRPC health service.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/mutex.h"
#include "server/storage/store.h"

namespace ringfence::api {

// Thread-safe.
class Readiness {
 public:
  // Both outlive it. `patience`: real time without a step of the engine after which it counts as stuck.
  Readiness(storage::Store* store, Clock* real_clock, absl::Duration patience)
      : store_(store), clock_(real_clock), patience_(patience) {}

  void EngineStepped(absl::Status status);
  // Another replica leads, and does or does not answer our calls; until this one leads.
  void Follows(absl::Status leader_answers);
  void Leads();
  void Stopping();

  // Asks the database and remembers what it said; may take as long as its time-outs. A thread calls it in a
  // loop, one call at a time.
  void AskDatabase();

  // Why not, one sentence each; empty: ready. Answers at once, from what is known: a database that hangs must
  // not keep the one who asks waiting.
  std::vector<std::string> Faults();

 private:
  storage::Store* const store_;
  Clock* const clock_;
  const absl::Duration patience_;
  Mutex mutex_;
  absl::Time last_step_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status last_status_ ABSL_GUARDED_BY(mutex_);
  absl::Status database_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Time> asked_at_ ABSL_GUARDED_BY(mutex_);  // while the answer is awaited
  std::optional<absl::Status> follows_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace ringfence::api
