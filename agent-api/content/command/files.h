// Whole files, bounded.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::content {

// ResourceExhausted if there are more than `most` bytes, of which no more are read; NotFound or Unknown if it
// cannot be read.
absl::StatusOr<std::string> ReadWhole(const std::string& path, size_t most);

// Writes to a draft beside it and renames, so that `path` is the old file or the new one.
absl::Status WriteWhole(const std::string& path, absl::string_view bytes);

}  // namespace ringfence::content
