// The evidence of all replicas as one: the newest snapshot of each, added; for a halt only up to the bucket
// that every live replica has delivered. health-analysis.md, section 12.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "absl/types/span.h"
#include "ringfence/policy/judge/evidence_table.h"
#include "ringfence/policy/judge/guard_table.h"
#include "ringfence/policy/judge/release_judge.h"

namespace ringfence::policy {

// What a replica publishes of its judge. An epoch is never used by two lives of a replica.
struct ReplicaSnapshot {
  uint32_t epoch = 0;
  uint64_t version = 0;    // rising within an epoch
  uint64_t delivered = 0;  // index of the last bucket that `in_order` holds completely
  EvidenceTable in_order;
  EvidenceTable all;
  GuardTable guard;
};

// Not thread-safe.
class ReplicaLedger {
 public:
  ReplicaLedger(int64_t k_max, double rho0) : k_max_(k_max), rho0_(rho0) {}

  // Older versions of an epoch than the newest, and repeats, are ignored. False then.
  bool Publish(ReplicaSnapshot snapshot);

  // Everything published, dead epochs included (their rows are frozen, and count).
  EvidenceTable All() const;
  // The vectors for a halt, given the epochs that are alive by their heartbeats: up to the least bucket index
  // that they have all delivered. A live replica that has published nothing holds back everything: nullopt.
  std::optional<EvidenceTable> InOrder(absl::Span<const uint32_t> live) const;
  // M_R of both and M_A. Without a common index M_R in draw order is 1.
  HealthReading Read(absl::Span<const uint32_t> live) const;

 private:
  struct Replica {
    // Rising in version and in `delivered`; those below every later common index are dropped.
    std::deque<ReplicaSnapshot> snapshots;
  };
  std::optional<uint64_t> CommonIndex(absl::Span<const uint32_t> live) const;

  int64_t k_max_;
  double rho0_;
  std::map<uint32_t, Replica> replicas_;
};

}  // namespace ringfence::policy
