// trust.json: every public key that is not one of TUF's own. One target, signed by the top-level targets
// role, so that there is one way in which keys are replaced.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::trust {

inline constexpr char kTrustTarget[] = "trust.json";
inline constexpr size_t kMaxTrustBytes = 1 << 20;

struct TrustKey {
  PublicKey key;
  std::string person;  // who holds it; empty: not said
  friend bool operator==(const TrustKey&, const TrustKey&) = default;
};

struct TrustRole {
  std::vector<TrustKey> keys;  // each key once
  int threshold = 1;           // at least 1
  friend bool operator==(const TrustRole&, const TrustRole&) = default;
};

// What has to have been tested, of the releases of one channel.
struct Matrix {
  Digest sha256;                   // of the matrix's file, which a statement names
  std::vector<std::string> tests;  // not empty
  friend bool operator==(const Matrix&, const Matrix&) = default;
};

struct TrustDocument {
  int64_t version = 0;  // at least 1; does not go back
  // "director", "halt", "resume", "qualification", "content_build", "audit_log"; others are kept.
  std::map<std::string, TrustRole> roles;
  std::map<std::string, Matrix> matrices;  // of the role "qualification", by channel
  std::vector<std::string> agent_ca;       // PEM
  std::set<Digest> revoked;                // ids of keys that count for nothing
  friend bool operator==(const TrustDocument&, const TrustDocument&) = default;

  // The keys of a role that are not revoked; none for a role that is not there.
  std::vector<PublicKey> KeysOf(const std::string& role) const;
  // 0, which no check ever meets, for a role that is not there.
  int ThresholdOf(const std::string& role) const;
};

// {"version":12,"roles":{"qualification":{"keys":[{"keyid":..,"keytype":"ed25519","public":hex,"person":..}],
// "threshold":1,"matrices":{"ipc-detect":{"sha256":..,"tests":[..]}}}},"agent_ca":[],"revoked_keyids":[]}.
// Strict JSON; a keyid is the sha256 of the raw key. A tuf::Failure of kMalformed or kLimitExceeded. To be
// parsed only after the target's digest was verified.
absl::StatusOr<TrustDocument> ParseTrustDocument(absl::string_view bytes);
std::string SerializeTrustDocument(const TrustDocument& document);

}  // namespace ringfence::trust
