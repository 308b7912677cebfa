// `ringfence-tuf` as a function, so that tests run it whole.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "ringfence/base/clock.h"

namespace ringfence::tuf {

inline constexpr int kTufDone = 0;
inline constexpr int kTufFailed = 1;  // any part: nothing was believed that does not hold, the text says why
inline constexpr int kTufUsage = 2;

// `args` without the program's name. Reads and writes the folders that they name.
int RunTufCommand(const std::vector<std::string>& args, Clock& clock, std::ostream& out, std::ostream& err);

}  // namespace ringfence::tuf
