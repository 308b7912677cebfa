#include "server/storage/fenced_store.h"

#include "ringfence/base/status_macros.h"

namespace ringfence::storage {

absl::Status FencedStore::ReadWrite(absl::FunctionRef<absl::Status(Transaction&)> body) {
  return store_->ReadWrite([&](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(tx.CheckLeaderEpoch(epoch_));
    return body(tx);
  });
}

}  // namespace ringfence::storage
