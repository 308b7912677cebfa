// `ringfence-content` as a function, so that tests run it whole.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace ringfence::content {

// Documented in docs/content-format.md and in --help; never renumbered.
inline constexpr int kExitOk = 0;
inline constexpr int kExitRefused =
    1;                                // the file is not content, or not what was asked for; the text says why
inline constexpr int kExitUsage = 2;  // wrong arguments, or a source, schema or key file with faults
inline constexpr int kExitUnreadable = 3;  // a file cannot be read or written

// `args` without the program's name. Reads and writes the files that they name.
int RunCommand(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace ringfence::content
