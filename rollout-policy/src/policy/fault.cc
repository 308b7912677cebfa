#include "ringfence/policy/fault.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ringfence::policy {

std::string ToString(const Fault& fault) {
  return absl::StrCat(fault.path, ": found ", fault.found, ", wanted ", fault.wanted);
}

absl::Status ToStatus(const std::vector<Fault>& faults) {
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(
      faults, "\n", [](std::string* out, const Fault& fault) { absl::StrAppend(out, ToString(fault)); }));
}

}  // namespace ringfence::policy
