// What a replica can do by itself while another one leads: stop, and hand out the bytes of artifacts. All
// else is the leader's.
#pragma once

#include <memory>
#include <string>

#include "server/app/app.h"

namespace ringfence::app {

// An App whose Pause, Halt, RollBack and Recall write the brake to the store exactly as the leader's engine
// does, under the same request ids, and whose ArtifactChunk reads. Every exposure's commit reads that brake,
// so none follows it, whoever leads; the leader hears of it by TakeInBrakes. Stops wait for the database as
// long as the store does: Unavailable means that nothing is known to be stopped. Every other call is
// Unavailable, or empty. `store` (not fenced: a stop is everybody's) and `clock` outlive it. Thread-safe.
std::unique_ptr<App> MakeStandIn(std::string internal_tenant, storage::Store* store, Clock* clock);

}  // namespace ringfence::app
