// The stores of all runs: each run gets its own, so that runs know nothing of each other.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/storage/store.h"

namespace ringfence::replay {

// Make is thread-safe. Outlives the stores that it made.
class Stores {
 public:
  virtual ~Stores() = default;
  // `kind`: "memory", or "postgres": a private cluster in a temporary folder, a database of its own for each
  // run. Runs crash the server at most, never the machine, so the cluster does without fsync.
  static absl::StatusOr<std::unique_ptr<Stores>> Open(const std::string& kind);
  virtual absl::StatusOr<std::unique_ptr<storage::Store>> Make() = 0;
};

}  // namespace ringfence::replay
