#include "tests/integration/server_process.h"

#include <httplib.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "tests/support/file_contents.h"

namespace ringfence::testing_support {
namespace {

// A look at the state of a process every few milliseconds: nothing tells when a file appears or a child ends
// in one wait.
void Pause() {
  ::poll(nullptr, 0, 5);
}

void WriteOperators(const std::string& path) {
  std::ofstream file(path);
  file << "operators:\n";
  const auto add = [&](const std::string& person, const char* role, const std::string& tenant,
                       const std::string& token) {
    file << "  - {person: " << person << ", role: " << role << ", token_sha256: " << Sha256(token).ToString();
    if (!tenant.empty()) file << ", tenant: " << tenant;
    file << "}\n";
  };
  add("sam", "sre", "", kSre);
  add("sue", "sre", "", kOtherSre);
  add("rita", "release-manager", "", kManager);
  for (const char* tenant : {"vendor", "acme", "globex"}) {
    add(absl::StrCat("admin-", tenant), "tenant-admin", tenant, AdminOf(tenant));
  }
  file.close();
  RF_CHECK(::chmod(path.c_str(), 0600) == 0);
}

}  // namespace

std::string AdminOf(const std::string& tenant) {
  return absl::StrCat("admin-of-", tenant);
}

ServerProcess::ServerProcess(std::vector<std::string> flags) : ServerProcess(std::move(flags), "") {}

ServerProcess::ServerProcess(std::vector<std::string> flags, std::string database_url)
    : flags_(std::move(flags)), database_url_(std::move(database_url)) {
  // Short, because a socket's path is; searchable, because PostgreSQL runs as another user when we are root.
  std::string folder = "/var/tmp/rf-it-XXXXXX";
  RF_CHECK(::mkdtemp(folder.data()) != nullptr);
  RF_CHECK(::chmod(folder.c_str(), 0755) == 0);
  folder_ = folder;
  WriteOperators(folder_ + "/operators.yaml");
}

ServerProcess::~ServerProcess() {
  Kill();
  std::error_code ignored;
  // PostgreSQL ends a moment after its parent; a folder that is still written to is tried again.
  for (int i = 0; i < 400 && std::filesystem::exists(folder_, ignored); ++i) {
    std::filesystem::remove_all(folder_, ignored);
    Pause();
  }
}

void ServerProcess::Spawn() {
  std::vector<std::string> arguments = {RINGFENCED_BINARY,
                                        database_url_.empty() ? "--data-dir" : "--database-url",
                                        database_url_.empty() ? data_dir() : database_url_,
                                        "--listen",
                                        keeps_port_ ? address() : "127.0.0.1:0",
                                        "--http-listen",
                                        "127.0.0.1:0",
                                        "--operators",
                                        folder_ + "/operators.yaml",
                                        "--port-file",
                                        folder_ + "/ports",
                                        "--pid-file",
                                        folder_ + "/pid"};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::unlink((folder_ + "/ports").c_str());
  log_start_ = log().size();
  const std::string log = folder_ + "/log";
  pid_ = ::fork();
  RF_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    if (std::freopen(log.c_str(), "a", stderr) == nullptr) ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
}

template <typename Predicate>
bool ServerProcess::WaitFor(Predicate happened) {
  while (!happened()) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      std::cerr << log();
      return false;
    }
    Pause();
  }
  return true;
}

bool ServerProcess::Start() {
  Spawn();
  return WaitFor([&] { return Answers(); });
}

bool ServerProcess::HasLogged(const char* event) const {
  return absl::StrContains(log().substr(log_start_), absl::StrCat("\"event\":\"", event, "\""));
}

bool ServerProcess::Answers() {
  return std::sscanf(test::Contents(folder_ + "/ports").c_str(), "{\"grpc\":%d,\"http\":%d}", &grpc_port_,
                     &http_port_) == 2;
}

bool ServerProcess::StartFollowing() {
  Spawn();
  return WaitFor([&] { return HasLogged("follows") && Answers(); });
}

bool ServerProcess::WaitUntilLeading() {
  return WaitFor([&] { return HasLogged("started") && Answers(); });
}

int ServerProcess::RunToEnd() {
  Spawn();
  return Wait();
}

void ServerProcess::Signal(int signal) {
  if (pid_ != 0) ::kill(pid_, signal);
}

int ServerProcess::Wait() {
  if (pid_ == 0) return 0;
  int status = 0;
  RF_CHECK(::waitpid(pid_, &status, 0) == pid_);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void ServerProcess::Kill() {
  Signal(SIGKILL);
  Wait();
}

std::string ServerProcess::address() const {
  return absl::StrCat("127.0.0.1:", grpc_port_);
}

std::shared_ptr<grpc::Channel> ServerProcess::Channel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
}

ServerProcess::HttpResult ServerProcess::Get(const std::string& path) const {
  httplib::Client client("127.0.0.1", http_port_);
  const httplib::Result result = client.Get(path.c_str());
  return result ? HttpResult{result->status, result->body} : HttpResult{};
}

std::string ServerProcess::log() const {
  return test::Contents(folder_ + "/log");
}

void Prepare(grpc::ClientContext& context, const std::string& token) {
  if (!token.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
}

}  // namespace ringfence::testing_support
