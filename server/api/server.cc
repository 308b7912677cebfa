#include "server/api/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/resource_quota.h>

#include <chrono>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/api/rpc.h"
#include "server/api/services.h"
#include "server/api/watch_hub.h"

namespace ringfence::api {
namespace {

constexpr char kServices[][32] = {"ringfence.v1.AgentService", "ringfence.v1.ReleaseService",
                                  "ringfence.v1.PlanService", "ringfence.v1.RolloutService",
                                  "ringfence.v1.FleetService"};

// The largest legal message is a MiB of a release.
constexpr int kMaxMessage = 2 << 20;
// Beyond this gRPC slows its reads down instead of growing.
constexpr size_t kMemory = size_t{1} << 30;
// Many simulated agents may share a connection; a real one has one call at a time.
constexpr int kMaxStreams = 4096;

int Millis(absl::Duration duration) {
  return static_cast<int>(duration / absl::Milliseconds(1));
}

// An agent is heard once a minute and holds its connection between. One that vanished without a word is found
// out after minutes; one that pings more often than once in half a minute is told to stop.
void SetConnectionManners(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(absl::Minutes(5)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(absl::Seconds(20)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Millis(absl::Seconds(30)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Millis(absl::Minutes(30)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // two servers on one port would share agents by accident
}

// gRPC bounds what came before it unfolds it: half a MiB from anybody would become half a GiB here. Nothing
// of ours compresses.
void TakeNothingCompressed(grpc::ServerBuilder& builder) {
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
}

}  // namespace

struct Server::State {
  std::unique_ptr<WatchHub> hub;
  Environment* env = nullptr;
  std::vector<std::unique_ptr<RpcService>> services;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
  bool stopped = false;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options, Environment* env) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto state = std::make_unique<State>();
  state->hub = std::make_unique<WatchHub>(options.watch_gap);
  state->env = env;
  state->services.push_back(MakeAgentService(env));
  state->services.push_back(MakeReleaseService(env));
  state->services.push_back(MakePlanService(env));
  state->services.push_back(MakeRolloutService(env, state->hub.get()));
  state->services.push_back(MakeFleetService(env));
  std::vector<const RpcService*> forwarded;
  for (const auto& service : state->services) forwarded.push_back(service.get());
  state->services.push_back(MakeReplicaService(env, std::move(forwarded)));
  if (env->relay.load() == nullptr) state->hub->Watch(env->app.get());

  grpc::ServerBuilder builder;
  SetConnectionManners(builder);
  TakeNothingCompressed(builder);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  grpc::ResourceQuota quota("ringfenced");
  quota.Resize(kMemory);
  builder.SetResourceQuota(quota);
  if (!options.listen.empty()) {
    builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &state->port);
  }
  for (const auto& service : state->services) builder.RegisterService(service.get());
  state->server = builder.BuildAndStart();
  if (state->server == nullptr || (!options.listen.empty() && state->port == 0)) {
    return absl::UnavailableError(absl::StrCat("grpc: cannot listen on ", options.listen));
  }
  auto server = std::unique_ptr<Server>(new Server(std::move(state)));
  server->SetServing(false);
  return server;
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
  Stop(absl::ZeroDuration());
}

void Server::Lead() {
  state_->hub->Watch(state_->env->app.get());
}

int Server::port() const {
  return state_->port;
}

void Server::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = state_->server->GetHealthCheckService();
  health->SetServingStatus("", serving);
  for (const char* service : kServices) health->SetServingStatus(service, serving);
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  return state_->server->InProcessChannel(grpc::ChannelArguments());
}

void Server::Stop(absl::Duration grace) {
  if (state_->stopped) return;
  state_->stopped = true;
  state_->server->GetHealthCheckService()->Shutdown();
  state_->hub->Stop();
  state_->server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(grace));
  state_->server->Wait();
}

}  // namespace ringfence::api
