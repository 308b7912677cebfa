// The server's own application code, in this process: what its gRPC handlers call, with the same values, on a
// store of the caller's choice.
#pragma once

#include <memory>
#include <string>

#include "ringfence/base/clock.h"
#include "server.h"
#include "server/storage/store.h"

namespace ringfence::replay {

struct AppServerOptions {
  std::string internal_tenant;  // empty: none
  absl::Duration checkin;
  uint64_t seed = 1;
};

// `clock` and `store` outlive it.
std::unique_ptr<Server> MakeAppServer(const AppServerOptions& options, storage::Store* store, Clock* clock);

}  // namespace ringfence::replay
