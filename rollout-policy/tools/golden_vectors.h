// Checks the health analysis against golden vectors: inputs and results computed by an independent
// implementation (tests/data/health/vectors.json). Used by the test and by `ringfence-judge`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::tools {

struct VectorReport {
  int checks = 0;                   // values compared
  std::vector<std::string> failed;  // path of each that differs, what was found and what was wanted
  bool passed() const { return checks > 0 && failed.empty(); }
};

// Compares every section to 1e-9, relative for values beyond 1. A section that is absent or not known is a
// failure, so that nothing in the file goes unchecked; so is one of another shape. InvalidArgument if the
// text is no JSON object.
absl::StatusOr<VectorReport> CheckGoldenVectors(absl::string_view json_text);

// {"passed": bool, "checks": n, "failed": [...]}, with a final newline.
std::string ToJson(const VectorReport& report);

}  // namespace ringfence::tools
