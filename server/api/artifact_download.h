// AgentService.GetArtifact: an artifact's bytes from any offset, a chunk at a time.
#pragma once

#include "server/api/rpc.h"

namespace ringfence::api {

// Never null; gRPC owns the reactor until it is done. Reads happen on env->agents, the next one only after
// the last chunk was taken by the network: a slow agent holds one chunk of memory.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartArtifactDownload(const Call& call,
                                                                  const grpc::ByteBuffer* in);

}  // namespace ringfence::api
