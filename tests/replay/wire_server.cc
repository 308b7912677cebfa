#include "wire_server.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/api/environment.h"
#include "server/api/relay.h"
#include "server/api/server.h"
#include "wire_agents.h"
#include "wire_people.h"

namespace ringfence::replay {
namespace {

constexpr int kThreads = 2;
constexpr size_t kQueue = 100;

// A store that can be cut off: what has not been committed by then never is.
class CuttableStore final : public storage::Store {
 public:
  explicit CuttableStore(storage::Store* store) : store_(store) {}
  void Cut(bool cut) { cut_ = cut; }

  absl::Status ReadWrite(absl::FunctionRef<absl::Status(storage::Transaction&)> body) override {
    return cut_ ? absl::UnavailableError("the server is killed") : store_->ReadWrite(body);
  }
  absl::Status Ping() override { return store_->Ping(); }

 private:
  storage::Store* const store_;
  std::atomic<bool> cut_{false};
};

// One life of the server, from Start to Stop.
struct Life {
  api::WorkerPool people{kThreads, kQueue};
  api::WorkerPool agents{kThreads, kQueue};
  api::Environment environment;
  std::unique_ptr<api::Server> server;
};

// A replica that follows the one of this life.
struct Follower {
  api::WorkerPool people{kThreads, kQueue};
  api::WorkerPool agents{kThreads, kQueue};
  api::Environment environment;
  std::optional<api::Relay> relay;
  std::unique_ptr<api::Server> server;
};

class WireServer final : public Server {
 public:
  WireServer(AppServerOptions options, api::Operators operators, storage::Store* store, Clock* clock,
             int followers)
      : clock_(clock),
        wanted_followers_(followers),
        operators_(std::move(operators)),
        internal_tenant_(options.internal_tenant),
        store_(store) {
    options.on_lease_queued = [this] { agents_.LeaseQueued(); };
    app_server_ = MakeAppServer(options, &store_, clock);
  }
  ~WireServer() override { Stop(); }

  absl::Status Enrol(const std::vector<storage::AgentRow>& agents) override {
    std::vector<storage::AgentRow> rows = agents;
    for (storage::AgentRow& row : rows) row.secret_hash = Sha256(SecretOf(row.agent));
    return app_server_->Enrol(rows);
  }

  absl::Status Start() override {
    RETURN_IF_ERROR(app_server_->Start());
    life_.emplace();
    api::Environment& env = life_->environment;
    env.app = app_server_->app();
    env.operators = &operators_;
    env.people = &life_->people;
    env.agents = &life_->agents;
    env.metrics = agents_.metrics();
    env.log = &log_;
    env.clock = clock_;
    env.real_clock = &real_clock_;
    env.version = "replay";
    env.internal_tenant = internal_tenant_;
    absl::StatusOr<std::unique_ptr<api::Server>> server = api::Server::Start({.listen = "127.0.0.1:0"}, &env);
    if (!server.ok()) {
      life_.reset();
      app_server_->Stop();
      return server.status();
    }
    life_->server = *std::move(server);
    life_->server->SetServing(true);
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int i = 0; i < wanted_followers_; ++i) {
      ASSIGN_OR_RETURN(const int port, StartFollower());
      channels.push_back(ChannelTo(port));
    }
    if (channels.empty()) channels.push_back(ChannelTo(life_->server->port()));
    people_.Connect(channels.front());
    agents_.Connect(channels);
    return absl::OkStatus();
  }

  void Stop() override {
    if (!life_.has_value()) return;
    // gRPC ends only when every call has: those that wait for a commit get none.
    store_.Cut(true);
    app_server_->CommitOnce().IgnoreError();
    agents_.HangUp();
    people_.Connect(nullptr);
    for (const auto& follower : followers_) {
      follower->relay->Close(absl::ZeroDuration());
      follower->server->Stop(absl::ZeroDuration());
      follower->people.Stop();
      follower->agents.Stop();
    }
    followers_.clear();
    life_->server->Stop(absl::ZeroDuration());
    life_->people.Stop();
    life_->agents.Stop();
    life_.reset();
    app_server_->Stop();
    store_.Cut(false);
  }

  absl::Status ApplyPlan(const policy::Plan& plan) override { return people_.ApplyPlan(plan); }
  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request) override {
    return people_.Publish(request);
  }

  absl::Status CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply) override {
    return agents_.CheckIn(request, reply);
  }
  void Lease(const app::LeaseRequest& request, LeaseDone done) override {
    agents_.Lease(request, std::move(done));
  }
  absl::Status CommitOnce() override {
    const absl::Status status = app_server_->CommitOnce();
    agents_.Deliver();
    return status;
  }
  absl::Status RunOnce() override { return app_server_->RunOnce(); }
  bool TakeChanged() override { return app_server_->TakeChanged(); }

  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions() override { return people_.Decisions(); }
  absl::StatusOr<std::vector<storage::AuditRow>> Audit() override { return people_.Audit(); }
  absl::StatusOr<std::vector<storage::ExposureRow>> Exposures(const std::string& channel,
                                                              uint64_t serial) override {
    return app_server_->Exposures(channel, serial);
  }
  absl::StatusOr<app::ExplainReply> Explain(const AgentId& agent, const std::string& channel,
                                            uint64_t serial) override {
    return people_.Explain(agent, channel, serial);
  }
  std::vector<std::string> Standing() override { return app_server_->Standing(); }
  // Beside the wire, as the steps are: the calls of people are compared in tests/api.
  absl::Status ExcludeAndResume(const std::string& channel, uint64_t serial,
                                const std::string& cohort) override {
    return app_server_->ExcludeAndResume(channel, serial, cohort);
  }
  absl::StatusOr<bool> IsStopped(const std::string& channel, uint64_t serial) override {
    return people_.IsStopped(channel, serial);
  }

 private:
  static std::shared_ptr<grpc::Channel> ChannelTo(int port) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own for each life
    return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  // Its port.
  absl::StatusOr<int> StartFollower() {
    const storage::LeaderRow leader{++epoch_, "leader", absl::StrCat("127.0.0.1:", life_->server->port()),
                                    std::string(32, 'k')};
    if (followers_.empty()) {
      leader_row_ = leader;
      life_->environment.key.Lead(leader.epoch, leader.secret);
    }
    Follower& follower = *followers_.emplace_back(std::make_unique<Follower>());
    api::Environment& env = follower.environment;
    env.operators = &operators_;
    env.people = &follower.people;
    env.agents = &follower.agents;
    env.metrics = &follower_metrics_;
    env.log = &log_;
    env.clock = clock_;
    env.real_clock = &real_clock_;
    env.version = "replay";
    env.internal_tenant = internal_tenant_;
    follower.relay.emplace(&env, api::Relay::Options());
    env.relay = &*follower.relay;
    ASSIGN_OR_RETURN(follower.server, api::Server::Start({.listen = "127.0.0.1:0"}, &env));
    follower.server->SetServing(true);
    follower.relay->Follow(leader_row_);
    return follower.server->port();
  }

  Clock* const clock_;
  const int wanted_followers_;
  int64_t epoch_ = 0;
  storage::LeaderRow leader_row_;
  api::ApiMetrics follower_metrics_;
  std::vector<std::unique_ptr<Follower>> followers_;
  const api::Operators operators_;
  const std::string internal_tenant_;
  SystemClock real_clock_;
  api::Log log_{stderr, api::LogLevel::kError, &real_clock_};
  CuttableStore store_;
  WireAgents agents_;
  WirePeople people_;
  std::unique_ptr<AppServer> app_server_;
  std::optional<Life> life_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> MakeWireServer(const AppServerOptions& options,
                                                       const std::vector<std::string>& tenants,
                                                       storage::Store* store, Clock* clock, int followers) {
  ASSIGN_OR_RETURN(api::Operators operators, api::Operators::ParseText(OperatorsText(tenants)));
  return std::make_unique<WireServer>(options, std::move(operators), store, clock, followers);
}

}  // namespace ringfence::replay
