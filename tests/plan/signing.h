// Keys and signed documents to test with.
#pragma once

#include <string>
#include <vector>

#include "ringfence/plan/approval.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/trust/dsse.h"

namespace ringfence::plan {

inline trust::SigningKey KeyOf(char letter) {
  return *trust::SigningKey::FromSeed(std::string(32, letter));
}

inline PlanKeys KeysOf(const std::string& letters, int threshold = 1) {
  PlanKeys keys;
  for (const char letter : letters) keys.keys.push_back({KeyOf(letter).public_key(), std::string(1, letter)});
  keys.threshold = threshold;
  return keys;
}

inline std::string Seal(const char* type, std::string payload, const std::string& signers) {
  trust::Envelope envelope{type, std::move(payload), {}};
  for (const char letter : signers) trust::Sign(KeyOf(letter), &envelope);
  return trust::SerializeEnvelope(envelope);
}

inline std::string SealPlan(const PlanStatement& statement, const std::string& signers) {
  return Seal(kPlanPayloadType, PlanPayload(statement).value(), signers);
}

inline std::string SealApproval(const ApprovalStatement& statement, const std::string& signers) {
  return Seal(kApprovalPayloadType, ApprovalPayload(statement).value(), signers);
}

// The first of a chain.
inline PlanStatement FirstOf(policy::Plan plan, PlanKeys keys) {
  PlanStatement statement;
  statement.version = 1;
  statement.issued_at = absl::FromUnixSeconds(1'700'000'000);
  statement.keys = std::move(keys);
  statement.plan = std::move(plan);
  return statement;
}

// The next after `link`, with the same keys and plan.
inline PlanStatement NextAfter(const SignedPlan& link) {
  PlanStatement statement = link.statement;
  ++statement.version;
  statement.prev = link.sha256;
  return statement;
}

}  // namespace ringfence::plan
