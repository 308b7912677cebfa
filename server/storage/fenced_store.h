// A Store whose every transaction commits only while its owner leads.
#pragma once

#include <atomic>

#include "server/storage/store.h"

namespace ringfence::storage {

// Thread-safe. Aborted, and nothing committed, once another replica has taken over.
class FencedStore final : public Store {
 public:
  // `store` outlives it; `epoch` is of the owner's leadership.
  FencedStore(Store* store, int64_t epoch) : store_(store), epoch_(epoch) {}

  // The owner leads under a new epoch now, without anybody in between.
  void SetEpoch(int64_t epoch) { epoch_ = epoch; }
  int64_t epoch() const { return epoch_; }

  absl::Status ReadWrite(absl::FunctionRef<absl::Status(Transaction&)> body) override;
  absl::Status Ping() override { return store_->Ping(); }

 private:
  Store* const store_;
  std::atomic<int64_t> epoch_;
};

}  // namespace ringfence::storage
