#include "server/cli/key_files.h"

#include <cstdio>
#include <fstream>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/cli/human.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxKeyBytes = 4096;

}  // namespace

absl::StatusOr<trust::SigningKey> ReadSigningKey(const World& world, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(world, path, kMaxKeyBytes));
  absl::StatusOr<trust::SigningKey> key = trust::SigningKey::FromPem(pem);
  if (!key.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", key.status().message()));
  return key;
}

absl::Status WriteDocument(const World& world, const std::string& path, absl::string_view bytes) {
  if (path.empty()) {
    *world.out << bytes << "\n";
    return absl::OkStatus();
  }
  const std::string draft = path + ".draft";
  std::ofstream file(draft, std::ios::binary | std::ios::trunc);
  file << bytes << "\n";
  file.close();
  if (file.good() && std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  std::remove(draft.c_str());
  return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be written"));
}

}  // namespace ringfence::cli
