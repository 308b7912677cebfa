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

// What leads a caller that must come again later: real milliseconds, in the trailers of an UNAVAILABLE.
inline constexpr char kRetryAfterKey[] = "ringfence-retry-after-ms";

// A unary call that came in another replica's batch instead of over a connection of its caller's.
class ForwardedCall {
 public:
  virtual ~ForwardedCall() = default;
  virtual absl::string_view authorization() const = 0;  // as the caller sent it
  virtual void AddTrailer(const std::string& key, const std::string& value) = 0;
  virtual void Finish(const grpc::Status& status) = 0;  // the last call; the answer is in its buffer
};

// One call. Copies are handles on the same call, valid until it finished.
struct Call {
  Environment* env;
  const char* method;                           // "ringfence.v1.PlanService/ApplyPlan"
  grpc::CallbackServerContext* context;         // null: forwarded
  grpc::ServerUnaryReactor* reactor = nullptr;  // of a unary call with a context
  ForwardedCall* forwarded = nullptr;

  // The authorization header; empty when there is none, or more than one: then nobody is meant.
  absl::string_view authorization() const;
  // Whoever called waits no more. A forwarded call's replica is not asked.
  bool IsCancelled() const;

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
  void AddTrailer(const std::string& key, const std::string& value) const;
  // Ends a unary call: End and Finish.
  void Finish(const absl::Status& status) const;
  // The status to finish with when another replica answered, or did not. Counts errors.
  grpc::Status EndAs(const grpc::Status& status) const;
  // Ends a unary call: EndAs and Finish.
  void FinishAs(const grpc::Status& status) const;
};

// The one value of a metadatum; empty when there is none, or more than one.
absl::string_view Metadatum(const grpc::CallbackServerContext& context, const char* key);

// A gRPC service whose methods are added one by one, by name; generated service classes are not used, see
// above. Methods that nobody added are UNIMPLEMENTED.
class RpcService : public grpc::Service {
 public:
  // `name` is "ringfence.v1.PlanService".
  RpcService(Environment* env, const char* name) : env_(env), name_(name) {}

  // Finishes the call, now or later; `in` and `out` live until then.
  using UnaryHandler = std::function<void(const Call&, const grpc::ByteBuffer* in, grpc::ByteBuffer* out)>;
  struct Unary {
    const char* method = nullptr;  // its full name
    UnaryHandler handle;
  };
  // The unary method of this full name, or null.
  const Unary* FindUnary(absl::string_view method) const;

 protected:
  void AddUnary(const char* method, UnaryHandler handler);
  // For FindUnary only: what other replicas may ask in place of the stream of this full name.
  void AddForwarded(const char* method, UnaryHandler handler);
  // A method of the replicas among themselves: never passed on.
  void AddInternal(const char* method, UnaryHandler handler);
  using DownloadHandler =
      std::function<grpc::ServerWriteReactor<grpc::ByteBuffer>*(const Call&, const grpc::ByteBuffer* in)>;
  // `relays`: the handler does what it can here while another replica leads; otherwise the stream is passed
  // on.
  void AddDownload(const char* method, DownloadHandler handler, bool relays = false);
  using UploadHandler =
      std::function<grpc::ServerReadReactor<grpc::ByteBuffer>*(const Call&, grpc::ByteBuffer* out)>;
  void AddUpload(const char* method, UploadHandler handler);

  // A unary RPC for people: admitted on the gRPC thread, handled on env->people.
  // `handle` is absl::Status(const app::Actor&, const Request&, Response*).
  template <typename Request, typename Response, typename Handle>
  void AddOperatorCall(const char* method, Handle handle, bool urgent = false) {
    AddUnary(method, [handle = std::move(handle), urgent](const Call& call, const grpc::ByteBuffer* in,
                                                          grpc::ByteBuffer* out) {
      RunForOperator(call, urgent, [handle, in, out](const app::Actor& actor) {
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
  static void RunForOperator(const Call& call, bool urgent,
                             std::function<absl::Status(const app::Actor&)> work);
  void AddNative(const char* method, UnaryHandler handler, bool internal);
  // The full name of a method that was added; lives as long as the service.
  const char* Remember(const char* method, grpc::internal::RpcMethod::RpcType type);

  Environment* const env_;
  const char* const name_;
  std::vector<std::unique_ptr<std::string>> names_;
  std::vector<std::unique_ptr<Unary>> unary_;
};

// Submits `work` to `pool` and finishes the call with its status; UNAVAILABLE when the pool does not take it.
void FinishOn(WorkerPool* pool, bool urgent, const Call& call, std::function<absl::Status()> work);

}  // namespace ringfence::api
