// AgentService.GetArtifact: an artifact's bytes from any offset, a chunk at a time.
#pragma once

#include "server/api/rpc.h"

namespace ringfence::api {

// Never null; gRPC owns the reactor until it is done. Reads happen on env->agents, the next one only after
// the last chunk was taken by the network: a slow agent holds one chunk of memory. While another replica
// leads, it says whether the agent may have the bytes, and they come from the database all the same.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartArtifactDownload(const Call& call,
                                                                  const grpc::ByteBuffer* in);

// The same question from a replica that has the bytes and not the answer: the size and no data. On
// env->agents.
inline constexpr char kGetArtifact[] = "ringfence.v1.AgentService/GetArtifact";
void AnswerMayFetch(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out);

}  // namespace ringfence::api
