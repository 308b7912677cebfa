#include "server/api/following.h"

#include "ringfence/base/status_macros.h"

namespace ringfence::api {

absl::Status Following::Look() {
  storage::LeaderRow found;
  const absl::Status read = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(found, tx.Leader());
    return absl::OkStatus();
  });
  if (read.ok()) leader_ = std::move(found);
  relay_->Follow(leader_);
  const absl::Status status = relay_->Probe();
  if (told_.has_value() && told_->ok() == status.ok()) return status;
  told_ = status;
  if (status.ok()) {
    log_->Info("follows", {{"leader", leader_->replica}, {"address", leader_->address}});
  } else {
    log_->Warning("no_leader", {{"status", status}});
  }
  return status;
}

}  // namespace ringfence::api
