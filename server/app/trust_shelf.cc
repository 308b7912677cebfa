#include "server/app/trust_shelf.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::app {
namespace {

constexpr size_t kHexDigits = 64;

absl::Status None(const std::string& file) {
  return absl::NotFoundError(absl::StrCat("name: the release repository has no ", file));
}

}  // namespace

TrustDocumentName ParseTrustDocumentName(absl::string_view file) {
  const size_t slash = file.rfind('/');
  const size_t start = slash == absl::string_view::npos ? 0 : slash + 1;
  const absl::string_view last = file.substr(start);
  if (last.size() > kHexDigits + 1 && last[kHexDigits] == '.') {
    const absl::StatusOr<Digest> digest = Digest::Parse(last.substr(0, kHexDigits));
    if (digest.ok()) return {absl::StrCat(file.substr(0, start), last.substr(kHexDigits + 1)), *digest};
  }
  return {std::string(file), std::nullopt};
}

absl::StatusOr<std::shared_ptr<const std::string>> TrustShelf::Get(const std::string& file) {
  int64_t forgotten = 0;
  {
    MutexLock lock(&mutex_);
    if (const auto found = files_.find(file); found != files_.end()) {
      if (found->second == nullptr) return None(file);
      return found->second;
    }
    forgotten = forgotten_;
  }
  const TrustDocumentName wanted = ParseTrustDocumentName(file);
  std::shared_ptr<const std::string> bytes;
  const absl::Status read = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    bytes = nullptr;
    absl::StatusOr<storage::TrustDocumentRow> row = tx.TrustDocument(wanted.name, wanted.sha256);
    if (absl::IsNotFound(row.status())) return absl::OkStatus();
    RETURN_IF_ERROR(row.status());
    bytes = std::make_shared<const std::string>(std::move(row->bytes));
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(read);
  {
    MutexLock lock(&mutex_);
    const size_t cost = file.size() + kBytesPerName + (bytes == nullptr ? 0 : bytes->size());
    if (forgotten == forgotten_ && !files_.contains(file)) {
      if (bytes_ + cost > kMostBytes) {
        files_.clear();
        bytes_ = 0;
      }
      files_.emplace(file, bytes);
      bytes_ += cost;
    }
  }
  if (bytes == nullptr) return None(file);
  return bytes;
}

void TrustShelf::Forget() {
  MutexLock lock(&mutex_);
  files_.clear();
  bytes_ = 0;
  ++forgotten_;
}

}  // namespace ringfence::app
