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
  // `kind`: "memory".
  static absl::StatusOr<std::unique_ptr<Stores>> Open(const std::string& kind);
  virtual absl::StatusOr<std::unique_ptr<storage::Store>> Make() = 0;
};

}  // namespace ringfence::replay
