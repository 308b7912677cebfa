// `ringfence-keys` as a function, so that tests run it whole.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/base/clock.h"

namespace ringfence::tuf {

inline constexpr int kKeysDone = 0;
inline constexpr int kKeysRefused = 1;  // nothing was written, or signed; the text says why
inline constexpr int kKeysUsage = 2;

// Asks a person, for the key file named; where nobody can be asked, FailedPrecondition.
using AskPassphrase = std::function<absl::StatusOr<std::string>(const std::string& file)>;
absl::StatusOr<std::string> AskOnTerminal(const std::string& file);

// `args` without the program's name. Reads and writes the files that they name.
int RunKeysCommand(const std::vector<std::string>& args, Clock& clock, const AskPassphrase& ask,
                   std::ostream& out, std::ostream& err);

}  // namespace ringfence::tuf
