// A Store whose calls stand still on demand, as those of a database that hangs: it refuses nothing, it does
// not answer.
#pragma once

#include <condition_variable>

#include "ringfence/base/mutex.h"
#include "server/storage/store.h"

namespace ringfence::test {

// Thread-safe; the inner store sees one call at a time.
class GatedStore final : public storage::Store {
 public:
  enum class Gate {
    kOpen,
    kShutBefore,  // nothing of the transaction happens
    kShutAfter,   // it is committed, and nobody hears of it
    kHoldOne,     // the next one stands before, all others pass
  };
  explicit GatedStore(storage::Store* inner) : inner_(inner) {}

  void Set(Gate gate);
  // Returns when a call stands at the shut gate.
  void WaitForACall();

  absl::Status ReadWrite(absl::FunctionRef<absl::Status(storage::Transaction&)> body) override;
  absl::Status Ping() override;

 private:
  void Pass(Gate gate);

  storage::Store* const inner_;
  Mutex inner_mutex_;
  Mutex mutex_;
  std::condition_variable changed_;
  Gate gate_ ABSL_GUARDED_BY(mutex_) = Gate::kOpen;
  int standing_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ringfence::test
