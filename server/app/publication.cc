#include "server/app/publication.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/utf8.h"
#include "server/app/acts.h"
#include "server/app/app.h"

namespace ringfence::app {
namespace {

constexpr size_t kMostRefusalBytes = 1000;

}  // namespace

absl::Status PutFiles(storage::Transaction& tx, const std::vector<gate::VerifiedFile>& files,
                      absl::Time now) {
  for (const gate::VerifiedFile& file : files)
    RETURN_IF_ERROR(tx.PutTrustDocument({file.name, Sha256(file.bytes), file.bytes, now}));
  return absl::OkStatus();
}

absl::Status PutBytes(storage::Transaction& tx, const Publication& publication) {
  for (const auto& [digest, bytes] : publication.bytes) {
    const auto size = static_cast<int64_t>(bytes.size());
    for (int64_t chunk = 0; chunk * App::kChunkBytes < size; ++chunk) {
      RETURN_IF_ERROR(tx.PutArtifactChunk(
          digest, chunk, bytes.substr(static_cast<size_t>(chunk * App::kChunkBytes), App::kChunkBytes)));
    }
  }
  return absl::OkStatus();
}

absl::Status OnRecord(storage::Store& store, const Act& act, absl::Time now, const std::string& target,
                      absl::Status refused) {
  const std::optional<trust::Refusal> refusal = trust::RefusalFrom(refused);
  if (!refusal.has_value()) return refused;
  storage::AuditRow audit = AuditOf(act, now, "release.refused", target);
  audit.after = Legible(trust::ToString(*refusal), kMostRefusalBytes);
  store.ReadWrite([&](storage::Transaction& tx) { return tx.AppendAudit(audit); }).IgnoreError();
  return refused;
}

}  // namespace ringfence::app
