// ReleaseService.PublishRelease: a header, then the bytes; whole or not at all.
#pragma once

#include "server/api/rpc.h"

namespace ringfence::api {

// Never null; gRPC owns the reactor until it is done. Holds at most policy::kMaxArtifactBytes; a few uploads
// at a time.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartReleaseUpload(const Call& call, grpc::ByteBuffer* out);

}  // namespace ringfence::api
