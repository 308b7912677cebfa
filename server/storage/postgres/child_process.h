// A child process that ends with its parent.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ringfence::storage {

// The ids a process takes on before it runs a program.
struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// NotFound when the system has no such user.
absl::StatusOr<UserIds> LookUpUser(const std::string& name);

struct ChildSpec {
  std::vector<std::string> argv;  // argv[0] is an absolute path
  std::optional<UserIds> user;    // becomes this user; needs root
  std::string log_path;           // standard output and error are appended here
  int parent_death_signal = 0;    // sent to the child when the *thread* that spawned it ends; 0: none
};

// Forks and runs the program in a session of its own (a Ctrl-C in the terminal is for the parent, which stops
// its children in order), in "/", with no file of ours open and an environment of PATH and LC_ALL=C only. The
// caller reaps it. Internal, with the reason, when the program could not be started.
absl::StatusOr<pid_t> Spawn(const ChildSpec& spec);

// Spawns and waits for the end. Internal when the exit status is not 0.
absl::Status RunToEnd(const ChildSpec& spec);

}  // namespace ringfence::storage
