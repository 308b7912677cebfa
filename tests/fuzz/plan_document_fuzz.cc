// Any bytes as a signed plan, and as a signed decision. The first byte chooses: an envelope as it is; a plan,
// or a decision, which is then sealed by a trusted key, so that what stands behind the signature is reached.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringfence/base/check.h"
#include "ringfence/plan/approval.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/trust/dsse.h"
#include "tests/fuzz/json_mutator.h"

namespace ringfence::plan {
namespace {

const trust::SigningKey& Key() {
  static const trust::SigningKey key = *trust::SigningKey::FromSeed(std::string(32, 'a'));
  return key;
}

std::string Sealed(const char* type, const std::string& payload) {
  trust::Envelope envelope{type, payload, {}};
  trust::Sign(Key(), &envelope);
  return trust::SerializeEnvelope(envelope);
}

// The head of a chain whose keys are ours.
const SignedPlan& Head() {
  static const SignedPlan head = [] {
    PlanStatement statement;
    statement.version = 1;
    statement.issued_at = absl::FromUnixSeconds(1'700'000'000);
    statement.keys = {{{Key().public_key(), "a"}}, 1};
    statement.plan.tenant = "acme";
    statement.plan.channels.resize(1);
    statement.plan.channels[0].channel = "content";
    policy::Ring ring;
    ring.name = "all";
    ring.waves = {{policy::Ppm(policy::Ppm::kWhole), {}}};
    statement.plan.rings = {ring};
    return *Extend(nullptr, Sealed(kPlanPayloadType, *PlanPayload(statement)));
  }();
  return head;
}

// What is taken in follows the head and is legal; what is not, is refused with words.
void TryAsNext(const std::string& envelope) {
  const absl::StatusOr<SignedPlan> next = Extend(&Head(), envelope);
  if (!next.ok()) {
    RF_CHECK(!next.status().message().empty());
    return;
  }
  RF_CHECK(next->statement.version == 2 && next->statement.prev == Head().sha256);
  RF_CHECK(policy::Validate(next->statement.plan).empty());
}

void TryAsFirst(const std::string& envelope) {
  const absl::StatusOr<SignedPlan> first = Extend(nullptr, envelope);
  RF_CHECK(!first.ok() || first->statement.version == 1);
}

void FuzzEnvelope(const std::string& bytes) {
  TryAsFirst(bytes);
  TryAsNext(bytes);
  ApprovalBook book;
  RF_CHECK(!book.Add(bytes, {&Head(), 1}).ok() || book.last_seq() > 0);
}

void FuzzPlan(const std::string& bytes) {
  const absl::StatusOr<PlanStatement> parsed = ParsePlanPayload(bytes);
  if (parsed.ok()) {
    const absl::StatusOr<std::string> again = PlanPayload(*parsed);
    RF_CHECK(again.ok());
    RF_CHECK(*ParsePlanPayload(*again) == *parsed);
  }
  TryAsFirst(Sealed(kPlanPayloadType, bytes));
  TryAsNext(Sealed(kPlanPayloadType, bytes));
}

void FuzzDecision(const std::string& bytes) {
  const absl::StatusOr<ApprovalStatement> parsed = ParseApprovalPayload(bytes);
  if (parsed.ok()) RF_CHECK(*ParseApprovalPayload(*ApprovalPayload(*parsed)) == *parsed);
  ApprovalBook book;
  if (!book.Add(Sealed(kApprovalPayloadType, bytes), {&Head(), 1}).ok()) return;
  RF_CHECK(parsed.ok() && parsed->tenant == "acme");
}

}  // namespace
}  // namespace ringfence::plan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      ringfence::plan::FuzzEnvelope(bytes);
      break;
    case 1:
      ringfence::plan::FuzzPlan(bytes);
      break;
    default:
      ringfence::plan::FuzzDecision(bytes);
  }
  return 0;
}

#ifdef RINGFENCE_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  return ringfence::fuzz::MutateChoiceAndJson(data, size, max_size, seed);
}
#endif
