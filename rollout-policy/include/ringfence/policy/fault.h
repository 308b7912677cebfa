// A fault in something a person or program handed us, precise enough to mend it without asking.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ringfence::policy {

struct Fault {
  std::string path;    // where: "rings[2].waves[0].share"
  std::string found;   // what stands there: "1.2"
  std::string wanted;  // what would be legal: "a share above 0 and at most 1"
};

// "rings[2].soak: found -1s, wanted zero or more"
std::string ToString(const Fault& fault);

// Ok when there is no fault; else InvalidArgument listing every one, a line each.
absl::Status ToStatus(const std::vector<Fault>& faults);

}  // namespace ringfence::policy
