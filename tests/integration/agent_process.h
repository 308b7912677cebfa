// The real ringfence-agent as a child process, with a channel "content" and a state folder of its own.
#pragma once

#include <sys/types.h>

#include <string>

namespace ringfence::testing_support {

// Not thread-safe.
class AgentProcess {
 public:
  // What runs in the channel before the first release.
  static std::string FactoryBytes();

  // Talks to the server at `address`; a host with the labels ring=RING and os=win11. Nothing is started yet.
  AgentProcess(const std::string& address, const std::string& ring);
  ~AgentProcess();  // kills
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  // With a token it may enrol.
  void Start(const std::string& token = "");
  void Signal(int signal);
  // Waits for the end; the exit code, or minus the signal that ended it.
  int Wait();
  bool IsAlive();

  // The bytes in use: what its link leads to.
  std::string Running() const;
  std::string log() const;

 private:
  const std::string address_, ring_;
  std::string folder_;
  pid_t pid_ = 0;
};

}  // namespace ringfence::testing_support
