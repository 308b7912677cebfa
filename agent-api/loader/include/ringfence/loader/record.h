// What a loader remembers between starts: which slot it starts, and how often that went wrong. Two copies on
// disk, written in turn; each is whole or it is not.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"

namespace ringfence::loader {

enum class Slot : uint8_t { kBuiltIn = 0, kA = 1, kB = 2 };
const char* Name(Slot slot);  // "built-in", "a", "b"

inline constexpr size_t kMaxQuarantined = 64;

struct Record {
  uint64_t generation = 0;          // of the copies the higher one counts
  Slot active = Slot::kBuiltIn;     // what is started
  Slot last_good = Slot::kBuiltIn;  // what is started when `active` fails
  bool healthy = true;              // `active` proved itself since it became active
  uint8_t starts = 0;               // of `active` since it last proved itself; written before it is opened
  std::array<Digest, 2> slots;      // sha256 of the bytes in A and B; zero: nothing to be started
  std::vector<Digest> quarantine;   // never started again; oldest first, at most kMaxQuarantined

  const Digest& DigestOf(Slot slot) const;  // zero of the built-in
  bool IsQuarantined(const Digest& digest) const;
  friend bool operator==(const Record&, const Record&) = default;
};

// "RFSLOTS1", the members as little-endian numbers and raw digests, and the sha256 of all that.
std::string EncodeRecord(const Record& record);
// InvalidArgument for anything that EncodeRecord did not write: torn, damaged, another length, a slot that
// does not exist. Allocates no more than kMaxQuarantined digests.
absl::StatusOr<Record> DecodeRecord(absl::string_view bytes);

}  // namespace ringfence::loader
