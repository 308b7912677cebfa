#include "ringfence/policy/judge/replica_ledger.h"

#include <algorithm>
#include <utility>

namespace ringfence::policy {

bool ReplicaLedger::Publish(ReplicaSnapshot snapshot) {
  std::deque<ReplicaSnapshot>& kept = replicas_[snapshot.epoch].snapshots;
  if (!kept.empty()) {
    if (snapshot.version <= kept.back().version) return false;
    // A replica's own buckets complete in order: what was delivered stays delivered.
    snapshot.delivered = std::max(snapshot.delivered, kept.back().delivered);
    // Two snapshots of one index: the newer has the soak events that came meanwhile.
    if (snapshot.delivered == kept.back().delivered) kept.pop_back();
  }
  kept.push_back(std::move(snapshot));
  // A replica that lags by more buckets than these holds a halt back until it delivers or is declared dead.
  constexpr size_t kKept = 64;
  if (kept.size() > kKept) kept.pop_front();
  return true;
}

EvidenceTable ReplicaLedger::All() const {
  EvidenceTable sum(k_max_, rho0_);
  for (const auto& [epoch, replica] : replicas_) sum.Merge(replica.snapshots.back().all);
  return sum;
}

std::optional<uint64_t> ReplicaLedger::CommonIndex(absl::Span<const uint32_t> live) const {
  std::optional<uint64_t> common;
  for (const uint32_t epoch : live) {
    const auto it = replicas_.find(epoch);
    if (it == replicas_.end()) return std::nullopt;
    const uint64_t delivered = it->second.snapshots.back().delivered;
    common = std::min(common.value_or(delivered), delivered);
  }
  return common;
}

std::optional<EvidenceTable> ReplicaLedger::InOrder(absl::Span<const uint32_t> live) const {
  const std::optional<uint64_t> common = CommonIndex(live);
  if (!live.empty() && !common.has_value()) return std::nullopt;
  EvidenceTable sum(k_max_, rho0_);
  for (const auto& [epoch, replica] : replicas_) {
    // The newest snapshot that holds nothing beyond the common bucket.
    const auto& kept = replica.snapshots;
    const auto beyond = std::find_if(kept.begin(), kept.end(), [&](const ReplicaSnapshot& snapshot) {
      return common.has_value() && snapshot.delivered > *common;
    });
    if (beyond != kept.begin()) sum.Merge(std::prev(beyond)->in_order);
  }
  return sum;
}

HealthReading ReplicaLedger::Read(absl::Span<const uint32_t> live) const {
  GuardTable guard(k_max_, {});
  for (const auto& [epoch, replica] : replicas_) guard.Merge(replica.snapshots.back().guard);
  HealthReading reading;
  reading.m_r = All().M();
  if (std::optional<EvidenceTable> in_order = InOrder(live)) reading.m_r_in_order = in_order->M();
  reading.m_a = guard.M();
  return reading;
}

}  // namespace ringfence::policy
