// Keys and signed documents as files, for commands that sign.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/trust/ed25519.h"
#include "server/cli/context.h"

namespace ringfence::cli {

// A private key, PEM. InvalidArgument names the file.
absl::StatusOr<trust::SigningKey> ReadSigningKey(const World& world, const std::string& path);

// A person's key: sealed, as `ringfence-keys new-key` makes it, or PEM. The passphrase is the first line of
// `passphrase_file`, or is asked for on the terminal. InvalidArgument names the file; PermissionDenied: it
// does not open.
absl::StatusOr<trust::SigningKey> ReadPersonsKey(const World& world, const std::string& path,
                                                 const std::string& passphrase_file);

// The public half of a key file of ringfence-keys, or a public key in PEM.
struct NamedKey {
  trust::PublicKey key;
  std::string person;  // empty: the file does not say
};
absl::StatusOr<NamedKey> ReadPublicKey(const World& world, const std::string& path);

// Whole or not at all; an empty path is the standard output. InvalidArgument if it cannot be written.
absl::Status WriteDocument(const World& world, const std::string& path, absl::string_view bytes);

}  // namespace ringfence::cli
