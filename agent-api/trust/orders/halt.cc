#include "ringfence/trust/halt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "members.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/lease.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"

namespace ringfence::trust {
namespace {

constexpr size_t kIdBytes = 16;
constexpr size_t kMostReason = 512;
constexpr size_t kMostName = 128;

nlohmann::json ScopeJson(const HaltScope& scope) {
  return {{"ring", scope.ring}, {"sha256", scope.sha256.ToString()}, {"tenant", scope.tenant}};
}

// Cut before the character that does not fit.
std::string Short(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

HaltScope ReadScope(Members& in) {
  HaltScope scope;
  const nlohmann::json* object = in.Object("scope");
  if (object == nullptr) return scope;
  Members parts(*object);
  scope.sha256 = parts.Sha256("sha256");
  scope.tenant = parts.Slug("tenant", /*may_be_empty=*/true);
  scope.ring = parts.Slug("ring", /*may_be_empty=*/true);
  if (!parts.status().ok()) in.Fault("scope", parts.status().message());
  return scope;
}

absl::StatusOr<Envelope> Parse(absl::string_view bytes) {
  if (bytes.size() > kMaxOrderBytes) return absl::InvalidArgumentError("envelope: too large");
  return ParseEnvelope(bytes);
}

absl::StatusOr<HaltNotice> ReadNotice(const Envelope& envelope) {
  if (envelope.payload_type != kHaltType) return absl::InvalidArgumentError("payloadType: not a halt");
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseStrictJson(envelope.payload, kMaxOrderBytes));
  Members in(parsed);
  HaltNotice notice;
  notice.halt_id = in.HexName("halt_id", kIdBytes);
  notice.seq = in.Unsigned("seq", 1);
  notice.scope = ReadScope(in);
  notice.artifacts = in.Sha256s("artifacts", kMostArtifacts);
  notice.channel = in.Slug("channel");
  notice.serial = in.Unsigned("serial", 1);
  notice.reason = in.Text("reason", 0, kMostReason);
  notice.by = in.Text("by", 0, kMostName);
  notice.issued_at = in.Time("issued_at");
  RETURN_IF_ERROR(in.status());
  return notice;
}

}  // namespace

std::string HaltId(const HaltScope& scope, uint64_t seq) {
  const Digest all = Sha256(HashInput()
                                .String("halt")
                                .Raw(scope.sha256.raw())
                                .String(scope.tenant)
                                .String(scope.ring)
                                .U64(seq)
                                .bytes());
  return all.ToString().substr(0, 2 * kIdBytes);
}

std::string SignHalt(const HaltNotice& notice, const SigningKey& key) {
  nlohmann::json payload = {{"by", Short(notice.by, kMostName)},
                            {"channel", notice.channel},
                            {"halt_id", notice.halt_id},
                            {"issued_at", TimeText(notice.issued_at)},
                            {"reason", Short(notice.reason, kMostReason)},
                            {"scope", ScopeJson(notice.scope)},
                            {"seq", notice.seq},
                            {"serial", notice.serial}};
  for (const Digest& bytes : notice.artifacts) payload["artifacts"].push_back(bytes.ToString());
  Envelope envelope{kHaltType, tuf::CanonicalJson(payload), {}};
  Sign(key, &envelope);
  return SerializeEnvelope(envelope);
}

absl::StatusOr<HaltNotice> VerifyHalt(absl::string_view bytes, const Authority& authority) {
  ASSIGN_OR_RETURN(const Envelope envelope, Parse(bytes));
  RETURN_IF_ERROR(VerifyEnvelope(envelope, authority.halt, authority.halt_threshold));
  return ReadNotice(envelope);
}

Envelope DraftOrder(const ResumeOrder& order) {
  const nlohmann::json payload = {{"channel", order.channel},
                                  {"halt_id", order.halt_id},
                                  {"halt_seq", order.halt_seq},
                                  {"issued_at", TimeText(order.issued_at)},
                                  {"not_after", TimeText(order.not_after)},
                                  {"order_id", order.order_id},
                                  {"reason", order.reason},
                                  {"scope", ScopeJson(order.scope)},
                                  {"serial", order.serial}};
  return {kResumeType, tuf::CanonicalJson(payload), {}};
}

absl::StatusOr<ResumeOrder> ReadOrder(const Envelope& envelope) {
  if (envelope.payload_type != kResumeType)
    return absl::InvalidArgumentError("payloadType: not an order to go on");
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseStrictJson(envelope.payload, kMaxOrderBytes));
  Members in(parsed);
  ResumeOrder order;
  order.order_id = in.HexName("order_id", kIdBytes);
  order.halt_id = in.HexName("halt_id", kIdBytes);
  order.halt_seq = in.Unsigned("halt_seq", 1);
  order.scope = ReadScope(in);
  order.channel = in.Slug("channel");
  order.serial = in.Unsigned("serial", 1);
  order.reason = in.Text("reason", 1, kMostReason);
  order.issued_at = in.Time("issued_at");
  order.not_after = in.Time("not_after");
  RETURN_IF_ERROR(in.status());
  if (order.not_after <= order.issued_at || order.not_after - order.issued_at > kResumeLife) {
    return absl::InvalidArgumentError(
        absl::StrCat("not_after: wanted at most ", absl::FormatDuration(kResumeLife), " after issued_at"));
  }
  return order;
}

std::set<std::string> PersonsBehind(const Envelope& envelope, const Authority& authority) {
  std::vector<PublicKey> keys;
  for (const TrustKey& one : authority.resume) keys.push_back(one.key);
  const std::set<PublicKey> signers = Signers(envelope, keys);
  std::set<std::string> persons;
  for (const TrustKey& one : authority.resume) {
    if (!one.person.empty() && signers.count(one.key) > 0) persons.insert(one.person);
  }
  return persons;
}

absl::Status Join(const Envelope& other, Envelope* envelope) {
  if (other.payload_type != envelope->payload_type || other.payload != envelope->payload)
    return absl::InvalidArgumentError("order: signed over another order than the one that waits");
  for (const EnvelopeSignature& one : other.signatures) {
    const auto same = std::find_if(envelope->signatures.begin(), envelope->signatures.end(),
                                   [&](const EnvelopeSignature& known) { return known.bytes == one.bytes; });
    if (same == envelope->signatures.end()) envelope->signatures.push_back(one);
  }
  return absl::OkStatus();
}

absl::StatusOr<ResumeOrder> VerifyOrder(absl::string_view bytes, const Authority& authority, absl::Time now) {
  ASSIGN_OR_RETURN(const Envelope envelope, Parse(bytes));
  std::vector<PublicKey> keys;
  for (const TrustKey& one : authority.resume) keys.push_back(one.key);
  RETURN_IF_ERROR(VerifyEnvelope(envelope, keys, std::max(kLeastResumePersons, authority.resume_threshold)));
  const std::set<std::string> persons = PersonsBehind(envelope, authority);
  if (static_cast<int>(persons.size()) < kLeastResumePersons) {
    return absl::PermissionDeniedError(absl::StrCat("signatures: found ", persons.size(),
                                                    persons.size() == 1 ? " person" : " persons", ", wanted ",
                                                    kLeastResumePersons, " different ones"));
  }
  ASSIGN_OR_RETURN(ResumeOrder order, ReadOrder(envelope));
  if (now >= order.not_after) {
    return absl::FailedPreconditionError(
        absl::StrCat("not_after: the order was good until ", TimeText(order.not_after)));
  }
  return order;
}

}  // namespace ringfence::trust
