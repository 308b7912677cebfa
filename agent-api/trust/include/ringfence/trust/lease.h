// The permission to activate one release on one host now, as the director signs it: a DSSE envelope whose
// payload is canonical JSON. Pure: bytes, keys and durations in, values or a refusal out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/authority.h"

namespace ringfence::trust {

inline constexpr char kLeaseType[] = "application/vnd.ringfence.lease.v1+json";
inline constexpr size_t kMaxOrderBytes = 64 << 10;  // of the envelope of a lease, a halt or an order to go on
inline constexpr size_t kNonceBytes = 16;
inline constexpr absl::Duration kMaxLeaseTtl = absl::Seconds(600);

struct Lease {
  std::string tenant;
  AgentId agent;
  std::string nonce;  // the agent's, kNonceBytes raw bytes
  std::string channel;
  Digest sha256;
  int64_t length = 0;        // of the artifact
  uint64_t from_serial = 0;  // what the server thinks runs there; 0: nothing that it knows
  uint64_t to_serial = 0;
  int64_t rollout = 0;
  std::string ring;
  int64_t plan_version = 0;  // of the signed plan that the server let it pass by; 0: the tenant signs none
  Digest plan_sha256;        // its hash, or zero
  uint64_t halt_seq = 0;     // of the newest halt that the server knows; 0: none
  absl::Duration ttl;        // whole milliseconds, above zero, at most kMaxLeaseTtl
  absl::Time issued_at;      // for people; nothing is measured by it

  friend bool operator==(const Lease&, const Lease&) = default;
};

// The envelope, signed.
std::string SignLease(const Lease& lease, const SigningKey& director);

// The payload. InvalidArgument names the member. To be parsed only after the signature was verified.
absl::StatusOr<Lease> ParseLease(absl::string_view payload);

struct PlanName {
  int64_t version = 0;
  Digest sha256;  // of what was signed
};

// What a host asked, and what it knows. A lease must fit all of it.
struct LeaseQuestion {
  std::string tenant;
  AgentId agent;
  std::string nonce;
  std::string channel;
  Digest sha256;
  int64_t length = 0;
  uint64_t serial = 0;
  uint64_t halt_seq = 0;            // of the newest halt that this host has seen
  std::optional<PlanName> by_plan;  // that the host itself holds; nullopt: it pins none
};

// `elapsed`: since the question was sent, on a clock that counts sleep and that nobody sets. The first thing
// that is wrong is the answer, PermissionDenied, beginning with one word:
//   lease_signature  not by the director's keys, or no such document
//   lease_agent      for another host or tenant
//   lease_nonce      an answer to another question
//   lease_bytes      for another channel, digest or length
//   lease_serial     another serial, or not above the one it comes from
//   lease_plan       by another plan than the one that this host holds
//   lease_halt       by a server that does not know a halt that this host has seen
//   lease_late       its time was over when it was looked at
absl::StatusOr<Lease> VerifyLease(absl::string_view envelope, const Authority& authority,
                                  const LeaseQuestion& question, absl::Duration elapsed);

}  // namespace ringfence::trust
