#include "server/storage/rows.h"

#include "absl/strings/str_cat.h"

namespace ringfence::storage {
namespace {

constexpr Outcome kOutcomes[] = {Outcome::kPending, Outcome::kConfirmed, Outcome::kCrashed, Outcome::kFailed,
                                 Outcome::kSilent,  Outcome::kReverted,  Outcome::kRefused, Outcome::kUnused};

}  // namespace

const char* Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPending:
      return "pending";
    case Outcome::kConfirmed:
      return "confirmed";
    case Outcome::kCrashed:
      return "crashed";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kSilent:
      return "silent";
    case Outcome::kReverted:
      return "reverted";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kUnused:
      return "unused";
  }
  return "unknown";
}

absl::StatusOr<Outcome> ParseOutcome(absl::string_view name) {
  for (const Outcome outcome : kOutcomes) {
    if (name == Name(outcome)) return outcome;
  }
  return absl::InvalidArgumentError(absl::StrCat("outcome: \"", name, "\" is not known"));
}

absl::Status CheckTrustDocument(const TrustDocumentRow& row) {
  if (row.name.empty() || row.name.size() > kMaxTrustDocumentName) {
    return absl::InvalidArgumentError(absl::StrCat("trust document: found a name of ", row.name.size(),
                                                   " bytes, wanted 1 to ", kMaxTrustDocumentName));
  }
  if (!row.bytes.empty() && row.bytes.size() <= kMaxTrustDocumentBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("trust document ", row.name, ": found ", row.bytes.size(),
                                                 " bytes, wanted 1 to ", kMaxTrustDocumentBytes));
}

}  // namespace ringfence::storage
