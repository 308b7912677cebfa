// ringfence-fleet: a simulated fleet that speaks the real protocol to a real server.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "ringfence/base/mutex.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "simulator.h"

namespace {

std::atomic<bool> g_stop = false;
void OnSignal(int) {
  g_stop = true;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Replaced atomically, so that a reader never sees half.
void WriteStats(const std::string& path, const std::string& json) {
  if (path.empty()) return;
  const std::string draft = path + ".tmp";
  std::ofstream(draft) << json;
  std::rename(draft.c_str(), path.c_str());
}

// One-use tokens, each made by an operator's call. Close before what the callbacks use is gone.
class Tokens {
 public:
  Tokens(const std::string& server, std::string operator_token)
      : stub_(ringfence::v1::FleetService::NewStub(
            grpc::CreateChannel(server, grpc::InsecureChannelCredentials()))),
        token_(std::move(operator_token)) {}

  void Get(const std::string& tenant, std::function<void(absl::StatusOr<std::string>)> done) {
    struct Call {
      grpc::ClientContext context;
      ringfence::v1::CreateEnrolmentTokenRequest request;
      ringfence::v1::CreateEnrolmentTokenResponse response;
    };
    {
      ringfence::MutexLock lock(&mutex_);
      if (closing_) return;
      ++open_;
    }
    auto* call = new Call;  // until its callback; it keeps the channel, which must not end on gRPC's thread
    call->context.AddMetadata("authorization", "Bearer " + token_);
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    call->request.set_request_id(absl::StrCat("fleet-", run_, "-", ++count_));
    call->request.set_tenant(tenant);
    stub_->async()->CreateEnrolmentToken(&call->context, &call->request, &call->response,
                                         [this, call, done = std::move(done)](grpc::Status status) {
                                           if (status.ok()) {
                                             done(call->response.token());
                                           } else {
                                             done(absl::UnavailableError(status.error_message()));
                                           }
                                           delete call;
                                           ringfence::MutexLock lock(&mutex_);
                                           if (--open_ == 0) idle_.notify_all();
                                         });
  }

  void Close() {
    ringfence::MutexLock lock(&mutex_);
    closing_ = true;
    while (open_ > 0) idle_.wait(lock.native());
  }

 private:
  std::unique_ptr<ringfence::v1::FleetService::Stub> stub_;
  const std::string token_;
  const int64_t run_ = absl::GetCurrentTimeNanos();
  std::atomic<int> count_ = 0;
  ringfence::Mutex mutex_;
  std::condition_variable idle_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::string server = "127.0.0.1:7443", config_path, token_path, stats_path;
  double seconds = 0;
  CLI::App app{
      "A simulated fleet: real agents in one process, over the real protocol, on hosts that a release may "
      "harm.\n"
      "Prints what happened to them as JSON at the end."};
  app.add_option("--server", server, "host:port of ringfenced")->capture_default_str();
  app.add_option("--config", config_path, "YAML: tenants, hosts, labels, faults (docs/agent.md)")->required();
  app.add_option("--operator-token-file", token_path, "token of a person who may create enrolment tokens")
      ->required();
  app.add_option("--stats", stats_path, "also write the JSON to this file twice a second");
  app.add_option("--seconds", seconds, "end after this long; 0: at SIGTERM or SIGINT");
  CLI11_PARSE(app, argc, argv);

  const absl::StatusOr<std::string> yaml = ReadFile(config_path);
  const absl::StatusOr<std::string> token = ReadFile(token_path);
  for (const absl::Status& status : {yaml.status(), token.status()}) {
    if (!status.ok()) {
      std::cerr << "ringfence-fleet: " << status.message() << "\n";
      return 2;
    }
  }
  absl::StatusOr<ringfence::fleet::FleetConfig> config = ringfence::fleet::ParseFleetConfig(*yaml);
  if (!config.ok()) {
    std::cerr << config_path << ": " << config.status().message() << "\n";
    return 2;
  }
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);

  Tokens tokens(server, std::string(absl::StripAsciiWhitespace(*token)));
  ringfence::fleet::Simulator simulator(
      *std::move(config), server,
      [&tokens](const std::string& tenant, auto done) { tokens.Get(tenant, std::move(done)); });
  const auto now = [start = absl::Now(), steady = std::chrono::steady_clock::now()] {
    return start + absl::FromChrono(std::chrono::steady_clock::now() - steady);
  };
  const absl::Time end = seconds > 0 ? now() + absl::Seconds(seconds) : absl::InfiniteFuture();
  while (!g_stop && now() < end) {
    simulator.RunUntil(std::min(end, now() + absl::Milliseconds(500)), now);
    WriteStats(stats_path, ToJson(simulator.Stats()));
  }
  tokens.Close();
  const std::string json = ToJson(simulator.Stats());
  WriteStats(stats_path, json);
  std::cout << json;
  return 0;
}
