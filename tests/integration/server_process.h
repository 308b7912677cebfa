// The real ringfenced as a child process on a private PostgreSQL of its own.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ringfence::testing_support {

// Tokens in the operators' file that every ServerProcess gets. All tenants' admins carry the name of their
// tenant.
inline constexpr char kSre[] = "sre-one";
inline constexpr char kOtherSre[] = "sre-two";
inline constexpr char kManager[] = "manager";
std::string AdminOf(const std::string& tenant);  // of vendor, acme or globex

// Not thread-safe. Everything lives in one temporary folder, which goes with the object; no port is fixed.
class ServerProcess {
 public:
  // `flags` are added to those that every test needs. Nothing is started yet.
  explicit ServerProcess(std::vector<std::string> flags);
  // On this database instead of a private one.
  ServerProcess(std::vector<std::string> flags, std::string database_url);
  ~ServerProcess();  // kills
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Starts and waits until it answers. False, with the log on stderr, when it ended instead.
  [[nodiscard]] bool Start();
  // Starts and waits until it answers and hands its calls on: another server leads. False when it ended
  // instead.
  [[nodiscard]] bool StartFollowing();
  // Waits until a server that followed leads and answers.
  [[nodiscard]] bool WaitUntilLeading();
  // From the next start on it listens where it listens now: for agents that are told an address once.
  void KeepPort() { keeps_port_ = true; }
  std::string address() const;  // of gRPC
  // Starts and waits for its end: for starts that must be refused. The exit code.
  int RunToEnd();

  void Signal(int signal);
  // Waits for the end; the exit code, or minus the signal that ended it.
  int Wait();
  // kill -9, and wait.
  void Kill();

  // A new connection to the gRPC port, with a connection of its own.
  std::shared_ptr<grpc::Channel> Channel() const;
  struct HttpResult {
    int status = 0;  // 0: no answer
    std::string body;
  };
  HttpResult Get(const std::string& path) const;

  std::string log() const;
  std::string data_dir() const { return folder_ + "/pg"; }

 private:
  void Spawn();
  bool HasLogged(const char* event) const;  // since its start
  bool Answers();
  // True when `happened`; false, with the log on stderr, when the process ended first.
  template <typename Predicate>
  bool WaitFor(Predicate happened);

  std::vector<std::string> flags_;
  std::string database_url_;  // empty: a private cluster
  std::string folder_;
  pid_t pid_ = 0;
  bool keeps_port_ = false;
  int grpc_port_ = 0;
  int http_port_ = 0;
  size_t log_start_ = 0;  // of this start in the log
};

// Adds `authorization: Bearer TOKEN`, and a deadline far beyond what any call takes.
void Prepare(grpc::ClientContext& context, const std::string& token);

}  // namespace ringfence::testing_support
