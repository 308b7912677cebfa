// Brings a database's schema up to date.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/storage/postgres/options.h"

namespace ringfence::storage {

struct Migration {
  int number;  // from 1, without gaps
  const char* name;
  const char* sql;
};

// Those of migrations/*.sql, compiled in, in order.
absl::Span<const Migration> EmbeddedMigrations();

// Applies what is missing, in order, in one transaction under an advisory lock, so that replicas which start
// together do it once. Each is recorded with the sha256 of its text. FailedPrecondition, and nothing changed,
// when an applied one was edited since or the database is newer than this program.
absl::Status Migrate(const PostgresOptions& options, absl::Span<const Migration> migrations);

}  // namespace ringfence::storage
