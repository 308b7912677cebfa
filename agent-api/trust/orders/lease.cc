#include "ringfence/trust/lease.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "members.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"

namespace ringfence::trust {
namespace {

absl::Status Refused(absl::string_view word, absl::string_view why) {
  return absl::PermissionDeniedError(absl::StrCat(word, ": ", why));
}

absl::StatusOr<Lease> Opened(absl::string_view bytes, const Authority& authority) {
  if (bytes.size() > kMaxOrderBytes) return absl::ResourceExhaustedError("too large");
  ASSIGN_OR_RETURN(const Envelope envelope, ParseEnvelope(bytes));
  RETURN_IF_ERROR(VerifyEnvelope(envelope, authority.director, authority.director_threshold));
  if (envelope.payload_type != kLeaseType) return absl::InvalidArgumentError("payloadType: not a lease");
  return ParseLease(envelope.payload);
}

}  // namespace

std::string SignLease(const Lease& lease, const SigningKey& director) {
  const nlohmann::json payload = {{"action", "activate"},
                                  {"agent", lease.agent.ToString()},
                                  {"channel", lease.channel},
                                  {"from_serial", lease.from_serial},
                                  {"halt_seq", lease.halt_seq},
                                  {"issued_at", TimeText(lease.issued_at)},
                                  {"length", lease.length},
                                  {"nonce", absl::BytesToHexString(lease.nonce)},
                                  {"plan_sha256", lease.plan_sha256.ToString()},
                                  {"plan_version", lease.plan_version},
                                  {"ring", lease.ring},
                                  {"rollout", lease.rollout},
                                  {"sha256", lease.sha256.ToString()},
                                  {"tenant", lease.tenant},
                                  {"to_serial", lease.to_serial},
                                  {"ttl_ms", absl::ToInt64Milliseconds(lease.ttl)}};
  Envelope envelope{kLeaseType, tuf::CanonicalJson(payload), {}};
  Sign(director, &envelope);
  return SerializeEnvelope(envelope);
}

absl::StatusOr<Lease> ParseLease(absl::string_view payload) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseStrictJson(payload, kMaxOrderBytes));
  Members in(parsed);
  if (in.Text("action", 0, 64) != "activate") in.Fault("action", "\"activate\"");
  Lease lease;
  lease.tenant = in.Slug("tenant");
  lease.agent = in.Agent("agent");
  lease.nonce = in.HexBytes("nonce", kNonceBytes);
  lease.channel = in.Slug("channel");
  lease.sha256 = in.Sha256("sha256");
  lease.length = in.Integer("length", 1, kMaxJsonInteger);
  lease.from_serial = in.Unsigned("from_serial", 0);
  lease.to_serial = in.Unsigned("to_serial", 1);
  lease.rollout = in.Integer("rollout", 0, kMaxJsonInteger);
  lease.ring = in.Slug("ring");
  lease.plan_version = in.Integer("plan_version", 0, kMaxJsonInteger);
  lease.plan_sha256 = in.Sha256("plan_sha256");
  lease.halt_seq = in.Unsigned("halt_seq", 0);
  lease.ttl = absl::Milliseconds(in.Integer("ttl_ms", 1, absl::ToInt64Milliseconds(kMaxLeaseTtl)));
  lease.issued_at = in.Time("issued_at");
  RETURN_IF_ERROR(in.status());
  return lease;
}

absl::StatusOr<Lease> VerifyLease(absl::string_view envelope, const Authority& authority,
                                  const LeaseQuestion& question, absl::Duration elapsed) {
  const absl::StatusOr<Lease> lease = Opened(envelope, authority);
  if (!lease.ok()) return Refused("lease_signature", lease.status().message());
  if (lease->agent != question.agent || lease->tenant != question.tenant)
    return Refused("lease_agent", absl::StrCat("for ", lease->tenant, "/", lease->agent.ToString()));
  if (question.nonce.size() != kNonceBytes || lease->nonce != question.nonce)
    return Refused("lease_nonce", "an answer to another question");
  if (lease->channel != question.channel || lease->sha256 != question.sha256 ||
      lease->length != question.length) {
    return Refused("lease_bytes", absl::StrCat("for ", lease->length, " bytes of ", lease->channel,
                                               ", sha256 ", lease->sha256.ToString()));
  }
  if (lease->to_serial != question.serial || lease->from_serial >= lease->to_serial)
    return Refused("lease_serial", absl::StrCat("from ", lease->from_serial, " to ", lease->to_serial,
                                                ", asked for ", question.serial));
  if (question.by_plan.has_value() &&
      (lease->plan_version != question.by_plan->version || lease->plan_sha256 != question.by_plan->sha256)) {
    return Refused("lease_plan",
                   absl::StrCat("by plan ", lease->plan_version, ", sha256 ", lease->plan_sha256.ToString(),
                                "; this host holds plan ", question.by_plan->version, ", sha256 ",
                                question.by_plan->sha256.ToString()));
  }
  if (lease->halt_seq < question.halt_seq)
    return Refused("lease_halt", "the server does not know a halt that this host has seen");
  if (elapsed < absl::ZeroDuration() || elapsed >= lease->ttl)
    return Refused("lease_late", absl::StrCat("asked ", absl::FormatDuration(elapsed), " ago, good for ",
                                              absl::FormatDuration(lease->ttl)));
  return lease;
}

}  // namespace ringfence::trust
