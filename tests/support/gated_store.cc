#include "tests/support/gated_store.h"

namespace ringfence::test {

void GatedStore::Set(Gate gate) {
  {
    MutexLock lock(&mutex_);
    gate_ = gate;
  }
  changed_.notify_all();
}

void GatedStore::WaitForACall() {
  MutexLock lock(&mutex_);
  while (standing_ == 0) changed_.wait(lock.native());
}

void GatedStore::Pass(Gate gate) {
  MutexLock lock(&mutex_);
  if (gate_ == Gate::kHoldOne && gate == Gate::kShutBefore && standing_ == 0) gate = Gate::kHoldOne;
  if (gate_ != gate) return;
  ++standing_;
  changed_.notify_all();
  while (gate_ == gate) changed_.wait(lock.native());
  --standing_;
}

absl::Status GatedStore::ReadWrite(absl::FunctionRef<absl::Status(storage::Transaction&)> body) {
  Pass(Gate::kShutBefore);
  absl::Status status;
  {
    MutexLock one_at_a_time(&inner_mutex_);
    status = inner_->ReadWrite(body);
  }
  Pass(Gate::kShutAfter);
  return status;
}

absl::Status GatedStore::Ping() {
  Pass(Gate::kShutBefore);
  MutexLock one_at_a_time(&inner_mutex_);
  return inner_->Ping();
}

}  // namespace ringfence::test
