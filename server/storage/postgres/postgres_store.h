// The Store on PostgreSQL. No pqxx in sight.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/storage/postgres/options.h"
#include "server/storage/store.h"

namespace ringfence::storage {

// Brings the schema up to date (unless told not to) and returns the store. Unavailable: the database cannot
// be reached now. FailedPrecondition: its schema is newer than this program, or was tampered with.
// InvalidArgument: the connection string.
absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const PostgresOptions& options);

}  // namespace ringfence::storage
