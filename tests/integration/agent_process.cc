#include "tests/integration/agent_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "ringfence/base/check.h"
#include "tests/support/file_contents.h"

namespace ringfence::testing_support {
std::string AgentProcess::FactoryBytes() {
  return "what the factory built in";
}

AgentProcess::AgentProcess(const std::string& address, std::vector<std::string> flags)
    : address_(address), flags_(std::move(flags)) {
  std::string folder = "/var/tmp/rf-ag-XXXXXX";
  RF_CHECK(::mkdtemp(folder.data()) != nullptr);
  folder_ = folder;
}

AgentProcess::AgentProcess(const std::string& address, const std::string& ring)
    : AgentProcess(address, std::vector<std::string>{"--label", "ring=" + ring, "--label", "os=win11"}) {
  std::ofstream(folder_ + "/factory.bin", std::ios::binary) << FactoryBytes();
  flags_.insert(flags_.end(), {"--channel", "content=" + folder_ + "/factory.bin"});
}

AgentProcess::~AgentProcess() {
  Signal(SIGKILL);
  Wait();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void AgentProcess::Start(const std::string& token) {
  RF_CHECK(pid_ == 0);
  std::vector<std::string> arguments = {RINGFENCE_AGENT_BINARY, "--server", address_, "--state-dir",
                                        state_dir()};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  if (!token.empty()) {
    std::ofstream(folder_ + "/token") << token;
    arguments.insert(arguments.end(), {"--enrol-token-file", folder_ + "/token"});
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string log = folder_ + "/log";
  pid_ = ::fork();
  RF_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    if (std::freopen(log.c_str(), "a", stderr) == nullptr) ::_exit(126);
    for (const auto& [name, value] : environment_) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
}

void AgentProcess::Signal(int signal) {
  if (pid_ != 0) ::kill(pid_, signal);
}

int AgentProcess::Wait() {
  if (pid_ == 0) return 0;
  int status = 0;
  RF_CHECK(::waitpid(pid_, &status, 0) == pid_);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool AgentProcess::IsAlive() {
  if (pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ != 0;
}

std::string AgentProcess::Running() const {
  return test::Contents(state_dir() + "/current/content");
}

std::string AgentProcess::log() const {
  return test::Contents(folder_ + "/log");
}

}  // namespace ringfence::testing_support
