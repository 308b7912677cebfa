// JSON from strangers, as signed documents want it: one meaning or none. Include <nlohmann/json.hpp> in the
// .cc that looks into the result.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::trust {

inline constexpr int kMaxJsonDepth = 16;
inline constexpr int64_t kMaxJsonInteger = int64_t{1} << 53;

// ResourceExhausted for more than `most` bytes. InvalidArgument, with the offset, for what is no JSON, and
// for what two readers may read in two ways: a key twice in one object, a number with a fraction or an
// exponent, an integer beyond 2^53 either way, invalid UTF-8, a zero byte in a string, more than 16 levels,
// anything behind the end. Costs memory in proportion to `text` only.
absl::StatusOr<nlohmann::json> ParseStrictJson(absl::string_view text, size_t most);

}  // namespace ringfence::trust
