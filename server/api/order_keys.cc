#include "server/api/order_keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::api {
namespace {

absl::StatusOr<std::string> Read(const std::string& path, size_t most) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.good() && !file.eof()) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  if (bytes.size() > most) return absl::InvalidArgumentError(absl::StrCat(path, ": too large"));
  return bytes;
}

// A key that others may read is nobody's.
absl::StatusOr<std::shared_ptr<const trust::SigningKey>> ReadKey(const std::string& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0)
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  if ((about.st_mode & 077) != 0)
    return absl::InvalidArgumentError(absl::StrCat(path, ": others may read or write it: chmod 600"));
  ASSIGN_OR_RETURN(const std::string pem, Read(path, 4096));
  absl::StatusOr<trust::SigningKey> key = trust::SigningKey::FromPem(pem);
  if (!key.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", key.status().message()));
  return std::make_shared<const trust::SigningKey>(*std::move(key));
}

absl::Status CheckRole(const trust::SigningKey* key, const std::vector<trust::PublicKey>& role,
                       const char* name, const std::string& path) {
  if (key == nullptr || std::find(role.begin(), role.end(), key->public_key()) != role.end())
    return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, ": key ", key->public_key().KeyId().ToString(),
                                                    " is not one of the role ", name,
                                                    " in --authority: no host would believe it"));
}

}  // namespace

absl::StatusOr<OrderKeys> LoadOrderKeys(const std::string& director, const std::string& halt,
                                        const std::string& authority) {
  OrderKeys keys;
  if (!director.empty()) {
    ASSIGN_OR_RETURN(keys.director, ReadKey(director));
  }
  if (!halt.empty()) {
    ASSIGN_OR_RETURN(keys.halt, ReadKey(halt));
  }
  if (authority.empty()) return keys;
  ASSIGN_OR_RETURN(const std::string bytes, Read(authority, trust::kMaxTrustBytes));
  const absl::StatusOr<trust::TrustDocument> document = trust::ParseTrustDocument(bytes);
  if (!document.ok())
    return absl::InvalidArgumentError(absl::StrCat(authority, ": ", document.status().message()));
  trust::Authority believed = trust::Authority::From(*document);
  if (const absl::Status checked = believed.Check(); !checked.ok())
    return absl::FailedPreconditionError(absl::StrCat(authority, ": ", checked.message()));
  RETURN_IF_ERROR(CheckRole(keys.director.get(), believed.director, "director", director));
  RETURN_IF_ERROR(CheckRole(keys.halt.get(), believed.halt, "halt", halt));
  keys.authority = std::make_shared<const trust::Authority>(std::move(believed));
  return keys;
}

}  // namespace ringfence::api
