#include "ringfence/trust/refusal.h"

#include "refusal_text.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ringfence::trust {

absl::string_view Name(RefusalType type) {
  switch (type) {
    case RefusalType::kMalformed:
      return "malformed";
    case RefusalType::kLimitExceeded:
      return "limit_exceeded";
    case RefusalType::kBadSignature:
      return "bad_signature";
    case RefusalType::kUnqualifiedArtifact:
      return "unqualified_artifact";
    case RefusalType::kEvidenceMismatch:
      return "evidence_mismatch";
    case RefusalType::kSchemaMismatch:
      return "schema_mismatch";
    case RefusalType::kStaleVersion:
      return "stale_version";
    case RefusalType::kKnownBad:
      return "known_bad";
  }
  return "malformed";
}

std::string ToString(const Refusal& refusal) {
  return absl::StrCat(Name(refusal.type), ": ", refusal.part, refusal.field.empty() ? "" : " ", refusal.field,
                      ": found ", absl::Utf8SafeCEscape(refusal.found), ", wanted ",
                      absl::Utf8SafeCEscape(refusal.wanted));
}

Refusal RefusalFromText(const std::string& part, const absl::Status& status) {
  const bool large = absl::IsResourceExhausted(status);
  Refusal refusal{large ? RefusalType::kLimitExceeded : RefusalType::kMalformed, part, "", "",
                  "something sound"};
  const std::string text(status.message());
  const size_t found = text.find(": found "), wanted = text.rfind(", wanted ");
  if (found == std::string::npos || wanted == std::string::npos || wanted < found) {
    refusal.found = text;
    return refusal;
  }
  refusal.field = text.substr(0, found);
  refusal.found = text.substr(found + 8, wanted - found - 8);
  refusal.wanted = text.substr(wanted + 9);
  return refusal;
}

absl::Status ToStatus(const Refusal& refusal) {
  const bool unreadable =
      refusal.type == RefusalType::kMalformed || refusal.type == RefusalType::kLimitExceeded;
  const auto code = unreadable ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kFailedPrecondition;
  absl::Status status(code, ToString(refusal));
  status.SetPayload(kRefusalUrl, absl::Cord(Name(refusal.type)));
  return status;
}

}  // namespace ringfence::trust
