// From the text of a parser to a refusal.
#pragma once

#include "absl/status/status.h"
#include "ringfence/trust/refusal.h"

namespace ringfence::trust {

// Of a status "FIELD: found FOUND, wanted WANTED" about `part`: kLimitExceeded for ResourceExhausted, else
// kMalformed. A text of another form is taken for what was found.
Refusal RefusalFromText(const std::string& part, const absl::Status& status);

}  // namespace ringfence::trust
