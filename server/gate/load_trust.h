// Whom a server believes, from files: `ringfenced --trust-root FILE --sensors FILE`. docs/publishing.md shows
// them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/gate/gate.h"

namespace ringfence::gate {

// The root of a release repository, and the sensors whose inputs are registered (empty: none).
// InvalidArgument, naming file, line and key, for anything that is not understood; NotFound for a file that
// is not there. Nothing is believed in part: one fault, and there is no Trust.
absl::StatusOr<Trust> LoadTrust(const std::string& root, const std::string& sensors);

// Of the file of sensors alone, and every schema that it names, relative to its own folder.
absl::StatusOr<std::vector<RegisteredSensor>> LoadSensors(const std::string& path);

// An Ed25519 key: PEM, or a file of `ringfence-keys new-key` with the first line of `passphrase_path` (empty:
// none, for throwaway keys).
absl::StatusOr<trust::SigningKey> LoadTimestampKey(const std::string& path,
                                                   const std::string& passphrase_path);

}  // namespace ringfence::gate
