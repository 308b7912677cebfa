// AgentService.FetchMetadata: one file of the release repository, from any offset on.
#pragma once

#include "server/api/rpc.h"

namespace ringfence::api {

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartMetadataDownload(const Call& call,
                                                                  const grpc::ByteBuffer* in);

}  // namespace ringfence::api
