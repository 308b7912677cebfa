// What the persons of a customer that signs its plans say of a release: yes or no, signed by plan keys.
// Server and agent keep the same book, and both ask it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/policy/host_eligibility.h"

namespace ringfence::plan {

inline constexpr char kApprovalPayloadType[] = "application/vnd.ringfence.tenant-approval.v1+json";

struct ApprovalStatement {
  uint64_t seq = 0;  // rises with each statement of the tenant, from 1
  std::string tenant;
  bool approve = false;
  std::string channel;
  uint64_t serial = 0;
  std::vector<Digest> digests;  // of the release's bytes, one for each platform; of a denial, empty: whatever
  std::vector<std::string> rings;                 // empty: every ring that asks
  absl::Time not_after = absl::InfiniteFuture();  // an approval counts before; a denial counts for good
  std::string reason;                             // for people
  // Of an approval: the age that it asks for instead of the ring's, in whole seconds; at most 365 days. It
  // counts in rings that let an approval shorten theirs.
  std::optional<absl::Duration> min_age{};
  friend bool operator==(const ApprovalStatement&, const ApprovalStatement&) = default;
};

absl::StatusOr<std::string> ApprovalPayload(const ApprovalStatement& statement);
// InvalidArgument, naming what is wrong. Nothing is believed yet.
absl::StatusOr<ApprovalStatement> ParseApprovalPayload(absl::string_view payload);

// What approvals in force ask for instead of a ring's least age, and until when.
struct Haste {
  absl::Duration min_age;
  absl::Time until = absl::InfiniteFuture();
};

// Everything that was said, in order. A value.
class ApprovalBook {
 public:
  // Takes in one statement. `chain` is not empty. InvalidArgument: malformed, or of another tenant.
  // FailedPrecondition: its seq is not above the last. PermissionDenied: an approval that a threshold of the
  // newest plan's keys did not sign, or a denial that no plan's keys of the chain signed.
  absl::Status Add(absl::string_view envelope, std::span<const SignedPlan> chain);
  // One that was taken in before, from our own memory: its seq must still rise, and whether it counts is
  // asked anew.
  absl::Status Recall(absl::string_view envelope, std::span<const SignedPlan> chain);
  // The chain grew. An approval counts while the newest plan's keys are those that signed it; a denial stays.
  void Recheck(std::span<const SignedPlan> chain);

  // A no for the ring, or for all, is a no for good. An approval of the ring, or of all, is a yes until it
  // ends.
  policy::Consent Of(absl::string_view channel, uint64_t serial, const Digest& digest, absl::string_view ring,
                     absl::Time now) const;
  // Of the approvals that make it a yes the one that asks for the least; nullopt: none asks, or it is no yes.
  std::optional<Haste> HasteOf(absl::string_view channel, uint64_t serial, const Digest& digest,
                               absl::string_view ring, absl::Time now) const;

  struct Entry {
    ApprovalStatement statement;
    std::string envelope;
    bool counts = true;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  uint64_t last_seq() const { return entries_.empty() ? 0 : entries_.back().statement.seq; }

 private:
  std::vector<Entry> entries_;  // rising in seq
};

}  // namespace ringfence::plan
