// DSSE v1.0.2: a payload, what kind of payload it is, and signatures over both.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::trust {

inline constexpr size_t kMaxEnvelopeBytes = 256 << 10;
inline constexpr size_t kMaxEnvelopeSignatures = 64;

struct EnvelopeSignature {
  std::string key_id;  // a hint that anybody can write: never a reason to believe
  std::string bytes;
  friend bool operator==(const EnvelopeSignature&, const EnvelopeSignature&) = default;
};

struct Envelope {
  std::string payload_type;
  std::string payload;
  std::vector<EnvelopeSignature> signatures;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

// What is signed: "DSSEv1", then both strings with their lengths, so that no payload can pass for one of
// another type.
std::string PreAuthEncoding(absl::string_view payload_type, absl::string_view payload);

// The JSON form; either base64 alphabet, padded or not, members that it does not know are ignored.
// ResourceExhausted above kMaxEnvelopeBytes or kMaxEnvelopeSignatures; else InvalidArgument that begins with
// the member: "signatures[0].sig: found ..., wanted ...". Nothing in the result is believed yet.
absl::StatusOr<Envelope> ParseEnvelope(absl::string_view json);
std::string SerializeEnvelope(const Envelope& envelope);

// Adds a signature of `key`. One key twice makes two signatures that count as one.
void Sign(const SigningKey& key, Envelope* envelope);

// Which of `trusted` signed. A set of keys, hence of key bytes: a key that signed twice, that has two ids, or
// that is listed twice, is in it once. Key ids are not looked at.
std::set<PublicKey> Signers(const Envelope& envelope, std::span<const PublicKey> trusted);

// Ok if at least `threshold` different keys of `trusted` signed. PermissionDenied says how many did. A
// threshold below one is never met. Only after this may the payload be parsed.
absl::Status VerifyEnvelope(const Envelope& envelope, std::span<const PublicKey> trusted, int threshold);

}  // namespace ringfence::trust
