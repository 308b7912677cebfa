// Credentials. Agents present an enrolment secret, people a token from the operators' file; both as
// `authorization: Bearer ...`. The tenant always comes from the credential, never from a request.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"
#include "server/app/messages.h"

namespace ringfence::api {

// `Bearer <uuid>.<64 lower-case hex digits>`. Unauthenticated when it is anything else; the message never
// repeats it.
struct AgentCredential {
  AgentId agent;
  std::string secret;  // 32 raw bytes
};
absl::StatusOr<AgentCredential> ParseAgentCredential(absl::string_view authorization);

// The people of the operators' file. Immutable, so thread-safe.
class Operators {
 public:
  Operators() = default;  // nobody

  // Reads a file; see ParseText. FailedPrecondition when others than its owner and group can read or write
  // it.
  static absl::StatusOr<Operators> Load(const std::string& path);
  // YAML (or JSON, which is YAML too):
  //   operators:
  //     - {person: ana, role: tenant-admin, tenant: acme, token_sha256: <64 hex digits>}
  // InvalidArgument, naming every fault, for an unknown role or key, a tenant on a vendor's role or none on a
  // tenant's, a repeated token, ...
  static absl::StatusOr<Operators> ParseText(const std::string& text);

  // The person of `Bearer <token>`. Unauthenticated when there is none; the message never repeats the token.
  absl::StatusOr<app::Actor> Authenticate(absl::string_view authorization) const;

  size_t size() const { return by_token_.size(); }

 private:
  absl::flat_hash_map<Digest, app::Actor>
      by_token_;  // by sha256 of the token: a look-up tells nothing about tokens
};

}  // namespace ringfence::api
