// ringfenced: one process, from flags to the last flush. docs/operations.md describes it from the outside.
#include <google/protobuf/stubs/logging.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/version.h"
#include "server/api/environment.h"
#include "server/api/flags.h"
#include "server/api/following.h"
#include "server/api/http_server.h"
#include "server/api/installation.h"
#include "server/api/loops.h"
#include "server/api/machine.h"
#include "server/api/order_keys.h"
#include "server/api/prometheus_metrics.h"
#include "server/api/readiness.h"
#include "server/api/relay.h"
#include "server/api/server.h"
#include "server/app/stand_in.h"
#include "server/gate/load_trust.h"
#include "server/storage/fenced_store.h"
#include "server/storage/postgres/brake_listener.h"
#include "server/storage/postgres/leadership.h"
#include "server/storage/postgres/postgres_store.h"
#include "server/storage/postgres/private_cluster.h"

namespace ringfence::api {
namespace {

constexpr int kPeopleThreads = 8;
constexpr int kStopThreads = 4;  // more, that only stop: when the database hangs, all others hang with it
constexpr int kAgentThreads = 4;
constexpr size_t kQueue = 4096;
constexpr absl::Duration kGrace = absl::Seconds(5);       // for calls under way at a stop
constexpr absl::Duration kRelayGrace = absl::Seconds(2);  // for those that another replica answers
// Who has to be sent away because no leader is known comes again after a quarter of the check-in interval.
constexpr absl::Duration kLeastRetry = absl::Milliseconds(100), kMostRetry = absl::Seconds(10);
constexpr absl::Duration kCommitPatience =
    absl::Milliseconds(200);                                     // a failed batch is tried again after this
constexpr absl::Duration kTimestampPeriod = absl::Minutes(1);    // of the question whether it is due
constexpr absl::Duration kLeadPeriod = absl::Milliseconds(500);  // of health and of the question who leads
constexpr absl::Duration kEnginePatience = absl::Seconds(15);
constexpr absl::Duration kClockJump = absl::Seconds(30);
constexpr int kExitStart = 1;      // could not start, the reason is the last log line
constexpr int kExitImpatient = 3;  // a second signal during the stop
constexpr int kExitOvertaken = 4;  // another replica took the lead

// SIGTERM and SIGINT are taken by sigwait in the main thread, so every thread blocks them from the start.
sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Members are destroyed last to first: what uses goes before what is used.
class Process {
 public:
  Process(Flags flags, Log* log, Clock* real_clock)
      : flags_(std::move(flags)), log_(log), real_clock_(real_clock) {}

  // Returns once this replica leads. Cancelled when a stop signal came before, while it handed calls on to
  // another one.
  absl::Status Start(const sigset_t& stop_signals) {
    RETURN_IF_ERROR(LoadOperators());  // before anything is made: a slip in a file is told at once
    RETURN_IF_ERROR(LoadTrust());
    RETURN_IF_ERROR(LoadOrders());
    RETURN_IF_ERROR(OpenStore());
    RETURN_IF_ERROR(StartHttp());
    RETURN_IF_ERROR(StartGrpc());
    RETURN_IF_ERROR(FollowUntilLeading(stop_signals));
    RETURN_IF_ERROR(StartApp());
    Lead();
    ShowReadiness();  // whoever is told that the server started finds it ready
    RETURN_IF_ERROR(WriteFiles());
    log_->Info("started", {{"version", Version()},
                           {"grpc_port", server_->port()},
                           {"http_port", http_->port()},
                           {"internal_tenant", env_.internal_tenant.empty() ? "none" : env_.internal_tenant},
                           {"operators", static_cast<int64_t>(operators_.size())},
                           {"demo", flags_.demo},
                           {"time_scale", flags_.time_scale}});
    if (flags_.demo) {
      std::fprintf(stderr, "%s",
                   "*****************************************************************\n"
                   "*  DEMONSTRATION: time may run faster than the clock.           *\n"
                   "*  Do not enrol real hosts here; their verdicts would be wrong. *\n"
                   "*****************************************************************\n");
    }
    return absl::OkStatus();
  }

  // Calls under way finish, what is decided is written, PostgreSQL stops.
  void Stop() {
    stopping_ = true;
    log_->Info("stopping");
    readiness_->Stopping();
    health_loop_->Stop();
    database_loop_->Stop();
    relay_->Close(kRelayGrace);
    server_->Stop(kGrace);  // leases are still committed meanwhile
    if (app_ != nullptr) StopApp();
    http_->Stop();
    people_.Stop();
    agents_.Stop();
    app_.reset();
    if (lead_loop_.has_value()) lead_loop_->Stop();
    leadership_.reset();  // another replica goes on at once
    fenced_.reset();
    store_.reset();
    cluster_.reset();
    for (const std::string& file : {flags_.pid_file, flags_.port_file}) {
      if (!file.empty()) ::unlink(file.c_str());
    }
    log_->Info("stopped");
  }

  bool overtaken() const { return overtaken_; }

 private:
  void StopApp() {
    if (timestamp_loop_.has_value()) timestamp_loop_->Stop();
    brakes_heard_.reset();
    engine_loop_->Stop();
    commit_loop_->Stop();
    const absl::Status last = app_->RunOnce();
    if (!last.ok()) log_->Error("last_step_failed", {{"status", last}});
    const absl::StatusOr<int> commit = app_->CommitOnce();
    if (!commit.ok()) log_->Error("last_commit_failed", {{"status", commit.status()}});
  }

  absl::Status OpenStore() {
    storage::PostgresOptions& options = database_;
    options.connection_string = flags_.database_url;
    if (flags_.database_url.empty()) {
      storage::PrivateClusterOptions cluster;
      cluster.directory = flags_.data_dir.empty() ? storage::DefaultClusterDirectory() : flags_.data_dir;
      cluster.unsafe_fast = flags_.unsafe_fast_database;
      log_->Info("database_starting", {{"directory", cluster.directory}});
      ASSIGN_OR_RETURN(cluster_, storage::PrivateCluster::Start(cluster));
      options.connection_string = cluster_->ConnectionString();
    }
    ASSIGN_OR_RETURN(store_, storage::OpenPostgresStore(options));
    return absl::OkStatus();
  }

  // One server of a database decides, the others hand calls on to it: one of them takes over when it ends.
  // Each write of the one that leads is fenced by its epoch.
  absl::Status FollowUntilLeading(const sigset_t& stop_signals) {
    leadership_.emplace(database_, flags_.replica_name, *real_clock_,
                        AdvertisedAddress(flags_, server_->port()));
    Following following(store_.get(), &*relay_, log_);
    for (;;) {
      const absl::StatusOr<std::optional<int64_t>> epoch = leadership_->TryLead();
      if (epoch.ok() && epoch->has_value()) {
        relay_->Follow(std::nullopt);
        readiness_->Follows(absl::UnavailableError("this replica takes over"));
        fenced_.emplace(store_.get(), **epoch);
        {
          MutexLock lock(&lead_mutex_);
          lead_secret_ = leadership_->secret();
        }
        log_->Info("leads", {{"epoch", **epoch}});
        // From here to the end, on a loop of its own: a leader that is silent for seconds loses the lead, and
        // reading a large fleet takes longer.
        lead_loop_.emplace(kLeadPeriod, [this] { KeepLeading(); });
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(Follow(following));
      timespec pause{};
      pause.tv_nsec = absl::ToInt64Nanoseconds(kLeadPeriod);
      if (sigtimedwait(&stop_signals, nullptr, &pause) > 0)
        return absl::CancelledError("stopped while following");
    }
  }

  // Fails when this server's flags and the installation contradict each other.
  absl::Status Follow(Following& following) {
    if (stand_in_ == nullptr) {
      const absl::StatusOr<Installation> installation = ReadInstallation(*store_, Wish(), real_clock_->Now());
      if (installation.ok()) {
        clock_.emplace(flags_.time_scale, installation->clock_anchor);
        stand_in_ = app::MakeStandIn(installation->internal_tenant, store_.get(), &*clock_);
        env_.app = stand_in_.get();
      } else {
        readiness_->Follows(installation.status());
        const bool passes =
            absl::IsUnavailable(installation.status()) || absl::IsDeadlineExceeded(installation.status());
        return passes ? absl::OkStatus() : installation.status();
      }
    }
    const absl::Status status = following.Look();
    readiness_->Follows(status);
    if (!status.ok() || files_written_) return absl::OkStatus();
    ShowReadiness();
    return WriteFiles();
  }

  InstallationWish Wish() const {
    InstallationWish wish;
    wish.internal_tenant = flags_.internal_tenant;
    wish.demo = flags_.demo;
    wish.time_scale = flags_.time_scale;
    return wish;
  }

  // A broken session may be followed by a new epoch; an epoch in between was another replica's, and what we
  // remember is old: stop, and start anew as one that stands by.
  void KeepLeading() {
    const absl::StatusOr<std::optional<int64_t>> epoch = leadership_->TryLead();
    if (!epoch.ok() || overtaken_) return;  // without the database nothing is committed either
    const int64_t before = fenced_->epoch();
    if (epoch->has_value() && (**epoch == before || **epoch == before + 1)) {
      fenced_->SetEpoch(**epoch);
      MutexLock lock(&lead_mutex_);
      lead_secret_ = leadership_->secret();
      if (serves_) env_.key.Lead(**epoch, lead_secret_);
      return;
    }
    overtaken_ = true;
    metrics_->Leads(false);
    log_->Error("overtaken", {{"epoch", before}});
    if (!stopping_) ::kill(::getpid(), SIGTERM);
  }

  absl::Status LoadOperators() {
    if (!flags_.operators.empty()) {
      ASSIGN_OR_RETURN(operators_, Operators::Load(flags_.operators));
    } else {
      log_->Warning("no_operators", {{"advice", "nobody can publish or pause: pass --operators FILE"}});
    }
    return absl::OkStatus();
  }

  absl::Status LoadTrust() {
    if (flags_.trust_root.empty()) {
      log_->Warning("no_trust", {{"advice", "releases are unsigned and unproven: pass --trust-root FILE"}});
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(gate::Trust trust, gate::LoadTrust(flags_.trust_root, flags_.sensors));
    if (!flags_.timestamp_key.empty()) {
      ASSIGN_OR_RETURN(trust::SigningKey key,
                       gate::LoadTimestampKey(flags_.timestamp_key, flags_.timestamp_passphrase));
      trust.timestamp_key = std::make_shared<const trust::SigningKey>(std::move(key));
    }
    log_->Info("trust", {{"sensors", static_cast<int64_t>(trust.sensors.size())},
                         {"signs_timestamps", trust.timestamp_key != nullptr},
                         {"throwaway", trust.throwaway}});
    trust_ = std::make_shared<const gate::Trust>(std::move(trust));
    return absl::OkStatus();
  }

  absl::Status LoadOrders() {
    ASSIGN_OR_RETURN(orders_, LoadOrderKeys(flags_.director_key, flags_.halt_key, flags_.authority));
    log_->Info("orders",
               {{"signed_leases", orders_.director != nullptr},
                {"signed_halts", orders_.halt != nullptr},
                {"resume_keys",
                 static_cast<int64_t>(orders_.authority == nullptr ? 0 : orders_.authority->resume.size())}});
    return absl::OkStatus();
  }

  absl::Status StartApp() {
    app::AppOptions options;
    ASSIGN_OR_RETURN(const Installation installation, OpenInstallation(*fenced_, Wish(), real_clock_->Now()));
    if (!clock_.has_value()) clock_.emplace(flags_.time_scale, installation.clock_anchor);
    options.internal_tenant = installation.internal_tenant;
    options.checkin_interval = flags_.checkin_interval;
    options.replica_name = flags_.replica_name;
    options.trust = trust_;
    options.halt_key = orders_.halt;
    options.authority = orders_.authority;
    if (orders_.director != nullptr) options.director = orders_.director->public_key();
    app_ = app::App::Make(options, &*fenced_, &*clock_, &*metrics_);
    app_->OnLeaseQueued([this] {
      if (Loop* loop = commit_wake_.load()) loop->Wake();
    });
    RETURN_IF_ERROR(app_->Start());
    shown_app_ = app_.get();
    env_.internal_tenant = options.internal_tenant;
    const absl::Duration period = EnginePeriod(flags_.checkin_interval, flags_.time_scale);
    commit_loop_.emplace(kCommitPatience, [this] { Commit(); });
    commit_wake_ = &*commit_loop_;
    Step(period);
    engine_loop_.emplace(period, [this, period] { Step(period); });
    timestamp_loop_.emplace(kTimestampPeriod, [this] { KeepTimestamp(); });
    timestamp_loop_->Wake();
    return absl::OkStatus();
  }

  void KeepTimestamp() {
    const absl::StatusOr<bool> signed_again = app_->KeepTimestamp();
    if (!signed_again.ok()) {
      log_->Warning("timestamp_not_signed", {{"status", signed_again.status()}});
    } else if (*signed_again) {
      log_->Info("timestamp_signed", {});
    }
  }

  // From here on this replica answers by itself, and takes what others hand on.
  void Lead() {
    env_.clock = &*clock_;
    env_.app = app_.get();
    server_->Lead();
    readiness_->Leads();
    metrics_->Leads(true);
    env_.relay = nullptr;
    // Replicas that cannot reach this one stop by themselves. Their exposures cannot go on; this one is to
    // know.
    brakes_heard_.emplace(database_, [this](const std::optional<storage::BrakeNotice>& notice) {
      const absl::Status status =
          app_->TakeInBrakes(notice.has_value() ? std::make_optional(notice->scope) : std::nullopt);
      if (!status.ok()) log_->Warning("brakes_not_read", {{"status", status}});
    });
    MutexLock lock(&lead_mutex_);
    serves_ = true;
    env_.key.Lead(fenced_->epoch(), lead_secret_);
  }

  void FillEnvironment() {
    env_.relay = &*relay_;
    env_.operators = &operators_;
    env_.people = &people_;
    env_.agents = &agents_;
    env_.metrics = &*metrics_;
    env_.log = log_;
    env_.clock = real_clock_;
    env_.real_clock = real_clock_;
    env_.time_scale = flags_.time_scale;
    env_.demo = flags_.demo;
    env_.director = orders_.director.get();
    env_.version = Version();
    env_.replica_name = flags_.replica_name;
  }

  absl::Status StartHttp() {
    metrics_.emplace(flags_.time_scale, Version(), real_clock_->Now());
    readiness_.emplace(store_.get(), real_clock_, kEnginePatience);
    HttpServer::Options http;
    http.listen = flags_.http_listen;
    http.demo = flags_.demo;
    http.metrics = [this] {
      return HttpAnswer{200, "text/plain; version=0.0.4; charset=utf-8", metrics_->Text(shown_app_)};
    };
    http.healthz = [this] { return Health(); };
    ASSIGN_OR_RETURN(http_, HttpServer::Start(http));
    database_loop_.emplace(kLeadPeriod, [this] { readiness_->AskDatabase(); });
    database_loop_->Wake();
    return absl::OkStatus();
  }

  absl::Status StartGrpc() {
    Relay::Options relay;
    relay.retry_after = std::clamp(flags_.checkin_interval / 4 / flags_.time_scale, kLeastRetry, kMostRetry);
    relay_.emplace(&env_, relay);
    FillEnvironment();
    readiness_->Follows(absl::UnavailableError("it is not known yet who leads"));
    ASSIGN_OR_RETURN(server_, Server::Start({.listen = flags_.listen}, &env_));
    health_loop_.emplace(kLeadPeriod, [this] { ShowReadiness(); });
    ShowReadiness();
    health_loop_->Wake();
    return absl::OkStatus();
  }

  // Two threads that asked at different times must not answer in the other order.
  void ShowReadiness() {
    MutexLock lock(&health_mutex_);
    server_->SetServing(readiness_->Faults().empty());
  }

  absl::Status WriteFiles() {
    if (std::exchange(files_written_, true)) return absl::OkStatus();
    if (!flags_.pid_file.empty()) RETURN_IF_ERROR(WriteFile(flags_.pid_file, absl::StrCat(::getpid(), "\n")));
    if (flags_.port_file.empty()) return absl::OkStatus();
    return WriteFile(flags_.port_file,
                     absl::StrCat("{\"grpc\":", server_->port(), ",\"http\":", http_->port(), "}\n"));
  }

  HttpAnswer Health() {
    const std::vector<std::string> faults = readiness_->Faults();
    const std::string reasons = absl::StrJoin(
        faults, ",", [](std::string* out, const std::string& fault) { *out += JsonString(fault); });
    return {faults.empty() ? 200 : 503, "application/json",
            absl::StrCat("{\"status\":\"", faults.empty() ? "ok" : "unavailable", "\",\"reasons\":[", reasons,
                         "],\"version\":\"", Version(), "\",\"demo\":", flags_.demo ? "true" : "false",
                         ",\"time_scale\":", flags_.time_scale, "}\n")};
  }

  // One step of the engine. Only the first failure of a row is logged, and the recovery.
  void Step(absl::Duration period) {
    if (const absl::Duration jump = jumps_.Jump(); absl::AbsDuration(jump) > kClockJump) {
      metrics_->ClockJumped();
      log_->Warning("clock_jump", {{"by", absl::FormatDuration(jump)}});
    }
    const absl::Time start = real_clock_->Now();
    const absl::Duration late =
        last_step_ == absl::InfinitePast() ? absl::ZeroDuration() : start - last_step_ - period;
    metrics_->EngineLag(std::max(late, absl::ZeroDuration()) * flags_.time_scale);
    const absl::Status status = app_->RunOnce();
    last_step_ = real_clock_->Now();
    readiness_->EngineStepped(status);
    Tell("engine", status, &engine_ok_);
  }

  void Commit() { Tell("commit", app_->CommitOnce().status(), &commit_ok_); }

  void Tell(const char* what, const absl::Status& status, bool* was_ok) {
    if (status.ok() != *was_ok) {
      status.ok() ? log_->Info("recovered", {{"part", what}})
                  : log_->Error("failed", {{"part", what}, {"status", status}});
    }
    *was_ok = status.ok();
  }

  const Flags flags_;
  Log* const log_;
  Clock* const real_clock_;
  std::optional<SystemClock> clock_;  // the product's
  Operators operators_;
  std::shared_ptr<const gate::Trust> trust_;  // null: no --trust-root
  OrderKeys orders_;
  std::unique_ptr<storage::PrivateCluster> cluster_;
  std::unique_ptr<storage::Store> store_;
  storage::PostgresOptions database_;
  std::optional<storage::Leadership> leadership_;  // of the main thread until it leads, then of the lead loop
  Mutex health_mutex_;
  Mutex lead_mutex_;
  std::string lead_secret_ ABSL_GUARDED_BY(lead_mutex_);
  bool serves_ ABSL_GUARDED_BY(lead_mutex_) = false;
  std::optional<storage::FencedStore> fenced_;
  std::atomic<bool> overtaken_{false}, stopping_{false};
  std::optional<PrometheusMetrics> metrics_;
  std::optional<Readiness> readiness_;
  std::unique_ptr<app::App> stand_in_;  // until this one leads
  std::unique_ptr<app::App> app_;
  std::atomic<app::App*> shown_app_{nullptr};  // to scrapers, once it has started
  WorkerPool people_{kPeopleThreads, kQueue, kStopThreads};
  WorkerPool agents_{kAgentThreads, kQueue};
  Environment env_;
  std::optional<Relay> relay_;
  bool files_written_ = false;
  // Of the engine's loop alone.
  JumpWatch jumps_{real_clock_};
  absl::Time last_step_ = absl::InfinitePast();
  bool engine_ok_ = true;
  // Of the commit loop alone.
  bool commit_ok_ = true;
  std::atomic<Loop*> commit_wake_{nullptr};  // leases may be queued before the loop exists
  std::optional<Loop> commit_loop_, engine_loop_, timestamp_loop_;
  std::optional<storage::BrakeListener> brakes_heard_;
  std::unique_ptr<Server> server_;  // its end waits for leases, so the loops outlive it
  std::unique_ptr<HttpServer> http_;
  std::optional<Loop> health_loop_, lead_loop_, database_loop_;
};

// From the first signal on, a second one ends the process at once. PostgreSQL notices and stops by itself.
void EndOnSecondSignal(const sigset_t& signals) {
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    std::fprintf(stderr, "second signal: ending at once\n");
    ::_exit(kExitImpatient);
  }).detach();
}

int Run(Flags flags) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // A request that does not parse is answered, not printed.
  google::protobuf::SetLogHandler(nullptr);

  static SystemClock real_clock;  // outlives every thread
  static Log log(stderr, flags.log_level, &real_clock);
  RaiseFileLimit(log);
  auto process = std::make_unique<Process>(std::move(flags), &log, &real_clock);
  const absl::Status started = process->Start(signals);
  if (absl::IsCancelled(started)) {
    EndOnSecondSignal(signals);
    process->Stop();
    return 0;
  }
  if (!started.ok()) {
    log.Error("cannot_start", {{"status", started}});
    return kExitStart;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  EndOnSecondSignal(signals);
  process->Stop();
  return process->overtaken() ? kExitOvertaken : 0;
}

}  // namespace
}  // namespace ringfence::api

int main(int argc, char** argv) {
  ringfence::api::FlagsOrExit parsed =
      ringfence::api::ParseFlags(argc, argv, ringfence::VersionOf("ringfenced"));
  if (!parsed.flags) return parsed.exit_code;
  return ringfence::api::Run(*std::move(parsed.flags));
}
