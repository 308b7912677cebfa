// What a host must never forget about the releases that it ran: how far it came, and how far back it may go.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"

namespace ringfence::agent {

struct TrustMemory {
  struct Channel {
    uint64_t highest = 0;  // serial that was ever activated here
    Digest highest_digest;
    uint64_t floor = 0;  // the highest rollback_floor of any release that was activated here
    // What ran before the root of trust was given to the agent: the installer's word, not the server's. By
    // digest, with its serial; 0 if it has none.
    std::map<Digest, uint64_t> factory;
    friend bool operator==(const Channel&, const Channel&) = default;
  };
  int64_t trust_version = 0;  // of the newest trust.json that was accepted
  // When the newest release that was ever listed here was published, Unix seconds: it is later than that. 0:
  // none was listed yet.
  int64_t newest_release = 0;
  std::map<std::string, Channel, std::less<>> channels;
  friend bool operator==(const TrustMemory&, const TrustMemory&) = default;
};

// Lines for people, and the sha256 of all of them at the end.
std::string EncodeTrustMemory(const TrustMemory& memory);
// DataLoss for anything else.
absl::StatusOr<TrustMemory> DecodeTrustMemory(absl::string_view text);

}  // namespace ringfence::agent
