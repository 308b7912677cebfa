#include "server/api/replica_key.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"

namespace ringfence::api {
namespace {

constexpr size_t kSecretBytes = 32;

}  // namespace

std::string ShowReplicaKey(int64_t epoch, absl::string_view secret) {
  return absl::StrCat(epoch, ".", absl::BytesToHexString(secret));
}

void ReplicaKey::Lead(int64_t epoch, absl::string_view secret) {
  RF_CHECK(secret.size() == kSecretBytes);
  MutexLock lock(&mutex_);
  key_ = ShowReplicaKey(epoch, secret);
}

absl::Status ReplicaKey::Check(absl::string_view shown) const {
  std::string key;
  {
    MutexLock lock(&mutex_);
    key = key_;
  }
  if (key.empty()) return absl::UnavailableError("this replica does not lead, or does not lead yet");
  // Of equal length, whatever was shown; and what differs tells nothing about the key.
  const Digest wanted = Sha256(key);
  const Digest found = Sha256(shown);
  unsigned char differs = 0;
  for (size_t i = 0; i < wanted.raw().size(); ++i)
    differs |= static_cast<unsigned char>(wanted.raw()[i] ^ found.raw()[i]);
  if (differs == 0) return absl::OkStatus();
  return absl::UnauthenticatedError("the forward does not show the secret of the leader's epoch");
}

}  // namespace ringfence::api
