#include "server/api/rpc.h"

#include <google/protobuf/message_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/api/faults.h"
#include "server/api/permissions.h"
#include "server/api/relay.h"

namespace ringfence::api {
namespace {

// The words of gRPC, as in docs/metrics.md.
std::string CodeWord(absl::StatusCode code) {
  return absl::StatusCodeToString(code);
}

absl::Status CheckAudience(absl::string_view method, Audience audience) {
  const Permission* permission = FindPermission(method);
  if (permission != nullptr && permission->audience == audience) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("nobody of this kind may call ", method));
}

// Null: the call is this replica's to answer. What another one handed on is never handed on again.
absl::StatusOr<Relay*> RelayFor(const Call& call) {
  const absl::string_view shown = Metadatum(*call.context, kForwardedKey);
  if (shown.empty()) return call.env->relay.load(std::memory_order_acquire);
  const absl::Status status = call.env->key.Check(shown);
  call.AddTrailer(status.ok() ? kForwardedKey : kForwardRefusedKey, "true");
  RETURN_IF_ERROR(status);
  return nullptr;
}

// A stream that ends as it begins.
template <typename Reactor>
class Refusal final : public Reactor {
 public:
  explicit Refusal(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

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

absl::string_view Metadatum(const grpc::CallbackServerContext& context, const char* key) {
  const auto range = context.client_metadata().equal_range(key);
  if (range.first == range.second || std::next(range.first) != range.second) return {};
  return {range.first->second.data(), range.first->second.size()};
}

absl::string_view Call::authorization() const {
  return forwarded != nullptr ? forwarded->authorization() : Metadatum(*context, "authorization");
}

bool Call::IsCancelled() const {
  return context != nullptr && context->IsCancelled();
}

absl::StatusOr<app::Actor> Call::AdmitOperator() const {
  ASSIGN_OR_RETURN(app::Actor actor, env->operators->Authenticate(authorization()));
  RETURN_IF_ERROR(CheckRole(method, actor));
  return actor;
}

absl::StatusOr<Call::Agent> Call::AdmitAgent() const {
  ASSIGN_OR_RETURN(const AgentCredential credential, ParseAgentCredential(authorization()));
  ASSIGN_OR_RETURN(std::string tenant, env->app->Authenticate(credential.agent, credential.secret));
  RETURN_IF_ERROR(CheckAudience(method, Audience::kAgents));
  return Agent{.id = credential.agent, .tenant = std::move(tenant)};
}

absl::Status Call::AdmitAnyone() const {
  return CheckAudience(method, Audience::kAnyone);
}

grpc::Status Call::End(const absl::Status& status) const {
  // A demonstration says so in every answer.
  if (env->demo) AddTrailer("ringfence-demo", "true");
  if (status.ok()) return grpc::Status::OK;
  const std::string code = CodeWord(status.code());
  env->metrics->RpcError(method, code);
  env->log->Debug("rpc_error", {{"rpc", method}, {"code", code}, {"message", status.message()}});
  if (const absl::optional<absl::Cord> word = status.GetPayload(app::App::kRefusalUrl)) {
    AddTrailer("ringfence-refusal", std::string(*word));
  }
  return ToGrpc(status);
}

void Call::AddTrailer(const std::string& key, const std::string& value) const {
  forwarded != nullptr ? forwarded->AddTrailer(key, value) : context->AddTrailingMetadata(key, value);
}

void Call::Finish(const absl::Status& status) const {
  const grpc::Status end = End(status);
  forwarded != nullptr ? forwarded->Finish(end) : reactor->Finish(end);
}

grpc::Status Call::EndAs(const grpc::Status& status) const {
  if (!status.ok())
    env->metrics->RpcError(method, CodeWord(static_cast<absl::StatusCode>(status.error_code())));
  return status;
}

void Call::FinishAs(const grpc::Status& status) const {
  reactor->Finish(EndAs(status));
}

const RpcService::Unary* RpcService::FindUnary(absl::string_view method) const {
  for (const std::unique_ptr<Unary>& unary : unary_) {
    if (method == unary->method) return unary.get();
  }
  return nullptr;
}

const char* RpcService::Remember(const char* method, grpc::internal::RpcMethod::RpcType type) {
  names_.push_back(std::make_unique<std::string>(absl::StrCat("/", name_, "/", method)));
  const char* path = names_.back()->c_str();
  AddMethod(new grpc::internal::RpcServiceMethod(path, type, nullptr));
  return path + 1;
}

void RpcService::AddUnary(const char* method, UnaryHandler handler) {
  AddNative(method, std::move(handler), /*internal=*/false);
}

void RpcService::AddInternal(const char* method, UnaryHandler handler) {
  AddNative(method, std::move(handler), /*internal=*/true);
}

void RpcService::AddForwarded(const char* method, UnaryHandler handler) {
  unary_.push_back(std::make_unique<Unary>(Unary{method, std::move(handler)}));
}

void RpcService::AddNative(const char* method, UnaryHandler handler, bool internal) {
  const size_t index = names_.size();
  const char* name = Remember(method, grpc::internal::RpcMethod::NORMAL_RPC);
  unary_.push_back(std::make_unique<Unary>(Unary{name, std::move(handler)}));
  const Unary* unary = unary_.back().get();
  MarkMethodRawCallback(static_cast<int>(index),
                        new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                            [this, unary, internal](grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
                              grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
                              const Call call{env_, unary->method, context, reactor};
                              const absl::StatusOr<Relay*> relay = internal ? nullptr : RelayFor(call);
                              if (!relay.ok()) {
                                call.Finish(relay.status());
                              } else if (*relay != nullptr) {
                                (*relay)->Unary(call, in, out, unary->handle);
                              } else {
                                unary->handle(call, in, out);
                              }
                              return reactor;
                            }));
}

void RpcService::AddDownload(const char* method, DownloadHandler handler, bool relays) {
  const size_t index = names_.size();
  const char* name = Remember(method, grpc::internal::RpcMethod::SERVER_STREAMING);
  MarkMethodRawCallback(
      static_cast<int>(index),
      new grpc::internal::CallbackServerStreamingHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this, name, relays, handler = std::move(handler)](
              grpc::CallbackServerContext* context,
              const grpc::ByteBuffer* in) -> grpc::ServerWriteReactor<grpc::ByteBuffer>* {
            const Call call{env_, name, context};
            const absl::StatusOr<Relay*> relay = RelayFor(call);
            if (!relay.ok())
              return new Refusal<grpc::ServerWriteReactor<grpc::ByteBuffer>>(call.End(relay.status()));
            if (*relay != nullptr && !relays) return (*relay)->Download(call, in);
            return handler(call, in);
          }));
}

void RpcService::AddUpload(const char* method, UploadHandler handler) {
  const size_t index = names_.size();
  const char* name = Remember(method, grpc::internal::RpcMethod::CLIENT_STREAMING);
  MarkMethodRawCallback(
      static_cast<int>(index),
      new grpc::internal::CallbackClientStreamingHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this, name, handler = std::move(handler)](
              grpc::CallbackServerContext* context,
              grpc::ByteBuffer* out) -> grpc::ServerReadReactor<grpc::ByteBuffer>* {
            const Call call{env_, name, context};
            const absl::StatusOr<Relay*> relay = RelayFor(call);
            if (!relay.ok())
              return new Refusal<grpc::ServerReadReactor<grpc::ByteBuffer>>(call.End(relay.status()));
            if (*relay != nullptr) return (*relay)->Upload(call, out);
            return handler(call, out);
          }));
}

void RpcService::RunForOperator(const Call& call, bool urgent,
                                std::function<absl::Status(const app::Actor&)> work) {
  absl::StatusOr<app::Actor> actor = call.AdmitOperator();
  if (!actor.ok()) return call.Finish(actor.status());
  FinishOn(call.env->people, urgent, call,
           [actor = *std::move(actor), work = std::move(work)] { return work(actor); });
}

void FinishOn(WorkerPool* pool, bool urgent, const Call& call, std::function<absl::Status()> work) {
  const bool taken = pool->Submit(
      [call, work = std::move(work)] {
        // Nobody waits for the answer any more: what has not begun is not done.
        call.Finish(call.IsCancelled() ? absl::CancelledError("the caller went away") : work());
      },
      urgent);
  if (!taken) call.Finish(absl::UnavailableError("the server is busy or stops; try again"));
}

}  // namespace ringfence::api
