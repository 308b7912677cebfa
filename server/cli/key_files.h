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

// Whole or not at all; an empty path is the standard output. InvalidArgument if it cannot be written.
absl::Status WriteDocument(const World& world, const std::string& path, absl::string_view bytes);

}  // namespace ringfence::cli
