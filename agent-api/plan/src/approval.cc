#include "ringfence/plan/approval.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/dsse.h"
#include "statement_json.h"

namespace ringfence::plan {
namespace {

constexpr char kWhat[] = "signed decision";
constexpr size_t kMostDigests = 64;
constexpr size_t kMaxReasonBytes = 512;
constexpr absl::Duration kMaxMinAge = absl::Hours(24 * 365);

bool Counts(const ApprovalStatement& statement, absl::string_view envelope,
            std::span<const SignedPlan> chain) {
  if (statement.approve) return CheckSigned(envelope, chain.back().statement.keys).ok();
  return std::any_of(chain.begin(), chain.end(),
                     [&](const SignedPlan& link) { return CheckSigned(envelope, link.statement.keys).ok(); });
}

// Is the statement about these bytes in this ring?
bool IsOf(const ApprovalStatement& said, absl::string_view channel, uint64_t serial, const Digest& digest,
          absl::string_view ring) {
  const auto named = [](const auto& list, const auto& one) {
    return list.empty() || std::find(list.begin(), list.end(), one) != list.end();
  };
  return said.channel == channel && said.serial == serial && named(said.rings, ring) &&
         named(said.digests, digest);
}

}  // namespace

absl::StatusOr<std::string> ApprovalPayload(const ApprovalStatement& statement) {
  Json json = {{"tenant", statement.tenant},
               {"seq", statement.seq},
               {"decision", statement.approve ? "approve" : "deny"},
               {"channel", statement.channel},
               {"serial", statement.serial},
               {"sha256", Json::array()},
               {"rings", statement.rings}};
  for (const Digest& digest : statement.digests) json["sha256"].push_back(digest.ToString());
  if (statement.not_after != absl::InfiniteFuture()) json["not_after"] = WriteInstant(statement.not_after);
  if (statement.min_age.has_value()) json["min_age_s"] = absl::ToInt64Seconds(*statement.min_age);
  if (!statement.reason.empty()) json["reason"] = statement.reason;
  return Spell(kWhat, json);
}

absl::StatusOr<ApprovalStatement> ParseApprovalPayload(absl::string_view payload) {
  ApprovalStatement statement;
  RETURN_IF_ERROR(ReadStatement(kWhat, payload, [&](const Json& json) {
    Object object(json);
    statement.tenant = ReadText(object["tenant"]);
    statement.seq = ReadInt<uint64_t>(object["seq"]);
    const std::string decision = ReadText(object["decision"]);
    statement.approve = decision == "approve";
    statement.channel = ReadText(object["channel"]);
    statement.serial = ReadInt<uint64_t>(object["serial"]);
    for (const Json& digest : ReadArray(object["sha256"])) statement.digests.push_back(ReadDigest(digest));
    statement.rings = ReadTexts(object["rings"]);
    if (const Json* end = object.Optional("not_after")) statement.not_after = ReadInstant(*end);
    if (const Json* reason = object.Optional("reason")) statement.reason = ReadText(*reason);
    if (const Json* age = object.Optional("min_age_s"))
      statement.min_age = absl::Seconds(ReadInt<int64_t>(*age));
    object.End();
    if (decision != "approve" && decision != "deny") throw MalformedJson{"approve or deny is wanted"};
    if (!IsSlug(statement.tenant)) throw MalformedJson{"tenant: a tenant's name is wanted"};
    if (!IsSlug(statement.channel)) throw MalformedJson{"channel: a channel's name is wanted"};
    if (statement.seq == 0 || statement.serial == 0)
      throw MalformedJson{"seq and serial from 1 on are wanted"};
    // The same name may come with other bytes.
    if (statement.approve && statement.digests.empty())
      throw MalformedJson{"sha256: an approval names the bytes that it is for"};
    if (statement.digests.size() > kMostDigests) throw MalformedJson{"at most 64 sha256 are wanted"};
    const bool rings = std::all_of(statement.rings.begin(), statement.rings.end(),
                                   [](const std::string& ring) { return IsSlug(ring); });
    if (!rings || statement.rings.size() > policy::kMaxRings)
      throw MalformedJson{"rings: at most 32 names of rings are wanted"};
    if (statement.min_age.has_value() && (!statement.approve || *statement.min_age < absl::ZeroDuration() ||
                                          *statement.min_age > kMaxMinAge)) {
      throw MalformedJson{"min_age_s: of an approval, 0 to 31536000 are wanted"};
    }
    if (statement.reason.size() > kMaxReasonBytes)
      throw MalformedJson{"reason: at most 512 bytes are wanted"};
  }));
  return statement;
}

absl::Status ApprovalBook::Add(absl::string_view envelope, std::span<const SignedPlan> chain) {
  RETURN_IF_ERROR(Recall(envelope, chain));
  if (entries_.back().counts) return absl::OkStatus();
  entries_.pop_back();
  const PlanStatement& newest = chain.back().statement;
  return absl::PermissionDeniedError(absl::StrCat(kWhat, ": wanted signatures of ", newest.keys.threshold,
                                                  " of the ", newest.keys.keys.size(), " keys that plan ",
                                                  newest.version, " names"));
}

absl::Status ApprovalBook::Recall(absl::string_view envelope_json, std::span<const SignedPlan> chain) {
  const absl::StatusOr<trust::Envelope> envelope = trust::ParseEnvelope(envelope_json);
  if (!envelope.ok())
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": ", envelope.status().message()));
  if (envelope->payload_type != kApprovalPayloadType) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": payloadType: wanted ", kApprovalPayloadType));
  }
  ASSIGN_OR_RETURN(ApprovalStatement statement, ParseApprovalPayload(envelope->payload));
  if (chain.empty() || statement.tenant != chain.back().statement.plan.tenant)
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": is one of another tenant"));
  if (statement.seq <= last_seq()) {
    return absl::FailedPreconditionError(
        absl::StrCat(kWhat, ": seq ", statement.seq, ", wanted above ", last_seq(), ", the last one"));
  }
  const bool counts = Counts(statement, envelope_json, chain);
  entries_.push_back({std::move(statement), std::string(envelope_json), counts});
  return absl::OkStatus();
}

void ApprovalBook::Recheck(std::span<const SignedPlan> chain) {
  for (Entry& entry : entries_) entry.counts = Counts(entry.statement, entry.envelope, chain);
}

policy::Consent ApprovalBook::Of(absl::string_view channel, uint64_t serial, const Digest& digest,
                                 absl::string_view ring, absl::Time now) const {
  bool approved = false;
  for (const Entry& entry : entries_) {
    const ApprovalStatement& said = entry.statement;
    if (!entry.counts || !IsOf(said, channel, serial, digest, ring)) continue;
    if (!said.approve) return policy::Consent::kDenied;
    approved |= now < said.not_after;
  }
  return approved ? policy::Consent::kApproved : policy::Consent::kNone;
}

std::optional<Haste> ApprovalBook::HasteOf(absl::string_view channel, uint64_t serial, const Digest& digest,
                                           absl::string_view ring, absl::Time now) const {
  if (Of(channel, serial, digest, ring, now) != policy::Consent::kApproved) return std::nullopt;
  std::optional<Haste> least;
  for (const Entry& entry : entries_) {
    const ApprovalStatement& said = entry.statement;
    if (!entry.counts || !said.min_age.has_value() || now >= said.not_after) continue;
    if (!IsOf(said, channel, serial, digest, ring)) continue;
    if (!least.has_value() || *said.min_age < least->min_age) least = Haste{*said.min_age, said.not_after};
  }
  return least;
}

}  // namespace ringfence::plan
