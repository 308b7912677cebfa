#include "ringfence/plan/plan_chain.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/dsse.h"
#include "statement_json.h"

namespace ringfence::plan {
namespace {

constexpr char kWhat[] = "signed plan";

std::vector<trust::PublicKey> Bytes(const PlanKeys& keys) {
  std::vector<trust::PublicKey> bytes;
  for (const PlanKey& key : keys.keys) bytes.push_back(key.key);
  return bytes;
}

bool IsSignedBy(const trust::Envelope& envelope, const PlanKeys& keys) {
  return trust::VerifyEnvelope(envelope, Bytes(keys), keys.threshold).ok();
}

absl::Status Forked(const SignedPlan& head, const PlanStatement& next, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(kForkWord, ": plan ", next.version, " of ", next.plan.tenant, " ", what, "; plan ",
                   head.statement.version, " (", head.sha256.ToString(), ") stays in force"));
}

}  // namespace

absl::StatusOr<std::string> PlanPayload(const PlanStatement& statement) {
  Json json;
  try {
    json = {{"tenant", statement.plan.tenant},
            {"plan_version", statement.version},
            {"prev_sha256", statement.version > 1 ? statement.prev.ToString() : ""},
            {"issued_at", WriteInstant(statement.issued_at)},
            {"keys", WriteKeys(statement.keys)},
            {"plan", WritePlan(statement.plan)}};
    if (!statement.recovery.keys.empty()) json["recovery"] = WriteKeys(statement.recovery);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": ", error.what()));
  }
  return Spell(kWhat, json);
}

absl::StatusOr<PlanStatement> ParsePlanPayload(absl::string_view payload) {
  PlanStatement statement;
  RETURN_IF_ERROR(ReadStatement(kWhat, payload, [&](const Json& json) {
    Object object(json);
    const std::string tenant = ReadText(object["tenant"]);
    statement.version = ReadInt<uint64_t>(object["plan_version"]);
    if (statement.version == 0) throw MalformedJson{"plan_version from 1 on is wanted"};
    const Json& prev = object["prev_sha256"];
    if (statement.version > 1) statement.prev = ReadDigest(prev);
    if (statement.version == 1 && !ReadText(prev).empty())
      throw MalformedJson{"no prev_sha256 is wanted in the first plan"};
    statement.issued_at = ReadInstant(object["issued_at"]);
    statement.keys = ReadKeys(object["keys"]);
    if (const Json* recovery = object.Optional("recovery")) statement.recovery = ReadKeys(*recovery);
    statement.plan = ReadPlan(object["plan"]);
    object.End();
    if (statement.plan.tenant != tenant) throw MalformedJson{"the same tenant is wanted in plan.tenant"};
  }));
  if (const absl::Status legal = policy::ToStatus(policy::Validate(statement.plan)); !legal.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": ", legal.message()));
  }
  return statement;
}

absl::StatusOr<SignedPlan> Extend(const SignedPlan* head, absl::string_view envelope_json) {
  absl::StatusOr<trust::Envelope> envelope = trust::ParseEnvelope(envelope_json);
  if (!envelope.ok())
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": ", envelope.status().message()));
  if (envelope->payload_type != kPlanPayloadType) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, ": payloadType: wanted ", kPlanPayloadType));
  }
  SignedPlan next;
  ASSIGN_OR_RETURN(next.statement, ParsePlanPayload(envelope->payload));
  next.sha256 = Sha256(envelope->payload);
  next.envelope = std::string(envelope_json);
  const PlanStatement& wanted = next.statement;
  bool own_keys_sign = true;
  if (head == nullptr) {
    if (wanted.version != 1) {
      return absl::FailedPreconditionError(
          absl::StrCat(kForkWord, ": plan ", wanted.version, " of ", wanted.plan.tenant,
                       " came before the first; a chain begins with plan 1"));
    }
  } else {
    const PlanStatement& current = head->statement;
    if (wanted.plan.tenant != current.plan.tenant) {
      return absl::InvalidArgumentError(
          absl::StrCat(kWhat, ": is one of another tenant than ", current.plan.tenant));
    }
    if (next.sha256 == head->sha256) return absl::AlreadyExistsError("the plan is in force already");
    if (wanted.version > current.version + 1) return Forked(*head, wanted, "leaves a gap");
    if (wanted.version <= current.version) return Forked(*head, wanted, "is another than the one known");
    if (wanted.prev != head->sha256) return Forked(*head, wanted, "follows another plan");
    if (!IsSignedBy(*envelope, current.keys)) {
      next.recovered = IsSignedBy(*envelope, current.recovery);
      if (!next.recovered) {
        return absl::PermissionDeniedError(absl::StrCat(
            "plan ", wanted.version, " of ", wanted.plan.tenant, ": wanted signatures of ",
            current.keys.threshold, " of the ", current.keys.keys.size(), " keys that plan ", current.version,
            " names", current.recovery.keys.empty() ? "" : ", or of its recovery keys"));
      }
    }
    own_keys_sign = wanted.keys != current.keys || wanted.recovery != current.recovery;
  }
  if (own_keys_sign && !IsSignedBy(*envelope, wanted.keys)) {
    return absl::PermissionDeniedError(absl::StrCat(
        "plan ", wanted.version, " of ", wanted.plan.tenant, ": wanted signatures of ", wanted.keys.threshold,
        " of the ", wanted.keys.keys.size(), " keys that it names itself"));
  }
  return next;
}

bool IsFork(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) && absl::StartsWith(status.message(), kForkWord);
}

absl::Status CheckSigned(absl::string_view envelope_json, const PlanKeys& keys) {
  ASSIGN_OR_RETURN(const trust::Envelope envelope, trust::ParseEnvelope(envelope_json));
  return trust::VerifyEnvelope(envelope, Bytes(keys), keys.threshold);
}

std::string Authority(const SignedPlan* head) {
  if (head == nullptr) return kVendorManaged;
  const PlanStatement& statement = head->statement;
  return absl::StrCat("signed by the customer: plan ", statement.version, ", wants ",
                      statement.keys.threshold, " of ", statement.keys.keys.size(), " keys",
                      head->recovered ? " (the recovery keys stood in)" : "");
}

}  // namespace ringfence::plan
