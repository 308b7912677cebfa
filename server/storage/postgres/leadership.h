// Which replica leads: the one whose session holds an advisory lock. The lock goes with the session, so a
// leader that dies is followed within one try, and one that is cut off without a word once its session was
// silent for `idle_timeout`; the epoch in the `leaders` row stops an old leader that does not know yet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "ringfence/base/clock.h"
#include "server/storage/postgres/options.h"

namespace ringfence::storage {

class Session;
class Watchdog;

// Not thread-safe: belongs to the thread that leads. Needs a session of its own to the server itself, not
// through a pooler that shares sessions between transactions.
class Leadership {
 public:
  // `replica` names this process to people; `address` is where it takes the calls that other replicas hand on
  // (empty: nowhere).
  Leadership(const PostgresOptions& options, std::string replica, Clock& clock, std::string address = "");
  ~Leadership();  // resigns
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;

  // Call it regularly (each second, say, and well within idle_timeout, or the server ends the session): takes
  // the lead if nobody has it, and checks it if we do. The epoch while we lead: hand it to CheckLeaderEpoch
  // in every transaction that only the leader may make. nullopt: another replica leads. An error: the
  // database cannot be asked, so we do not lead.
  absl::StatusOr<std::optional<int64_t>> TryLead();

  // What other replicas show when they hand on calls: 32 random bytes, new with each epoch, and in the
  // database since the epoch began. Empty while it does not lead.
  const std::string& secret() const { return secret_; }

  // Lets another replica take over at once.
  void Resign();

 private:
  absl::StatusOr<std::optional<int64_t>> TryLeadInTransaction();

  const PostgresOptions options_;
  const std::string replica_, address_;
  Clock& clock_;
  const std::unique_ptr<Watchdog> watchdog_;
  std::unique_ptr<Session> session_;
  bool limited_ = false;  // the session ends when it is silent for idle_timeout
  std::optional<int64_t> epoch_;
  std::string secret_;
};

}  // namespace ringfence::storage
