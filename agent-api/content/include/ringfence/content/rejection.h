// Why a file is not content: one code, the field, what stands there and what would be right.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ringfence::content {

enum class Code {
  kTooShort,        // fewer bytes than the smallest file
  kTooLarge,        // more than 64 MiB
  kBadMagic,        // begins or ends with something else; all zeros, for instance
  kUnsupported,     // a version, a flag or a mandatory section that this reader does not know
  kLength,          // cut off, or something hangs on
  kCrc,             // the header is damaged
  kDigest,          // the file or a section is damaged
  kSignature,       // not signed by a key that the reader trusts
  kBadLayout,       // sections overlap, leave gaps, point outside; something is left over
  kDupSection,      // a section twice
  kMissingSection,  // a required one is not there
  kSchemaMismatch,  // not what the sensor supplies: 21 fields for a 20-field sensor
  kFieldIndex,      // a rule reads a field that the file does not declare
  kBadString,       // outside the strings, out of order, not UTF-8, or with control bytes
  kBadRule,         // an unknown operation or action, or one that does not fit its field
  kBadValue,        // a number or name outside its range
  kLimit,           // more fields, rules, conditions or text than a reader takes
};

struct Rejection {
  Code code = Code::kTooShort;
  std::string field;    // "header.field_count", "rules[3].conditions[0].field"
  uint64_t offset = 0;  // of the field, from the start of the file
  std::string found;
  std::string wanted;

  friend bool operator==(const Rejection&, const Rejection&) = default;
};

// "SCHEMA_MISMATCH". The same on the wire, in commands, pages and reports; never renamed.
absl::string_view CodeName(Code code);

// The publish gate's word for it: "malformed", "limit_exceeded", "schema_mismatch" or "bad_signature".
absl::string_view RefusalOf(Code code);

// "SCHEMA_MISMATCH: header.field_count (byte 44): found 21, wanted 20". Printable.
std::string ToString(const Rejection& rejection);

// InvalidArgument with the text above, with CodeName as payload of kCodeUrl, and with RefusalOf as payload of
// kRefusalUrl, where the publish gate's clients look for it.
inline constexpr char kCodeUrl[] = "ringfence/content-code";
inline constexpr char kRefusalUrl[] = "ringfence/refusal";
absl::Status ToStatus(const Rejection& rejection);

}  // namespace ringfence::content
