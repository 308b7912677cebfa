// Whom a server believes, as a file: `ringfenced --trust FILE`. docs/publishing.md shows one.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/gate/gate.h"

namespace ringfence::gate {

// Reads the file and every key and schema that it names, relative to its own folder. InvalidArgument, naming
// file, line and key, for anything that is not understood; NotFound for a file that is not there. Nothing is
// believed in part: one fault, and there is no Trust.
absl::StatusOr<Trust> LoadTrust(const std::string& path);

}  // namespace ringfence::gate
