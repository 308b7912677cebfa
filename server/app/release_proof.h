// What a release brought to the publish gate, kept beside its row: one setting for each release, and the
// documents themselves among the artifacts, by their sha256.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/app/messages.h"
#include "server/storage/store.h"

namespace ringfence::app {

// Stores the documents of the request and row.proof, which names them. In the transaction that inserts the
// release.
absl::Status KeepProof(storage::Transaction& tx, const storage::ReleaseRow& row,
                       const PublishRequest& request);

// Fills row.proof. A release without one was published before there were any: unsigned and unproven. DataLoss
// for a setting that is none of KeepProof's.
absl::Status ReadProof(storage::Transaction& tx, storage::ReleaseRow* row);

// The text of the setting, and back.
std::string PackProof(const storage::ReleaseProof& proof);
absl::StatusOr<storage::ReleaseProof> UnpackProof(absl::string_view text);

}  // namespace ringfence::app
