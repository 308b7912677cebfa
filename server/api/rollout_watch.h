// RolloutService.WatchRollout: a rollout now and after each change.
#pragma once

#include "server/api/rpc.h"
#include "server/api/watch_hub.h"

namespace ringfence::api {

// Never null; gRPC owns the reactor until it is done. Ends when the caller ends it, when the server stops
// (UNAVAILABLE), or when the rollout is not there (NOT_FOUND). Serial 0 means the newest at the start, and
// stays with it.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartRolloutWatch(const Call& call, WatchHub* hub,
                                                              const grpc::ByteBuffer* in);

}  // namespace ringfence::api
