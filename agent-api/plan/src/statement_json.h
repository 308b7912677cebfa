// Members that the signed statements of this folder share.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/plan/json_fields.h"
#include "ringfence/plan/plan_chain.h"

namespace ringfence::plan {

std::string WriteInstant(absl::Time time);
absl::Time ReadInstant(const Json& json);
Digest ReadDigest(const Json& json);
Json WriteKeys(const PlanKeys& keys);
// Throws MalformedJson, as all readers here.
PlanKeys ReadKeys(const Json& json);

// Parses strictly, reads, and turns what was thrown into InvalidArgument: "signed plan: ...".
absl::Status ReadStatement(const char* what, absl::string_view payload,
                           const std::function<void(const Json&)>& read);
// The canonical spelling. InvalidArgument where a text is not UTF-8.
absl::StatusOr<std::string> Spell(const char* what, const Json& json);

}  // namespace ringfence::plan
