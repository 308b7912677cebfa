// What hosts are told of halts, signed: notices while a halt is on, the order of two persons while it is
// good. Only what is in the store is posted: a halt that hosts keep must have a row that two persons can
// lift.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/base/mutex.h"
#include "ringfence/trust/ed25519.h"
#include "ringfence/trust/halt.h"
#include "server/app/messages.h"
#include "server/storage/rows.h"

namespace ringfence::app {

// The halt on a row of a release with these bytes; nullopt: none was ever on.
// `sha256`: the release's own; what of a set hosts have are its artifacts, which Put adds.
std::optional<trust::HaltNotice> HaltOf(const storage::BrakeRow& row, const Digest& sha256);

// Thread-safe.
class NoticeBoard {
 public:
  // Without a key nothing is posted; halts are counted all the same.
  explicit NoticeBoard(std::shared_ptr<const trust::SigningKey> key) : key_(std::move(key)) {}

  void Clear();
  // The row as it is in the store.
  void Put(const storage::BrakeRow& row, const policy::Release& release);

  // For the hosts of a ring; null: nothing. A halt of one ring goes to its hosts alone, for a host need not
  // know its ring; what takes it off goes to the whole tenant, for a host may have left the ring with it.
  // What is unchanged is the same object again.
  std::shared_ptr<const Notices> For(absl::string_view tenant, absl::string_view ring, absl::Time now);
  // False: For does not look at the ring.
  bool any_of_ring() const { return any_of_ring_.load(std::memory_order_relaxed); }
  // Of the newest halt that was ever put, whatever became of it; 0: none.
  uint64_t seq() const { return seq_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    uint64_t seq = 0;
    std::string halt;   // envelope; empty: lifted
    std::string order;  // envelope; empty: none that is complete
    absl::Time not_after;
  };

  const std::shared_ptr<const trust::SigningKey> key_;
  std::atomic<uint64_t> seq_{0};
  std::atomic<bool> any_{false}, any_of_ring_{false};
  Mutex mutex_;
  std::map<storage::Scope, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const Notices>> by_ring_
      ABSL_GUARDED_BY(mutex_);  // by tenant and ring
};

}  // namespace ringfence::app
