#include "ringfence/base/version.h"

#include "absl/strings/str_cat.h"

namespace ringfence {

const char* Version() {
  return RINGFENCE_VERSION;
}

std::string VersionOf(absl::string_view program) {
  return absl::StrCat(program, " ", Version());
}

}  // namespace ringfence
