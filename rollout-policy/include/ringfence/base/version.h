// The version of this build: CMake's project version.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace ringfence {

const char* Version();  // "0.1.0"

// What `--version` prints: "ringfenced 0.1.0".
std::string VersionOf(absl::string_view program);

}  // namespace ringfence
