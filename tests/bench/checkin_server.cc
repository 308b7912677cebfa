#include "tests/bench/checkin_server.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/strip.h"
#include "ringfence/base/clock.h"
#include "ringfence/v1/agent.grpc.pb.h"
#include "server/api/loops.h"
#include "server/api/prometheus_metrics.h"
#include "server/api/relay.h"
#include "server/api/server.h"
#include "tests/bench/checkin_fleet.h"

namespace ringfence::bench {
namespace {

// Answers what the product answers to a host for which nothing changed.
class Echo final : public v1::AgentService::CallbackService {
  grpc::ServerUnaryReactor* CheckIn(grpc::CallbackServerContext* context, const v1::CheckInRequest*,
                                    v1::CheckInResponse* response) override {
    response->mutable_next_checkin()->set_seconds(57);
    response->mutable_next_checkin()->set_nanos(123'456'789);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

void TellPortAndWait(int port) {
  std::printf("%d\n", port);
  std::fflush(stdout);
  char ignored = 0;
  while (::read(STDIN_FILENO, &ignored, 1) > 0) {
  }
}

int ServeEcho() {
  Echo echo;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  TellPortAndWait(port);
  return 0;
}

// What a database would hold of the product.
storage::LeaderRow Leader(const std::string& port) {
  return {1, "product", absl::StrCat("127.0.0.1:", port), std::string(32, 's')};
}

int ServeFollower(const std::string& port) {
  SystemClock clock;
  api::PrometheusMetrics metrics(1, "bench", clock.Now());
  api::Operators operators;
  api::WorkerPool people(2, 64);
  api::WorkerPool agents(2, 64);
  api::Log log(stderr, api::LogLevel::kError, &clock);
  api::Environment env;
  env.operators = &operators;
  env.people = &people;
  env.agents = &agents;
  env.metrics = &metrics;
  env.log = &log;
  env.clock = env.real_clock = &clock;
  env.version = "bench";
  api::Relay relay(&env, {});
  env.relay = &relay;
  const auto server = api::Server::Start({.listen = "127.0.0.1:0"}, &env);
  if (!server.ok()) return 1;
  relay.Follow(Leader(port));
  TellPortAndWait((*server)->port());
  relay.Close(absl::ZeroDuration());
  return 0;
}

int ServeProduct() {
  SystemClock clock;
  const std::unique_ptr<storage::Store> store = storage::MakeMemoryStore();
  std::vector<storage::AgentRow> rows;
  for (int host = 0; host < kCheckInHosts; ++host) rows.push_back(RowOf(host, "acme", clock.Now()));
  RF_CHECK(store->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents(rows); }).ok());

  api::PrometheusMetrics metrics(1, "bench", clock.Now());
  const std::unique_ptr<app::App> app = app::App::Make({}, store.get(), &clock, &metrics);
  RF_CHECK(app->Start().ok());
  api::Operators operators;
  api::WorkerPool people(2, 64);
  api::WorkerPool agents(2, 64);
  api::Log log(stderr, api::LogLevel::kError, &clock);
  api::Environment env;
  env.app = app.get();
  env.operators = &operators;
  env.people = &people;
  env.agents = &agents;
  env.metrics = &metrics;
  env.log = &log;
  env.clock = env.real_clock = &clock;
  env.version = "bench";
  const storage::LeaderRow leader = Leader("");
  env.key.Lead(leader.epoch, leader.secret);
  const auto server = api::Server::Start({.listen = "127.0.0.1:0"}, &env);
  if (!server.ok()) return 1;
  // The engine steps beside the check-ins, as it does in ringfenced; its CPU counts.
  api::Loop engine(api::EnginePeriod(absl::Seconds(60), 1), [&] { RF_CHECK(app->RunOnce().ok()); });
  TellPortAndWait((*server)->port());
  return 0;
}

}  // namespace

int ServeCheckIns(const std::string& which) {
  if (which == "product") return ServeProduct();
  if (which == "echo") return ServeEcho();
  absl::string_view port = which;
  if (absl::ConsumePrefix(&port, "follower:")) return ServeFollower(std::string(port));
  return 2;
}

}  // namespace ringfence::bench
