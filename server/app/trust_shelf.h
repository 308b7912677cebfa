// The release repository's files as agents ask for them, kept in memory: a publication makes every agent of a
// fleet ask for the same few.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"
#include "ringfence/base/mutex.h"
#include "server/storage/store.h"

namespace ringfence::app {

// What a file's name says: a target's may have the sha256 of the bytes before its last part.
struct TrustDocumentName {
  std::string name;  // as it is stored
  std::optional<Digest> sha256;

  friend bool operator==(const TrustDocumentName&, const TrustDocumentName&) = default;
};
TrustDocumentName ParseTrustDocumentName(absl::string_view file);

// Thread-safe. Right as long as nobody else stores documents: who does, says so with Forget.
class TrustShelf {
 public:
  explicit TrustShelf(storage::Store* store) : store_(store) {}

  // NotFound: there is none, which is remembered as well.
  absl::StatusOr<std::shared_ptr<const std::string>> Get(const std::string& file);
  void Forget();

 private:
  static constexpr size_t kMostBytes = 32 << 20;
  static constexpr size_t kBytesPerName = 1
                                          << 10;  // what a name costs, so that no flood of names fills memory

  storage::Store* const store_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const std::string>> files_ ABSL_GUARDED_BY(mutex_);  // null: none
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t forgotten_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ringfence::app
