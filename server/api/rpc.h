// One RPC from arrival to its status: admission, bytes to message and back, the end.
//
// Handlers take raw bytes and parse them here: a request that does not parse is INVALID_ARGUMENT with a
// reason, where gRPC's typed callbacks would answer UNIMPLEMENTED.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/api/environment.h"

namespace google::protobuf {
class MessageLite;
}  // namespace google::protobuf

namespace ringfence::api {

// InvalidArgument: truncated, malformed, or a text that is not UTF-8. `in` is left as it is.
absl::Status ParseMessage(const grpc::ByteBuffer& in, google::protobuf::MessageLite* out);
absl::Status SerializeMessage(const google::protobuf::MessageLite& in, grpc::ByteBuffer* out);

// The same code and message; a FaultList payload becomes the error details.
grpc::Status ToGrpc(const absl::Status& status);

// One call. Copies are handles on the same call, valid until its reactor finished.
struct Call {
  Environment* env;
  const char* method;  // "ringfence.v1.PlanService/ApplyPlan"
  grpc::CallbackServerContext* context;

  // Who calls, if the permission table lets them call this method. Unauthenticated or PermissionDenied
  // otherwise.
  absl::StatusOr<app::Actor> AdmitOperator() const;
  struct Agent {
    AgentId id;
    std::string tenant;
  };
  absl::StatusOr<Agent> AdmitAgent() const;
  absl::Status AdmitAnyone() const;

  // The status to finish with. Counts errors and adds the trailers (`ringfence-refusal`): call it once, right
  // before Finish.
  grpc::Status End(const absl::Status& status) const;
};

// A gRPC service whose methods are added one by one, by name; generated service classes are not used, see
// above. Methods that nobody added are UNIMPLEMENTED.
class RpcService : public grpc::Service {
 public:
  // `name` is "ringfence.v1.PlanService".
  RpcService(Environment* env, const char* name) : env_(env), name_(name) {}

 protected:
  using UnaryHandler = std::function<grpc::ServerUnaryReactor*(const Call&, const grpc::ByteBuffer* in,
                                                               grpc::ByteBuffer* out)>;
  void AddUnary(const char* method, UnaryHandler handler);
  using DownloadHandler =
      std::function<grpc::ServerWriteReactor<grpc::ByteBuffer>*(const Call&, const grpc::ByteBuffer* in)>;
  void AddDownload(const char* method, DownloadHandler handler);
  using UploadHandler =
      std::function<grpc::ServerReadReactor<grpc::ByteBuffer>*(const Call&, grpc::ByteBuffer* out)>;
  void AddUpload(const char* method, UploadHandler handler);

  // A unary RPC for people: admitted on the gRPC thread, handled on env->people.
  // `handle` is absl::Status(const app::Actor&, const Request&, Response*).
  template <typename Request, typename Response, typename Handle>
  void AddOperatorCall(const char* method, Handle handle, bool urgent = false) {
    AddUnary(method, [handle = std::move(handle), urgent](const Call& call, const grpc::ByteBuffer* in,
                                                          grpc::ByteBuffer* out) {
      return RunForOperator(call, urgent, [handle, in, out](const app::Actor& actor) {
        Request request;
        absl::Status status = ParseMessage(*in, &request);
        Response response;
        if (status.ok()) status = handle(actor, request, &response);
        return status.ok() ? SerializeMessage(response, out) : status;
      });
    });
  }

  Environment* env() const { return env_; }

 private:
  static grpc::ServerUnaryReactor* RunForOperator(const Call& call, bool urgent,
                                                  std::function<absl::Status(const app::Actor&)> work);
  // The full name of a method that was added; lives as long as the service.
  const char* Remember(const char* method, grpc::internal::RpcMethod::RpcType type);

  Environment* const env_;
  const char* const name_;
  std::vector<std::unique_ptr<std::string>> names_;
};

// Submits `work` to `pool` and finishes the call with its status; UNAVAILABLE when the pool does not take it.
grpc::ServerUnaryReactor* FinishOn(WorkerPool* pool, bool urgent, const Call& call,
                                   std::function<absl::Status()> work);

}  // namespace ringfence::api
