// The server behind its public API: real gRPC over a socket of this machine, the handlers of server/api, the
// same application and store as AppServer, and the replay's clock.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/simulate/app_server.h"

namespace ringfence::replay {

// Hosts and people call it over gRPC, each with a credential of their own; the engine's steps, and what no
// API tells (all exposures of a release, the lines for people), are the application's own. A stop answers
// leases under way with an error that the hosts never hear. `clock` and `store` outlive it.
//
// With `followers` nobody calls the server itself: so many replicas that follow it hand calls on to it, each
// those of its share of the hosts, the first also those of people.
absl::StatusOr<std::unique_ptr<Server>> MakeWireServer(const AppServerOptions& options,
                                                       const std::vector<std::string>& tenants,
                                                       storage::Store* store, Clock* clock,
                                                       int followers = 0);

}  // namespace ringfence::replay
