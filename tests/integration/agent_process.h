// The real ringfence-agent as a child process, with a state folder of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace ringfence::testing_support {

// Not thread-safe.
class AgentProcess {
 public:
  // What runs in the channel before the first release.
  static std::string FactoryBytes();

  // Talks to the server at `address`; a host with the labels ring=RING and os=win11, and a channel "content".
  // Nothing is started yet.
  AgentProcess(const std::string& address, const std::string& ring);
  // With these flags beside its server and its folder.
  AgentProcess(const std::string& address, std::vector<std::string> flags);
  ~AgentProcess();  // kills
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  // With a token it may enrol.
  void Start(const std::string& token = "");
  // For the next starts, in its environment.
  void SetEnvironment(std::vector<std::pair<std::string, std::string>> environment) {
    environment_ = std::move(environment);
  }
  void Signal(int signal);
  // Waits for the end; the exit code, or minus the signal that ended it.
  int Wait();
  bool IsAlive();

  // The bytes in use: what its link leads to.
  std::string Running() const;
  std::string log() const;
  std::string state_dir() const { return folder_ + "/state"; }

 private:
  const std::string address_;
  std::string folder_;
  std::vector<std::string> flags_;
  std::vector<std::pair<std::string, std::string>> environment_;
  pid_t pid_ = 0;
};

}  // namespace ringfence::testing_support
