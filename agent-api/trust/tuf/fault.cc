#include "ringfence/tuf/fault.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ringfence::tuf {
namespace {

constexpr char kFaultUrl[] = "ringfence/tuf-fault";
constexpr char kRoleUrl[] = "ringfence/tuf-role";

constexpr Fault kAll[] = {Fault::kMalformed,      Fault::kLimitExceeded, Fault::kBadSignature,
                          Fault::kStaleVersion,   Fault::kWrongVersion,  Fault::kExpired,
                          Fault::kDigestMismatch, Fault::kMissing,       Fault::kUnavailable,
                          Fault::kStorage};

// A name can be as long as a document: a message stays one that people read and logs hold.
constexpr size_t kMaxNameShown = 200, kMaxTextShown = 1000;

absl::string_view Shortened(absl::string_view text, size_t most) {
  if (text.size() <= most) return text;
  // Not within a character of several bytes.
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

absl::StatusCode CodeOf(Fault fault) {
  switch (fault) {
    case Fault::kMalformed:
      return absl::StatusCode::kInvalidArgument;
    case Fault::kLimitExceeded:
      return absl::StatusCode::kResourceExhausted;
    case Fault::kBadSignature:
      return absl::StatusCode::kPermissionDenied;
    case Fault::kStaleVersion:
    case Fault::kWrongVersion:
    case Fault::kExpired:
      return absl::StatusCode::kFailedPrecondition;
    case Fault::kDigestMismatch:
      return absl::StatusCode::kDataLoss;
    case Fault::kMissing:
      return absl::StatusCode::kNotFound;
    case Fault::kUnavailable:
      return absl::StatusCode::kUnavailable;
    case Fault::kStorage:
      return absl::StatusCode::kInternal;
  }
  return absl::StatusCode::kInternal;
}

}  // namespace

absl::string_view Name(Fault fault) {
  switch (fault) {
    case Fault::kMalformed:
      return "malformed";
    case Fault::kLimitExceeded:
      return "limit_exceeded";
    case Fault::kBadSignature:
      return "bad_signature";
    case Fault::kStaleVersion:
      return "stale_version";
    case Fault::kWrongVersion:
      return "wrong_version";
    case Fault::kExpired:
      return "expired";
    case Fault::kDigestMismatch:
      return "digest_mismatch";
    case Fault::kMissing:
      return "missing";
    case Fault::kUnavailable:
      return "unavailable";
    case Fault::kStorage:
      return "storage";
  }
  return "malformed";
}

absl::Status Failure(Fault fault, absl::string_view role, absl::string_view text) {
  const absl::string_view name = Shortened(role, kMaxNameShown), shown = Shortened(text, kMaxTextShown);
  absl::Status status(CodeOf(fault), absl::StrCat(Name(fault), ": ", absl::Utf8SafeCEscape(name),
                                                  name.size() < role.size() ? "..." : "", ": ", shown,
                                                  shown.size() < text.size() ? "..." : ""));
  status.SetPayload(kFaultUrl, absl::Cord(Name(fault)));
  status.SetPayload(kRoleUrl, absl::Cord(role));
  return status;
}

std::optional<Fault> FaultOf(const absl::Status& status) {
  const absl::optional<absl::Cord> name = status.GetPayload(kFaultUrl);
  if (!name.has_value()) return std::nullopt;
  for (const Fault fault : kAll) {
    if (*name == Name(fault)) return fault;
  }
  return std::nullopt;
}

std::optional<std::string> RoleOf(const absl::Status& status) {
  const absl::optional<absl::Cord> role = status.GetPayload(kRoleUrl);
  if (!role.has_value()) return std::nullopt;
  return std::string(*role);
}

}  // namespace ringfence::tuf
