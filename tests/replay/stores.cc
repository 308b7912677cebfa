#include "stores.h"

#include "absl/strings/str_cat.h"

namespace ringfence::replay {
namespace {

class MemoryStores final : public Stores {
 public:
  absl::StatusOr<std::unique_ptr<storage::Store>> Make() override { return storage::MakeMemoryStore(); }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Stores>> Stores::Open(const std::string& kind) {
  if (kind == "memory") return std::make_unique<MemoryStores>();
  return absl::UnimplementedError(absl::StrCat("no store of that kind: ", kind));
}

}  // namespace ringfence::replay
