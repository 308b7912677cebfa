#include "ringfence/trust/refusal.h"

#include "refusal_text.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ringfence::trust {
namespace {

constexpr RefusalType kTypes[] = {RefusalType::kMalformed,        RefusalType::kLimitExceeded,
                                  RefusalType::kBadSignature,     RefusalType::kUnqualifiedArtifact,
                                  RefusalType::kEvidenceMismatch, RefusalType::kIncompleteSet,
                                  RefusalType::kSchemaMismatch,   RefusalType::kStaleVersion,
                                  RefusalType::kKnownBad,         RefusalType::kDigestTaken};

constexpr char kPartUrl[] = "ringfence/refusal-part";
constexpr char kFieldUrl[] = "ringfence/refusal-field";
constexpr char kFoundUrl[] = "ringfence/refusal-found";
constexpr char kWantedUrl[] = "ringfence/refusal-wanted";

}  // namespace

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
    case RefusalType::kIncompleteSet:
      return "incomplete_set";
    case RefusalType::kSchemaMismatch:
      return "schema_mismatch";
    case RefusalType::kStaleVersion:
      return "stale_version";
    case RefusalType::kKnownBad:
      return "known_bad";
    case RefusalType::kDigestTaken:
      return "digest_taken";
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
  status.SetPayload(kPartUrl, absl::Cord(refusal.part));
  status.SetPayload(kFieldUrl, absl::Cord(refusal.field));
  status.SetPayload(kFoundUrl, absl::Cord(refusal.found));
  status.SetPayload(kWantedUrl, absl::Cord(refusal.wanted));
  return status;
}

std::optional<Refusal> RefusalFrom(const absl::Status& status) {
  const absl::optional<absl::Cord> word = status.GetPayload(kRefusalUrl);
  const absl::optional<absl::Cord> part = status.GetPayload(kPartUrl);
  if (!word.has_value() || !part.has_value()) return std::nullopt;
  const auto text = [&](const char* url) {
    const absl::optional<absl::Cord> payload = status.GetPayload(url);
    return payload.has_value() ? std::string(*payload) : std::string();
  };
  for (const RefusalType type : kTypes) {
    if (*word != Name(type)) continue;
    return Refusal{type, std::string(*part), text(kFieldUrl), text(kFoundUrl), text(kWantedUrl)};
  }
  return std::nullopt;
}

}  // namespace ringfence::trust
