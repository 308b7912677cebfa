// A customer's plans as a chain of signed documents. Each link names the one before by its hash and is signed
// by keys that the one before names, so that nobody without those keys, the server included, can put another
// plan in force on a host that knows the first. docs/plans.md, "Signed plans".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/plan.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::plan {

inline constexpr char kPlanPayloadType[] = "application/vnd.ringfence.tenant-plan.v1+json";
inline constexpr size_t kMaxPlanKeys = 16;
// What every answer about a plan without keys says.
inline constexpr char kVendorManaged[] =
    "vendor-managed: no cryptographic veto (the server's word is all that holds this plan)";

struct PlanKey {
  trust::PublicKey key;
  std::string person;  // who holds it; may be empty
  friend bool operator==(const PlanKey&, const PlanKey&) = default;
};

// `threshold` different keys must sign. Empty, with threshold 0: there are none.
struct PlanKeys {
  std::vector<PlanKey> keys;  // each once, at most kMaxPlanKeys
  int threshold = 0;
  friend bool operator==(const PlanKeys&, const PlanKeys&) = default;
};

// What is signed.
struct PlanStatement {
  uint64_t version = 0;  // from 1, without gaps
  Digest prev;           // sha256 of the payload before; zero in the first
  absl::Time issued_at;  // by the signer's clock; for people
  PlanKeys keys;         // who may sign the next one
  PlanKeys recovery;     // who may stand in for them; optional
  policy::Plan plan;     // its tenant is the statement's
  friend bool operator==(const PlanStatement&, const PlanStatement&) = default;
};

// A link that was checked.
struct SignedPlan {
  PlanStatement statement;
  Digest sha256;           // of the payload
  std::string envelope;    // as it came
  bool recovered = false;  // the recovery keys stood in
};

// Canonical JSON: the payload to sign. InvalidArgument where a text is not UTF-8.
absl::StatusOr<std::string> PlanPayload(const PlanStatement& statement);
// InvalidArgument, naming what is wrong: not strict JSON, a member missing or unknown, keys that are none or
// stand twice, a threshold that they cannot meet, a plan that is not legal. Nothing is believed yet.
absl::StatusOr<PlanStatement> ParsePlanPayload(absl::string_view payload);

// The chain rule, the one for server and agent. `head` is the newest link, null before the first. A next link
// has the version after it, names its hash, is of the same tenant, and is signed by a threshold of the head's
// keys or of its recovery keys; and, where it names other keys than the head or is the first, by a threshold
// of its own. InvalidArgument: malformed, or another tenant. PermissionDenied: too few signatures.
// AlreadyExists: the head again. FailedPrecondition (see IsFork): a gap or a fork; the old plan stays.
absl::StatusOr<SignedPlan> Extend(const SignedPlan* head, absl::string_view envelope);

// Is it the refusal of a gap or a fork? Its message begins with kForkWord.
inline constexpr char kForkWord[] = "PLAN_FORK";
bool IsFork(const absl::Status& status);
// The same as the reason of an agent's report.
inline constexpr char kForkReason[] = "plan_fork";

// Which of the keys signed, at least `threshold` of them?
absl::Status CheckSigned(absl::string_view envelope, const PlanKeys& keys);

// "signed by the customer: plan 7, 1 of 2 keys"; kVendorManaged for null.
std::string Authority(const SignedPlan* head);

}  // namespace ringfence::plan
