// Server CPU for one unchanged check-in over real gRPC, authentication included, against a bare echo.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <thread>

#include "absl/strings/str_format.h"
#include "ringfence/base/mutex.h"
#include "ringfence/v1/agent.grpc.pb.h"
#include "tests/bench/checkin_fleet.h"
#include "tests/bench/figure.h"

namespace ringfence::bench {
namespace {

constexpr int kConnections = 4;
constexpr int kInFlight = 16;  // on each
constexpr int kRounds = 8;

// This program again, as a server. It ends when its standard input does: with this object or this process.
class ServerProcess {
 public:
  explicit ServerProcess(const std::string& which) {
    int to_child[2];
    int from_child[2];
    RF_CHECK(::pipe2(to_child, O_CLOEXEC) == 0 && ::pipe2(from_child, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    RF_CHECK(::posix_spawn_file_actions_init(&actions) == 0);
    RF_CHECK(::posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO) == 0);
    RF_CHECK(::posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO) == 0);
    std::string program = "ringfence-bench";
    std::string argument = absl::StrCat("--serve=", which);
    char* const argv[] = {program.data(), argument.data(), nullptr};
    RF_CHECK(::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv, environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(to_child[0]);
    ::close(from_child[1]);
    to_child_ = to_child[1];
    FILE* told = ::fdopen(from_child[0], "r");
    RF_CHECK(told != nullptr && std::fscanf(told, "%d", &port_) == 1);
    std::fclose(told);
    RF_CHECK(::clock_getcpuclockid(pid_, &cpu_) == 0);
  }
  ~ServerProcess() {
    ::close(to_child_);
    ::waitpid(pid_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  int port() const { return port_; }
  double CpuSeconds() const {
    timespec time{};
    RF_CHECK(::clock_gettime(cpu_, &time) == 0);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

 private:
  pid_t pid_ = 0;
  int to_child_ = -1;
  int port_ = 0;
  clockid_t cpu_{};
};

// Hosts that check in again and again, so many at a time.
class Client {
 public:
  explicit Client(int port) {
    for (int host = 0; host < kCheckInHosts; ++host) {
      requests_.push_back(UnchangedCheckIn(host));
      credentials_.push_back(CredentialOf(host));
    }
    for (int connection = 0; connection < kConnections; ++connection) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt("ringfence.bench.connection", connection);
      stubs_.push_back(v1::AgentService::NewStub(grpc::CreateCustomChannel(
          absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments)));
    }
  }

  void Start() {
    stopping_ = false;
    for (int i = 0; i < kConnections * kInFlight; ++i) {
      ++open_;
      Next(static_cast<size_t>(i % kConnections));
    }
  }

  void Stop() {
    stopping_ = true;
    MutexLock lock(&mutex_);
    while (open_ != 0) ended_.wait(lock.native());
  }

  int64_t done() const { return done_; }
  // Answers that were an error, or more than "nothing new".
  int64_t odd() const { return odd_; }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::CheckInResponse response;
  };

  void Next(size_t connection) {
    const size_t host = next_host_++ % kCheckInHosts;
    auto* call = new Call;
    call->context.AddMetadata("authorization", credentials_[host]);
    stubs_[connection]->async()->CheckIn(&call->context, &requests_[host], &call->response,
                                         [this, call, connection](const grpc::Status& status) {
                                           const bool plain = status.ok() &&
                                                              call->response.has_next_checkin() &&
                                                              call->response.directives().empty() &&
                                                              !call->response.send_labels();
                                           delete call;
                                           ++done_;
                                           if (!plain) ++odd_;
                                           if (!stopping_) return Next(connection);
                                           MutexLock lock(&mutex_);
                                           if (--open_ == 0) ended_.notify_all();
                                         });
  }

  std::vector<v1::CheckInRequest> requests_;
  std::vector<std::string> credentials_;
  std::vector<std::unique_ptr<v1::AgentService::Stub>> stubs_;
  std::atomic<size_t> next_host_ = 0;
  std::atomic<int64_t> done_ = 0;
  std::atomic<int64_t> odd_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> open_ = 0;
  Mutex mutex_;
  std::condition_variable ended_;
};

struct Reading {
  double micros = 0;  // server CPU for a call
  double rate = 0;    // calls in a second
};

// One window in the middle of steady load. `beside`: what another server spent on a call meanwhile.
Reading Measure(const ServerProcess& server, Client& client, double seconds,
                const ServerProcess* other = nullptr, double* beside = nullptr) {
  using SteadyClock = std::chrono::steady_clock;
  const auto let_run = [](double time) { std::this_thread::sleep_for(std::chrono::duration<double>(time)); };
  client.Start();
  let_run(0.1);
  const double cpu = server.CpuSeconds();
  const double other_cpu = other != nullptr ? other->CpuSeconds() : 0;
  const int64_t done = client.done();
  const auto start = SteadyClock::now();
  let_run(seconds);
  const double spent = server.CpuSeconds() - cpu;
  const double other_spent = other != nullptr ? other->CpuSeconds() - other_cpu : 0;
  const auto calls = static_cast<double>(client.done() - done);
  const std::chrono::duration<double> took = SteadyClock::now() - start;
  client.Stop();
  RF_CHECK(calls > 0);
  if (beside != nullptr) *beside = 1e6 * other_spent / calls;
  return {1e6 * spent / calls, calls / took.count()};
}

}  // namespace

Figure MeasureCheckIn(const Options& options) {
  const ServerProcess product("product");
  const ServerProcess echo("echo");
  Client to_product(product.port());
  Client to_echo(echo.port());
  // Every host once and more: from then on nothing changes.
  for (to_product.Start(); to_product.done() < 2 * kCheckInHosts;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  to_product.Stop();

  Rounds costs;
  Rounds floors;
  Rounds ratios;
  double rate = 0;
  double floor_rate = 0;
  const int rounds = options.tiny ? 2 : kRounds;
  for (int round = 0; round < rounds; ++round) {
    const double seconds = options.seconds / (2 * rounds);
    const Reading floor = Measure(echo, to_echo, seconds);
    const Reading cost = Measure(product, to_product, seconds);
    floors.Add(floor.micros);
    costs.Add(cost.micros);
    ratios.Add(cost.micros / floor.micros);
    rate = std::max(rate, cost.rate);
    floor_rate = std::max(floor_rate, floor.rate);
  }
  Figure figure;
  figure.name = "checkin";
  figure.value = costs.least();
  figure.unit = "us of server CPU per call";
  figure.floor = floors.least();
  figure.ratio = figure.value / *figure.floor;
  figure.target = "ratio <= 1.5";
  figure.met = *figure.ratio <= 1.5 && to_product.odd() == 0 && to_echo.odd() == 0;
  figure.note = absl::StrFormat(
      "%d connections x %d in flight, %d hosts, credentials checked; best of %d rounds, product %s, echo %s, "
      "ratio of a round %s (median %.3g); best rate %.0f/s, echo %.0f/s; odd answers %d",
      kConnections, kInFlight, kCheckInHosts, rounds, costs.Spread(), floors.Spread(), ratios.Spread(),
      ratios.Quantile(0.5), rate, floor_rate, to_product.odd() + to_echo.odd());
  return figure;
}

// The same hosts through a replica that follows: what that leaves to the one that leads.
Figure MeasureForwarded(const Options& options) {
  const ServerProcess product("product");
  const ServerProcess follower(absl::StrCat("follower:", product.port()));
  const ServerProcess echo("echo");
  Client direct(product.port());
  Client through(follower.port());
  Client to_echo(echo.port());
  for (through.Start(); through.done() < 2 * kCheckInHosts;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  through.Stop();

  Rounds at_leader, at_follower, directly, echoes, ratios;
  double rate = 0;
  const int rounds = options.tiny ? 2 : kRounds;
  for (int round = 0; round < rounds; ++round) {
    const double seconds = options.seconds / (3 * rounds);
    echoes.Add(Measure(echo, to_echo, seconds).micros);
    directly.Add(Measure(product, direct, seconds).micros);
    double beside = 0;
    const Reading forwarded = Measure(product, through, seconds, &follower, &beside);
    at_leader.Add(forwarded.micros);
    at_follower.Add(beside);
    ratios.Add(at_leader.values.back() / directly.values.back());
    rate = std::max(rate, forwarded.rate);
  }
  Figure figure;
  figure.name = "forwarded";
  figure.value = at_leader.least();
  figure.unit = "us of the leader's CPU per call that came through a follower";
  figure.floor = directly.least();
  figure.ratio = figure.value / *figure.floor;
  figure.note = absl::StrFormat(
      "beside it the same call made directly; %d connections x %d in flight, %d hosts; best of %d rounds, "
      "leader %s, directly %s, follower %s, echo %s, ratio of a round %s (median %.3g); best rate %.0f/s; "
      "odd "
      "answers %d",
      kConnections, kInFlight, kCheckInHosts, rounds, at_leader.Spread(), directly.Spread(),
      at_follower.Spread(), echoes.Spread(), ratios.Spread(), ratios.Quantile(0.5), rate,
      direct.odd() + through.odd() + to_echo.odd());
  return figure;
}

}  // namespace ringfence::bench
