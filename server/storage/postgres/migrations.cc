#include "server/storage/postgres/migrations.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/advisory_locks.h"
#include "server/storage/postgres/pg_text.h"
#include "server/storage/postgres/session.h"

namespace ringfence::storage {
namespace {

absl::Status CheckApplied(const pqxx::result& applied, absl::Span<const Migration> migrations) {
  for (const pqxx::row& row : applied) {
    int number = 0;
    if (!absl::SimpleAtoi(row[0].c_str(), &number) || number < 1) {
      return absl::DataLossError("schema_migrations: unreadable number");
    }
    if (number > static_cast<int>(migrations.size())) {
      return absl::FailedPreconditionError(absl::StrCat("the database's schema has migration ", number, " (",
                                                        row[1].c_str(),
                                                        "), which this program does not know: run a newer "
                                                        "one"));
    }
    const Migration& migration = migrations[number - 1];
    if (row[2].c_str() != PgBytes(Sha256(migration.sql).raw())) {
      return absl::FailedPreconditionError(
          absl::StrCat("migration ", number, " (", migration.name,
                       ") was edited after it was applied: applied ones never "
                       "change, add a new one"));
    }
  }
  return absl::OkStatus();
}

absl::Status MigrateInTransaction(Session& session, absl::Span<const Migration> migrations) {
  RETURN_IF_ERROR(session.Run(statements::kMigrationLock, {absl::StrCat(kMigrationLockKey)}).status());
  RETURN_IF_ERROR(session.Run(statements::kMakeMigrationTable).status());
  ASSIGN_OR_RETURN(const pqxx::result applied, session.Run(statements::kAppliedMigrations));
  RETURN_IF_ERROR(CheckApplied(applied, migrations));
  for (const Migration& migration : migrations.subspan(applied.size())) {
    if (const absl::Status status = session.RunScript(migration.sql); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat("migration ", migration.number, " (", migration.name,
                                                      "): ", status.message()));
    }
    RETURN_IF_ERROR(session
                        .Run(statements::kRecordMigration, {absl::StrCat(migration.number), migration.name,
                                                            PgBytes(Sha256(migration.sql).raw())})
                        .status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Migrate(const PostgresOptions& options, absl::Span<const Migration> migrations) {
  Watchdog watchdog;
  ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, Session::Connect(options, watchdog));
  RETURN_IF_ERROR(session->Begin());
  const absl::Status status = MigrateInTransaction(*session, migrations);
  if (!status.ok()) {
    session->RollBack();
    return status;
  }
  return session->Commit();
}

}  // namespace ringfence::storage
