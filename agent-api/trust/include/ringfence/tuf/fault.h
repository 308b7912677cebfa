// Why an update of trusted metadata did not go through: a type that programs act upon, the role it is about,
// and for people what was found and what was wanted. All of them mean: keep what is trusted, go on running.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ringfence::tuf {

enum class Fault {
  kMalformed,       // cannot be read, or can be read in two ways
  kLimitExceeded,   // larger than anybody looks at
  kBadSignature,    // too few of the role's keys signed
  kStaleVersion,    // goes back behind what was trusted before, or drops a part of it
  kWrongVersion,    // another version than the one that was announced
  kExpired,         // says of itself that it is too old
  kDigestMismatch,  // other bytes, or another number of them, than announced
  kMissing,         // the repository does not have it, or does not list it
  kUnavailable,     // the repository did not answer
  kStorage,         // our own disk
};

// "bad_signature". The same in commands, pages and reports; never renamed.
absl::string_view Name(Fault fault);

// "bad_signature: snapshot: found 1 of the role's keys, wanted 2". `text` is the part behind the role; what
// strangers wrote in it has to be escaped already; what is longer than a message should be is cut. Fault and
// role are payloads as well, the role whole.
absl::Status Failure(Fault fault, absl::string_view role, absl::string_view text);

// Absent if the status did not come from Failure.
std::optional<Fault> FaultOf(const absl::Status& status);
std::optional<std::string> RoleOf(const absl::Status& status);

}  // namespace ringfence::tuf
