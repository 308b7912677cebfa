// Options of an agent that a test drives: it waits for next to nothing.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "ringfence/agent/agent.h"

namespace ringfence::agent {

inline AgentOptions QuickOptions(const std::string& server) {
  AgentOptions options;
  options.client.server = server;
  options.machine.min_interval = absl::Milliseconds(1);
  options.machine.backoff = {absl::Milliseconds(1), absl::Milliseconds(2), absl::Milliseconds(20)};
  options.enrol_token = "token";
  options.boot_id = "boot-1";
  return options;
}

}  // namespace ringfence::agent
