// Names of platforms, as release metadata lists them and hosts say them: "linux/x86_64/debian-12".
#pragma once

#include "absl/strings/string_view.h"

namespace ringfence {

// Is the host's platform `least`, or the same with a later version as its last part? Versions are numbers
// with dots; another last part is never later.
bool IsSameOrLaterPlatform(absl::string_view host, absl::string_view least);

}  // namespace ringfence
