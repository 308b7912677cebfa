// The public keys of metadata, of the three kinds that TUF's specification names.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace ringfence::tuf {

// Immutable; copies share. Verify may be called from several threads.
class Key {
 public:
  // keytype and scheme as metadata has them: "ed25519" (public: 64 hex digits), "ecdsa" or
  // "ecdsa-sha2-nistp256" with scheme "ecdsa-sha2-nistp256" (PEM), "rsa" with scheme "rsassa-pss-sha256"
  // (PEM, 2048 to 8192 bits). Never fails: a key of another kind, or one that cannot be read, is not usable;
  // a role may list keys that this client does not know, they just do not count.
  static Key Parse(absl::string_view type, absl::string_view scheme, absl::string_view text);

  bool usable() const { return handle_ != nullptr; }
  // Equal exactly for the same key, whatever id, spelling or encoding it was given with; empty if not usable.
  const std::string& identity() const { return identity_; }
  // True exactly if `signature` (raw Ed25519, DER ECDSA, or RSA-PSS) is one of this key over `message`.
  bool Verify(absl::string_view message, absl::string_view signature) const;

 private:
  struct Handle;
  std::shared_ptr<const Handle> handle_;
  std::string identity_;
};

}  // namespace ringfence::tuf
