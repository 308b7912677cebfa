#include "server/api/rpc.h"

#include <google/protobuf/message_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/api/faults.h"
#include "server/api/permissions.h"

namespace ringfence::api {
namespace {

// The authorization header; empty when there is none, or more than one: then nobody is meant.
absl::string_view Authorization(const grpc::CallbackServerContext& context) {
  const auto range = context.client_metadata().equal_range("authorization");
  if (range.first == range.second || std::next(range.first) != range.second) return {};
  return {range.first->second.data(), range.first->second.size()};
}

// The words of gRPC, as in docs/metrics.md.
std::string CodeWord(absl::StatusCode code) {
  return absl::StatusCodeToString(code);
}

absl::Status CheckAudience(absl::string_view method, Audience audience) {
  const Permission* permission = FindPermission(method);
  if (permission != nullptr && permission->audience == audience) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("nobody of this kind may call ", method));
}

}  // namespace

absl::Status ParseMessage(const grpc::ByteBuffer& in, google::protobuf::MessageLite* out) {
  // The reader takes a mutable pointer and does not change the buffer.
  grpc::ProtoBufferReader reader(const_cast<grpc::ByteBuffer*>(&in));
  if (reader.status().ok() && out->ParseFromZeroCopyStream(&reader) && reader.status().ok())
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request: not a ", out->GetTypeName(),
                                                 ": truncated, malformed, or holds text that is not UTF-8"));
}

absl::Status SerializeMessage(const google::protobuf::MessageLite& in, grpc::ByteBuffer* out) {
  out->Clear();  // may hold the message before
  bool own = false;
  const grpc::Status status =
      grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::MessageLite>(in, out, &own);
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("answer: cannot be written: ", status.error_message()));
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const absl::optional<absl::Cord> faults = FaultListOf(status);
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
          faults.has_value() ? std::string(*faults) : std::string()};
}

absl::StatusOr<app::Actor> Call::AdmitOperator() const {
  ASSIGN_OR_RETURN(app::Actor actor, env->operators->Authenticate(Authorization(*context)));
  RETURN_IF_ERROR(CheckRole(method, actor));
  return actor;
}

absl::StatusOr<Call::Agent> Call::AdmitAgent() const {
  ASSIGN_OR_RETURN(const AgentCredential credential, ParseAgentCredential(Authorization(*context)));
  ASSIGN_OR_RETURN(std::string tenant, env->app->Authenticate(credential.agent, credential.secret));
  RETURN_IF_ERROR(CheckAudience(method, Audience::kAgents));
  return Agent{.id = credential.agent, .tenant = std::move(tenant)};
}

absl::Status Call::AdmitAnyone() const {
  return CheckAudience(method, Audience::kAnyone);
}

grpc::Status Call::End(const absl::Status& status) const {
  // A demonstration says so in every answer.
  if (env->demo) context->AddTrailingMetadata("ringfence-demo", "true");
  if (status.ok()) return grpc::Status::OK;
  const std::string code = CodeWord(status.code());
  env->metrics->RpcError(method, code);
  env->log->Debug("rpc_error", {{"rpc", method}, {"code", code}, {"message", status.message()}});
  if (const absl::optional<absl::Cord> word = status.GetPayload(app::App::kRefusalUrl)) {
    context->AddTrailingMetadata("ringfence-refusal", std::string(*word));
  }
  return ToGrpc(status);
}

const char* RpcService::Remember(const char* method, grpc::internal::RpcMethod::RpcType type) {
  names_.push_back(std::make_unique<std::string>(absl::StrCat("/", name_, "/", method)));
  const char* path = names_.back()->c_str();
  AddMethod(new grpc::internal::RpcServiceMethod(path, type, nullptr));
  return path + 1;
}

void RpcService::AddUnary(const char* method, UnaryHandler handler) {
  const size_t index = names_.size();
  const char* name = Remember(method, grpc::internal::RpcMethod::NORMAL_RPC);
  MarkMethodRawCallback(
      static_cast<int>(index),
      new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this, name, handler = std::move(handler)](grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
            return handler(Call{env_, name, context}, in, out);
          }));
}

void RpcService::AddDownload(const char* method, DownloadHandler handler) {
  const size_t index = names_.size();
  const char* name = Remember(method, grpc::internal::RpcMethod::SERVER_STREAMING);
  MarkMethodRawCallback(
      static_cast<int>(index),
      new grpc::internal::CallbackServerStreamingHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this, name, handler = std::move(handler)](grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* in) {
            return handler(Call{env_, name, context}, in);
          }));
}

void RpcService::AddUpload(const char* method, UploadHandler handler) {
  const size_t index = names_.size();
  const char* name = Remember(method, grpc::internal::RpcMethod::CLIENT_STREAMING);
  MarkMethodRawCallback(
      static_cast<int>(index),
      new grpc::internal::CallbackClientStreamingHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this, name, handler = std::move(handler)](grpc::CallbackServerContext* context,
                                                     grpc::ByteBuffer* out) {
            return handler(Call{env_, name, context}, out);
          }));
}

grpc::ServerUnaryReactor* RpcService::RunForOperator(const Call& call, bool urgent,
                                                     std::function<absl::Status(const app::Actor&)> work) {
  absl::StatusOr<app::Actor> actor = call.AdmitOperator();
  if (!actor.ok()) {
    grpc::ServerUnaryReactor* reactor = call.context->DefaultReactor();
    reactor->Finish(call.End(actor.status()));
    return reactor;
  }
  return FinishOn(call.env->people, urgent, call,
                  [actor = *std::move(actor), work = std::move(work)] { return work(actor); });
}

grpc::ServerUnaryReactor* FinishOn(WorkerPool* pool, bool urgent, const Call& call,
                                   std::function<absl::Status()> work) {
  grpc::ServerUnaryReactor* reactor = call.context->DefaultReactor();
  const bool taken = pool->Submit(
      [call, reactor, work = std::move(work)] {
        // Nobody waits for the answer any more: what has not begun is not done.
        const bool gone = call.context->IsCancelled();
        reactor->Finish(call.End(gone ? absl::CancelledError("the caller went away") : work()));
      },
      urgent);
  if (!taken) reactor->Finish(call.End(absl::UnavailableError("the server is busy or stops; try again")));
  return reactor;
}

}  // namespace ringfence::api
