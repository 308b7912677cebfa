#include "server/storage/postgres/private_cluster.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/binaries.h"

namespace ringfence::storage {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr char kSuperuser[] = "ringfence";
constexpr char kDatabase[] = "ringfence";
// The kernel's limit for the path of a unix socket, without the final zero byte.
constexpr size_t kMaxSocketPath = 107;
constexpr char kSocketName[] = "/.s.PGSQL.5432";
constexpr uintmax_t kMaxLogBytes = 16 << 20;
constexpr auto kFirstBackOff = std::chrono::milliseconds(100);
constexpr auto kLongestBackOff = std::chrono::seconds(10);
constexpr auto kStableAfter = std::chrono::minutes(1);
constexpr auto kPollEvery = std::chrono::milliseconds(10);
constexpr auto kFastShutdownPatience = std::chrono::seconds(30);

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::Status ErrnoStatus(const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", strerror(errno)));
}

// Makes `folder` if it is missing, gives it to `user` and to nobody else.
absl::Status MakePrivateFolder(const std::string& folder, const std::optional<UserIds>& user) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return absl::FailedPreconditionError(absl::StrCat(folder, ": ", error.message()));
  if (user.has_value() && chown(folder.c_str(), user->uid, user->gid) != 0) return ErrnoStatus(folder);
  if (chmod(folder.c_str(), 0700) != 0) return ErrnoStatus(folder);
  return absl::OkStatus();
}

// The server drops to `user` and then walks down to its data: a folder above that it may not search would
// give an error of initdb that names the wrong thing.
absl::Status CheckSearchable(const fs::path& folder, const UserIds& user) {
  for (fs::path above = folder.parent_path();; above = above.parent_path()) {
    struct stat info;
    if (stat(above.c_str(), &info) != 0) return ErrnoStatus(above.string());
    const bool in_group = std::find(user.groups.begin(), user.groups.end(), info.st_gid) != user.groups.end();
    const mode_t needed = info.st_uid == user.uid ? S_IXUSR : in_group ? S_IXGRP : S_IXOTH;
    if ((info.st_mode & needed) == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("the user postgres may not search ", above.string(), ", so PostgreSQL cannot live in ",
                       folder.string(), ": choose another data folder, for instance under /var/lib"));
    }
    if (above == above.root_path()) return absl::OkStatus();
  }
}

// A postmaster works in its data folder; so does nothing else.
bool IsPostmasterOf(pid_t pid, const std::string& data) {
  std::error_code error;
  const fs::path folder = fs::read_symlink(absl::StrCat("/proc/", pid, "/cwd"), error);
  return !error && fs::equivalent(folder, data, error) && !error;
}

// Needs no quoting in PostgreSQL's list of socket folders nor in a connection string.
bool IsPlainPath(absl::string_view path) {
  return std::all_of(path.begin(), path.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '/' || c == '.' || c == '_' || c == '-';
  });
}

// The first line of postmaster.pid, 0 if there is none.
pid_t PidInLockFile(const std::string& path) {
  std::ifstream file(path);
  pid_t pid = 0;
  file >> pid;
  return file && pid > 0 ? pid : 0;
}

}  // namespace

std::string DefaultClusterDirectory() {
  if (geteuid() == 0) return "/var/lib/ringfence";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return absl::StrCat(state, "/ringfence");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "/var/tmp", "/.local/state/ringfence");
}

absl::StatusOr<std::unique_ptr<PrivateCluster>> PrivateCluster::Start(const PrivateClusterOptions& options) {
  std::error_code error;
  PrivateClusterOptions absolute = options;
  absolute.directory = fs::absolute(options.directory, error).lexically_normal().string();
  if (absolute.directory.size() > 1)
    absolute.directory = std::string(absl::StripSuffix(absolute.directory, "/"));
  if (options.directory.empty() || error) return absl::InvalidArgumentError("data folder: none given");

  std::unique_ptr<PrivateCluster> cluster(new PrivateCluster(absolute));
  if (geteuid() == 0) {
    ASSIGN_OR_RETURN(cluster->user_, LookUpUser("postgres"));
  }
  RETURN_IF_ERROR(cluster->PrepareFolder());
  RETURN_IF_ERROR(cluster->ChooseSocketFolder());
  RETURN_IF_ERROR(cluster->InitialiseIfNew());
  RETURN_IF_ERROR(cluster->WaitForPredecessor());
  cluster->supervisor_ = std::thread([raw = cluster.get()] { raw->Supervise(); });
  RETURN_IF_ERROR(cluster->WaitUntilReady());
  RETURN_IF_ERROR(cluster->EnsureDatabase());
  return cluster;
}

PrivateCluster::~PrivateCluster() {
  Stop();
  if (lock_fd_ >= 0) close(lock_fd_);
}

absl::Status PrivateCluster::PrepareFolder() {
  RETURN_IF_ERROR(MakePrivateFolder(options_.directory, user_));
  if (user_.has_value()) RETURN_IF_ERROR(CheckSearchable(options_.directory, *user_));
  data_ = absl::StrCat(options_.directory, "/data");
  log_path_ = absl::StrCat(options_.directory, "/postgres.log");

  // Two servers must not share a cluster. The lock goes with the process, so it needs no cleaning up.
  const std::string lock = absl::StrCat(options_.directory, "/lock");
  lock_fd_ = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) return ErrnoStatus(lock);
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("data folder ", options_.directory, " is in use by another process"));
  }
  std::error_code error;
  if (fs::file_size(log_path_, error) > kMaxLogBytes && !error) {
    fs::rename(log_path_, absl::StrCat(log_path_, ".1"), error);
  }
  return absl::OkStatus();
}

absl::Status PrivateCluster::ChooseSocketFolder() {
  // A folder that an earlier process made elsewhere and could not remove.
  const std::string note = absl::StrCat(options_.directory, "/temporary_socket_folder");
  std::error_code error;
  if (const std::string stale = ReadFile(note);
      absl::string_view(stale).find("/ringfence-sock-") != absl::string_view::npos) {
    fs::remove_all(stale, error);
    fs::remove(note, error);
  }

  socket_folder_ = absl::StrCat(options_.directory, "/sock");
  if (socket_folder_.size() + strlen(kSocketName) <= kMaxSocketPath && IsPlainPath(socket_folder_)) {
    return MakePrivateFolder(socket_folder_, user_);
  }
  for (const char* base : {"/tmp", "/var/tmp"}) {
    std::string name = absl::StrCat(base, "/ringfence-sock-XXXXXX");
    if (mkdtemp(name.data()) == nullptr) continue;
    socket_folder_ = name;
    socket_folder_is_temporary_ = true;
    std::ofstream(note) << name;
    return MakePrivateFolder(socket_folder_, user_);
  }
  return absl::FailedPreconditionError(absl::StrCat("data folder ", options_.directory,
                                                    " is too long for a socket (", kMaxSocketPath,
                                                    " bytes), and /tmp cannot be written"));
}

absl::Status PrivateCluster::InitialiseIfNew() {
  std::string version = ReadFile(absl::StrCat(data_, "/PG_VERSION"));
  version.erase(std::remove(version.begin(), version.end(), '\n'), version.end());
  ASSIGN_OR_RETURN(binaries_, FindPostgresBinaries(options_.binaries, version));
  if (!version.empty()) return absl::OkStatus();

  // Made aside and renamed when complete, so that a kill in between leaves nothing half-made behind.
  const std::string fresh = absl::StrCat(data_, ".new");
  std::error_code error;
  fs::remove_all(fresh, error);
  ChildSpec spec;
  spec.argv = {absl::StrCat(binaries_, "/initdb"),
               "-D",
               fresh,
               "-U",
               kSuperuser,
               "--auth=trust",
               "--no-instructions",
               "-E",
               "UTF8",
               "--locale=C"};
  if (options_.unsafe_fast) spec.argv.push_back("--no-sync");
  spec.user = user_;
  spec.log_path = log_path_;
  spec.parent_death_signal = SIGKILL;
  if (const absl::Status made = RunToEnd(spec); !made.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(made.message(), "; ", log_path_, " ends with:\n", LogTail()));
  }
  fs::rename(fresh, data_, error);
  if (error) return absl::FailedPreconditionError(absl::StrCat(data_, ": ", error.message()));
  return absl::OkStatus();
}

// After our predecessor was killed its server shuts down by itself; a second one must not start beside it. A
// lock file whose process is a stranger (numbers come round again, above all in containers) is stale.
absl::Status PrivateCluster::WaitForPredecessor() {
  const std::string lock_file = absl::StrCat(data_, "/postmaster.pid");
  const auto deadline = SteadyClock::now() + absl::ToChronoNanoseconds(options_.start_timeout);
  bool asked = false;
  for (;;) {
    const pid_t pid = PidInLockFile(lock_file);
    if (pid == 0 || kill(pid, 0) != 0)
      return absl::OkStatus();  // PostgreSQL removes a file without a process itself
    if (!IsPostmasterOf(pid, data_)) {
      std::error_code error;
      fs::remove(lock_file, error);
      return absl::OkStatus();
    }
    if (!asked)
      kill(pid, SIGINT);  // in case it was started by other means than ours and has no parent to follow
    asked = true;
    if (SteadyClock::now() > deadline) {
      return absl::FailedPreconditionError(
          absl::StrCat("an earlier PostgreSQL, process ", pid, ", still runs in ", data_));
    }
    std::this_thread::sleep_for(kPollEvery);
  }
}

ChildSpec PrivateCluster::ServerSpec() const {
  ChildSpec spec;
  spec.argv = {absl::StrCat(binaries_, "/postgres"), "-D", data_};
  const auto set = [&](const char* name, const std::string& value) {
    spec.argv.insert(spec.argv.end(), {"-c", absl::StrCat(name, "=", value)});
  };
  set("listen_addresses", "");
  set("unix_socket_directories", socket_folder_);
  set("unix_socket_permissions", "0700");
  set("cluster_name", "ringfence");
  set("max_connections", "100");
  set("shared_buffers", "128MB");
  set("max_wal_size", "2GB");
  set("deadlock_timeout", "200ms");  // a transaction that lost is run again: the sooner the better
  set("jit", "off");                 // our statements are short: compiling them costs more than running them
  set("log_timezone", "UTC");
  set("timezone", "UTC");
  set("log_min_error_statement", "panic");  // a failed statement's text may hold a hash of a secret
  if (options_.unsafe_fast) {
    for (const char* name : {"fsync", "full_page_writes"}) set(name, "off");
    set("wal_level", "minimal");
    set("max_wal_senders", "0");
  }
  spec.user = user_;
  spec.log_path = log_path_;
  spec.parent_death_signal = SIGINT;
  return spec;
}

void PrivateCluster::Supervise() {
  const ChildSpec spec = ServerSpec();
  auto back_off = std::chrono::duration_cast<std::chrono::milliseconds>(kFirstBackOff);
  MutexLock lock(&mutex_);
  while (!stopping_) {
    lock.native().unlock();
    const auto started_at = SteadyClock::now();
    const absl::StatusOr<pid_t> pid = Spawn(spec);
    lock.native().lock();
    spawn_status_ = pid.status();
    if (pid.ok()) {
      pid_ = *pid;
      if (stopping_) kill(pid_, SIGINT);  // Stop came while it was being forked
      changed_.notify_all();
      lock.native().unlock();
      // Waits without reaping: as long as the number is in pid_ it belongs to our child, dead or alive.
      siginfo_t info;
      while (waitid(P_PID, *pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
      }
      lock.native().lock();
      pid_ = 0;
      waitpid(*pid, nullptr, 0);
    }
    if (stopping_) break;
    ++unexpected_ends_;
    changed_.notify_all();
    if (SteadyClock::now() - started_at > kStableAfter) {
      back_off = std::chrono::duration_cast<std::chrono::milliseconds>(kFirstBackOff);
    }
    changed_.wait_for(lock.native(), back_off, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopping_; });
    back_off = std::min<std::chrono::milliseconds>(2 * back_off, kLongestBackOff);
  }
  supervisor_ended_ = true;
  changed_.notify_all();
}

absl::Status PrivateCluster::WaitUntilReady() {
  // As ourselves, over the same socket as the store: what answers here answers there.
  const std::string probe = absl::StrCat(ConnectionString("postgres"), " connect_timeout=2");
  const auto deadline = SteadyClock::now() + absl::ToChronoNanoseconds(options_.start_timeout);
  MutexLock lock(&mutex_);
  while (SteadyClock::now() < deadline) {
    if (!spawn_status_.ok()) return spawn_status_;
    // A few ends are forgiven: after a kill -9 of the server its last children may still hold the shared
    // memory.
    if (unexpected_ends_ >= 5) {
      return absl::FailedPreconditionError(
          absl::StrCat("PostgreSQL ends at once; ", log_path_, " ends with:\n", LogTail()));
    }
    const bool up = pid_ != 0;
    lock.native().unlock();
    const bool ready = up && PQping(probe.c_str()) == PQPING_OK;
    lock.native().lock();
    if (ready) return absl::OkStatus();
    changed_.wait_for(lock.native(), kPollEvery);
  }
  return absl::UnavailableError(absl::StrCat("PostgreSQL in ", data_, " did not become ready; ", log_path_,
                                             " ends with:\n", LogTail()));
}

absl::Status PrivateCluster::EnsureDatabase() {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> session(
      PQconnectdb(ConnectionString("postgres").c_str()), &PQfinish);
  if (PQstatus(session.get()) != CONNECTION_OK) return absl::UnavailableError(PQerrorMessage(session.get()));
  const std::unique_ptr<PGresult, decltype(&PQclear)> found(
      PQexec(session.get(),
             absl::StrCat("SELECT 1 FROM pg_database WHERE datname = '", kDatabase, "'").c_str()),
      &PQclear);
  if (PQresultStatus(found.get()) != PGRES_TUPLES_OK)
    return absl::UnavailableError(PQerrorMessage(session.get()));
  if (PQntuples(found.get()) > 0) return absl::OkStatus();
  const std::unique_ptr<PGresult, decltype(&PQclear)> made(
      PQexec(session.get(), absl::StrCat("CREATE DATABASE ", kDatabase).c_str()), &PQclear);
  if (PQresultStatus(made.get()) != PGRES_COMMAND_OK)
    return absl::UnavailableError(PQerrorMessage(session.get()));
  return absl::OkStatus();
}

void PrivateCluster::Stop() {
  if (supervisor_.joinable()) {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.notify_all();
      if (pid_ != 0) kill(pid_, SIGINT);
      const auto ended = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return supervisor_ended_; };
      if (!changed_.wait_for(lock.native(), kFastShutdownPatience, ended) && pid_ != 0) {
        kill(pid_, SIGQUIT);  // at once; the next start recovers from the log, nothing committed is lost
      }
    }
    supervisor_.join();
  }
  if (socket_folder_is_temporary_) {
    std::error_code error;
    fs::remove_all(socket_folder_, error);
    fs::remove(absl::StrCat(options_.directory, "/temporary_socket_folder"), error);
  }
}

std::string PrivateCluster::ConnectionString(const std::string& database) const {
  return absl::StrCat("host='", socket_folder_, "' user=", kSuperuser, " dbname='", database, "'");
}

pid_t PrivateCluster::postmaster_pid() {
  MutexLock lock(&mutex_);
  return pid_;
}

int PrivateCluster::unexpected_ends() {
  MutexLock lock(&mutex_);
  return unexpected_ends_;
}

std::string PrivateCluster::LogTail() const {
  const std::string log = ReadFile(log_path_);
  return log.size() <= 2000 ? log : log.substr(log.size() - 2000);
}

}  // namespace ringfence::storage
