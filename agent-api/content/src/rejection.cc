#include "ringfence/content/rejection.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace ringfence::content {

absl::string_view CodeName(Code code) {
  switch (code) {
    case Code::kTooShort:
      return "TOO_SHORT";
    case Code::kTooLarge:
      return "TOO_LARGE";
    case Code::kBadMagic:
      return "BAD_MAGIC";
    case Code::kUnsupported:
      return "UNSUPPORTED";
    case Code::kLength:
      return "LENGTH";
    case Code::kCrc:
      return "CRC";
    case Code::kDigest:
      return "DIGEST";
    case Code::kSignature:
      return "SIGNATURE";
    case Code::kBadLayout:
      return "BAD_LAYOUT";
    case Code::kDupSection:
      return "DUP_SECTION";
    case Code::kMissingSection:
      return "MISSING_SECTION";
    case Code::kSchemaMismatch:
      return "SCHEMA_MISMATCH";
    case Code::kFieldIndex:
      return "FIELD_INDEX";
    case Code::kBadString:
      return "BAD_STRING";
    case Code::kBadRule:
      return "BAD_RULE";
    case Code::kBadValue:
      return "BAD_VALUE";
    case Code::kLimit:
      return "LIMIT";
  }
  return "UNKNOWN";
}

absl::string_view RefusalOf(Code code) {
  switch (code) {
    case Code::kTooLarge:
    case Code::kLimit:
      return "limit_exceeded";
    case Code::kSchemaMismatch:
    case Code::kFieldIndex:
      return "schema_mismatch";
    case Code::kSignature:
      return "bad_signature";
    case Code::kTooShort:
    case Code::kBadMagic:
    case Code::kUnsupported:
    case Code::kLength:
    case Code::kCrc:
    case Code::kDigest:
    case Code::kBadLayout:
    case Code::kDupSection:
    case Code::kMissingSection:
    case Code::kBadString:
    case Code::kBadRule:
    case Code::kBadValue:
      return "malformed";
  }
  return "malformed";
}

std::string ToString(const Rejection& rejection) {
  return absl::StrCat(CodeName(rejection.code), ": ", rejection.field, " (byte ", rejection.offset,
                      "): found ", rejection.found, ", wanted ", rejection.wanted);
}

absl::Status ToStatus(const Rejection& rejection) {
  absl::Status status = absl::InvalidArgumentError(ToString(rejection));
  status.SetPayload(kCodeUrl, absl::Cord(CodeName(rejection.code)));
  status.SetPayload(kRefusalUrl, absl::Cord(RefusalOf(rejection.code)));
  return status;
}

}  // namespace ringfence::content
