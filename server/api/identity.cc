#include "server/api/identity.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::api {
namespace {

constexpr size_t kUuidChars = 36;
constexpr size_t kSecretChars = 64;
constexpr size_t kMaxTokenBytes = 256;

absl::StatusOr<absl::string_view> BearerToken(absl::string_view authorization) {
  if (authorization.empty()) {
    return absl::UnauthenticatedError("no credential: send `authorization: Bearer ...`");
  }
  if (!absl::ConsumePrefix(&authorization, "Bearer ") || authorization.empty()) {
    return absl::UnauthenticatedError("the credential is not `Bearer ...`");
  }
  return authorization;
}

bool IsLowerHex(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c)) ||
        absl::ascii_isupper(static_cast<unsigned char>(c))) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<AgentCredential> ParseAgentCredential(absl::string_view authorization) {
  ASSIGN_OR_RETURN(const absl::string_view token, BearerToken(authorization));
  constexpr char kWrong[] = "the credential is not an agent's";
  if (token.size() != kUuidChars + 1 + kSecretChars || token[kUuidChars] != '.') {
    return absl::UnauthenticatedError(kWrong);
  }
  const absl::string_view secret = token.substr(kUuidChars + 1);
  const absl::StatusOr<AgentId> agent = AgentId::Parse(token.substr(0, kUuidChars));
  if (!agent.ok() || !IsLowerHex(secret)) return absl::UnauthenticatedError(kWrong);
  return AgentCredential{.agent = *agent, .secret = absl::HexStringToBytes(secret)};
}

absl::StatusOr<app::Actor> Operators::Authenticate(absl::string_view authorization) const {
  ASSIGN_OR_RETURN(const absl::string_view token, BearerToken(authorization));
  if (token.size() <= kMaxTokenBytes) {
    const auto found = by_token_.find(Sha256(token));
    if (found != by_token_.end()) {
      app::Actor actor = found->second;
      actor.key = std::string(HmacSha256(token, "ringfence actor key").raw());
      return actor;
    }
  }
  return absl::UnauthenticatedError("nobody has this token");
}

}  // namespace ringfence::api
