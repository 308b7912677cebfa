// Where PostgreSQL's programs are. Debian keeps them out of PATH, one folder per version.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::storage {

// The folder that holds `postgres` and `initdb`: `explicit_folder` if it is not empty; else, when `version`
// ("15") is not empty, that version's Debian folder if it exists (data made by one major version is read by
// no other); else a folder of PATH; else the highest /usr/lib/postgresql/*/bin. NotFound, saying which
// package to install, when there is none.
absl::StatusOr<std::string> FindPostgresBinaries(const std::string& explicit_folder,
                                                 absl::string_view version);

}  // namespace ringfence::storage
