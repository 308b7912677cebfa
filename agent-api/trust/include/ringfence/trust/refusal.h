// Why a release, or evidence for it, is refused: a type that programs act upon, the part and field it is
// about, and for people what was found and what was wanted. One type for the publish gate, commands and
// agents.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ringfence::trust {

enum class RefusalType {
  kMalformed,            // cannot be read, or can be read in two ways
  kLimitExceeded,        // larger than anybody looks at
  kBadSignature,         // too few of the trusted keys signed
  kUnqualifiedArtifact,  // is no evidence that these bytes passed what they have to
  kEvidenceMismatch,     // is evidence, of other bytes or of another matrix
  kIncompleteSet,        // evidence covers some of the platforms that the release is for, not all
  kSchemaMismatch,       // a sensor it is for does not supply the inputs that the content declares
  kStaleVersion,         // its serial is not above the channel's newest
  kKnownBad,             // these bytes were stopped or recalled before
  kDigestTaken,          // these bytes are a release of another channel
};

struct Refusal {
  RefusalType type = RefusalType::kMalformed;
  std::string part;   // "qualification"
  std::string field;  // "predicate.failedTests[0]"
  std::string found;
  std::string wanted;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

// "unqualified_artifact". The same on the wire, in commands, pages and reports; never renamed.
absl::string_view Name(RefusalType type);

// "unqualified_artifact: qualification predicate.result: found FAILED, wanted PASSED". What strangers wrote
// is escaped.
std::string ToString(const Refusal& refusal);

// InvalidArgument for what cannot be read or is too large, else FailedPrecondition; with the text above, and
// with Name as payload of kRefusalUrl, where the publish gate's clients look for it.
inline constexpr char kRefusalUrl[] = "ringfence/refusal";
absl::Status ToStatus(const Refusal& refusal);

// The refusal that ToStatus turned into this status; absent for any other status.
std::optional<Refusal> RefusalFrom(const absl::Status& status);

}  // namespace ringfence::trust
