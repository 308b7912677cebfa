// A publication that the gate found right, before the channel's history is asked and anything is stored.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/app/messages.h"
#include "server/storage/store.h"

namespace ringfence::app {

inline constexpr char kBypassWarning[] =
    "passing over rings was asked for: no release does, and the request is in the audit as bypass_denied";

struct Publication {
  policy::Release release;                                  // with published_at
  std::vector<std::pair<Digest, absl::string_view>> bytes;  // of each artifact
  std::vector<gate::VerifiedFile> files;                    // of the release repository
  std::vector<std::string> warnings;
};

// In the transaction of the publication.
absl::Status PutFiles(storage::Transaction& tx, const std::vector<gate::VerifiedFile>& files, absl::Time now);
absl::Status PutBytes(storage::Transaction& tx, const Publication& publication);

// Who tried to publish what, and why not: an attempt is on record as an act is. Gives `refused` back, whether
// or not it can be written down; writes nothing for a status that is no refusal.
absl::Status OnRecord(storage::Store& store, const Act& act, absl::Time now, const std::string& target,
                      absl::Status refused);

}  // namespace ringfence::app
