// A ringfence-loader that outlives the agent: found if one runs in its folder, started if none does.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ringfence::agent {

struct LoaderProcessOptions {
  std::string program;                  // path of ringfence-loader
  std::string folder;                   // its --dir
  std::string sensor;                   // what it starts, as PROGRAM FILE
  std::string healthy_after;            // as its option takes it; empty: its default
  std::vector<std::string> build_keys;  // PEM files
};

// Does one run in this folder? By its lock, so that a stale process id deceives nobody.
bool LoaderRunsIn(const std::string& folder);

// Starts one unless one runs: in a session of its own, with no file of the agent's open, its words in
// FOLDER/log. Returns when it was started, not when it started anything. Makes the folder.
absl::Status EnsureLoader(const LoaderProcessOptions& options);

}  // namespace ringfence::agent
