// The whole command: parses the arguments, runs one subcommand, returns the exit code. Knows no process state
// but `world`.
#pragma once

#include <string>
#include <vector>

#include "server/cli/context.h"

namespace ringfence::cli {

// `arguments` without the program's name.
int Run(const World& world, const std::vector<std::string>& arguments);

}  // namespace ringfence::cli
