#include "server/app/notice_board.h"

#include <algorithm>

#include "ringfence/trust/dsse.h"

namespace ringfence::app {

std::optional<trust::HaltNotice> HaltOf(const storage::BrakeRow& row, const Digest& sha256) {
  if (row.halted_at == absl::InfinitePast() || row.scope.serial == 0) return std::nullopt;
  trust::HaltNotice notice;
  notice.seq = static_cast<uint64_t>(std::max<int64_t>(1, absl::ToUnixMicros(row.halted_at)));
  notice.scope = {sha256, row.scope.tenant, row.scope.ring};
  notice.halt_id = trust::HaltId(notice.scope, notice.seq);
  notice.channel = row.scope.channel;
  notice.serial = row.scope.serial;
  notice.reason = row.reason;
  notice.by = row.actor;
  notice.issued_at = absl::FromUnixMicros(static_cast<int64_t>(notice.seq));
  return notice;
}

void NoticeBoard::Clear() {
  MutexLock lock(&mutex_);
  entries_.clear();
  by_ring_.clear();
  any_ = any_of_ring_ = false;
}

void NoticeBoard::Put(const storage::BrakeRow& row, const policy::Release& release) {
  std::optional<trust::HaltNotice> notice = HaltOf(row, release.digest);
  if (!notice.has_value()) return;
  for (const policy::Artifact& artifact : release.artifacts) notice->artifacts.push_back(artifact.digest);
  MutexLock lock(&mutex_);
  seq_ = std::max(seq_.load(), notice->seq);
  if (key_ == nullptr) return;
  Entry& entry = entries_[row.scope];
  if (row.halted) {
    // Signed once: the brake's words change while its first person waits for a second.
    if (entry.halt.empty() || entry.seq != notice->seq) entry.halt = trust::SignHalt(*notice, *key_);
    entry.order.clear();
  } else {
    entry.halt.clear();
    entry.order.clear();
    const auto envelope = trust::ParseEnvelope(row.resume_order);
    const auto order = envelope.ok() ? trust::ReadOrder(*envelope) : envelope.status();
    if (order.ok()) {
      entry.order = row.resume_order;
      entry.not_after = order->not_after;
    }
  }
  entry.seq = notice->seq;
  if (entry.halt.empty() && entry.order.empty()) entries_.erase(row.scope);
  any_ = !entries_.empty();
  any_of_ring_ = std::any_of(entries_.begin(), entries_.end(), [](const auto& one) {
    return !one.first.ring.empty() && !one.second.halt.empty();
  });
  by_ring_.clear();
}

std::shared_ptr<const Notices> NoticeBoard::For(absl::string_view tenant, absl::string_view ring,
                                                absl::Time now) {
  if (!any_.load(std::memory_order_relaxed)) return nullptr;
  MutexLock lock(&mutex_);
  std::shared_ptr<const Notices>& known = by_ring_[{std::string(tenant), std::string(ring)}];
  if (known != nullptr) {
    const auto& orders = known->orders;
    const bool over = std::any_of(orders.begin(), orders.end(),
                                  [&](const Notices::Order& order) { return now >= order.not_after; });
    if (!over) return known;
  }
  auto notices = std::make_shared<Notices>();
  for (const auto& [scope, entry] : entries_) {
    if (!scope.tenant.empty() && scope.tenant != tenant) continue;
    if (!entry.halt.empty() && (scope.ring.empty() || scope.ring == ring))
      notices->halts.push_back({entry.seq, entry.halt, !scope.ring.empty()});
    if (!entry.order.empty() && now < entry.not_after)
      notices->orders.push_back({entry.not_after, entry.order});
  }
  std::sort(notices->halts.begin(), notices->halts.end(),
            [](const Notices::Halt& a, const Notices::Halt& b) { return a.seq < b.seq; });
  known = notices;
  return notices;
}

}  // namespace ringfence::app
