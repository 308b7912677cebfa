// What the people who may release something sign: everything that decides which hosts get which bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ringfence/base/ids.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/ed25519.h"
#include "ringfence/trust/refusal.h"

namespace ringfence::trust {

inline constexpr char kReleasePayloadType[] = "application/vnd.ringfence.release.v1+json";

// A release's manifest and the size of its bytes.
struct ReleaseClaim {
  // A label and the values that it may have; all pairs of one selector must hold.
  using Selector = std::vector<std::pair<std::string, std::vector<std::string>>>;

  std::string channel;
  std::string kind;  // "sensor" or "content"
  uint64_t serial = 0;
  std::string version;
  Digest sha256;
  int64_t size_bytes = 0;
  bool urgent = false;
  Selector targets;
  std::vector<Selector> matrix;
};

// The one spelling of a claim, as JSON: what is signed. Equal claims give equal bytes; pairs and values stand
// in the order of the claim. Text must be UTF-8.
std::string SerializeReleaseClaim(const ReleaseClaim& claim);

// An envelope over the claim with one signature, as the bytes of its file; `add_to` empty, or an envelope
// over the same claim that gets one more signature. FailedPrecondition if that envelope is over something
// else.
absl::StatusOr<std::string> SealReleaseClaim(const ReleaseClaim& claim, const SigningKey& key,
                                             absl::string_view add_to = {});

// Absent if at least `threshold` different keys of `keys` signed exactly this claim; else why not, about the
// part "signature". Nothing of the payload is interpreted: it is compared. No envelope (empty) is
// kBadSignature.
std::optional<Refusal> CheckReleaseClaim(absl::string_view envelope, const ReleaseClaim& claim,
                                         std::span<const PublicKey> keys, int threshold);

}  // namespace ringfence::trust
