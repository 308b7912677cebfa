// What a replica does about the leader while another one leads: finds it, and asks whether it takes our
// calls.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/api/log.h"
#include "server/api/relay.h"
#include "server/storage/store.h"

namespace ringfence::api {

// Belongs to one thread.
class Following {
 public:
  // All outlive it.
  Following(storage::Store* store, Relay* relay, Log* log) : store_(store), relay_(relay), log_(log) {}

  // One look; call it about twice a second. Ok: a leader is known and answers us. While the database does not
  // say who leads, the one of before is followed: it may well be that only we cannot reach it.
  absl::Status Look();

 private:
  storage::Store* const store_;
  Relay* const relay_;
  Log* const log_;
  std::optional<storage::LeaderRow> leader_;
  std::optional<absl::Status> told_;
};

}  // namespace ringfence::api
