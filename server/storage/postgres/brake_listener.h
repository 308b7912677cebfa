// Hears of brakes that other replicas put on or take off, milliseconds after the commit. It makes a halt
// faster; what makes it final is the row that every exposure batch locks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "server/storage/postgres/options.h"
#include "server/storage/rows.h"

namespace ringfence::storage {

struct BrakeNotice {
  Scope scope;
  int64_t epoch = 0;  // of the change; a row read afterwards has this one or a later one

  friend bool operator==(const BrakeNotice&, const BrakeNotice&) = default;
};

// Holds a session and a thread of its own. Connects again, with a back-off from 0.1 s to 5 s of real time, as
// often as the database goes away.
class BrakeListener {
 public:
  // Called on the listener's thread, one call at a time. nullopt: the listener has just begun to listen, for
  // the first time or again, and may have missed any change before: read Store's Brakes.
  using Callback = std::function<void(const std::optional<BrakeNotice>& notice)>;

  // The database need not be reachable yet.
  BrakeListener(const PostgresOptions& options, Callback on_change);
  ~BrakeListener();  // returns when no call is under way or to come
  BrakeListener(const BrakeListener&) = delete;
  BrakeListener& operator=(const BrakeListener&) = delete;

 private:
  void Run();
  // Listens until the session breaks (its status) or the listener stops (ok).
  absl::Status ListenOnce();

  const PostgresOptions options_;
  const Callback on_change_;
  bool has_listened_ = false;
  int stop_fd_ = -1;  // an eventfd: readable once it is time to stop
  std::thread thread_;
};

}  // namespace ringfence::storage
