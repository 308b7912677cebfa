#include "server/storage/postgres/migrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/storage/postgres/binaries.h"
#include "server/storage/postgres/postgres_store.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::storage {
namespace {

using ::ringfence::testing::Query;
using ::ringfence::testing::TestCluster;
using ::ringfence::testing::Try;

PostgresOptions At(const std::string& database) {
  PostgresOptions options;
  options.connection_string = database;
  return options;
}

// The schema as pg_dump prints it, without comments and without lines that hold a random word.
std::string Dump(const std::string& database) {
  const std::string pg_dump = absl::StrCat(FindPostgresBinaries("", "15").value(), "/pg_dump");
  const std::string command = absl::StrCat(pg_dump, " --schema-only --no-owner -d \"", database, "\"");
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t got; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), got);
  EXPECT_EQ(pclose(pipe), 0);
  std::string kept;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || absl::StartsWith(line, "--") || absl::StartsWith(line, "\\")) continue;
    absl::StrAppend(&kept, line, "\n");
  }
  return kept;
}

TEST(MigrationsTest, SchemaFileIsTheSumOfTheMigrations) {
  const std::string migrated = TestCluster::Get().NewEmptyDatabase();
  ASSERT_TRUE(Migrate(At(migrated), EmbeddedMigrations()).ok());
  const std::string by_hand = TestCluster::Get().NewEmptyDatabase();
  std::ostringstream schema;
  schema << std::ifstream("server/storage/postgres/schema.sql").rdbuf();
  Query(by_hand, schema.str());
  const std::string dump = Dump(migrated);
  EXPECT_THAT(dump, ::testing::HasSubstr("CREATE TABLE public.exposures"));
  EXPECT_EQ(dump, Dump(by_hand));
}

TEST(MigrationsTest, SecondRunChangesNothing) {
  const std::string database = TestCluster::Get().NewEmptyDatabase();
  ASSERT_TRUE(Migrate(At(database), EmbeddedMigrations()).ok());
  const auto applied = Query(database, "SELECT number, name, applied_at FROM schema_migrations ORDER BY 1");
  EXPECT_EQ(applied.size(), EmbeddedMigrations().size());
  ASSERT_TRUE(Migrate(At(database), EmbeddedMigrations()).ok());
  EXPECT_EQ(Query(database, "SELECT number, name, applied_at FROM schema_migrations ORDER BY 1"), applied);
}

TEST(MigrationsTest, ReplicasThatStartTogetherMigrateOnce) {
  const std::string database = TestCluster::Get().NewEmptyDatabase();
  std::vector<std::thread> replicas;
  for (int i = 0; i < 4; ++i) {
    replicas.emplace_back([&] {
      const absl::Status status = Migrate(At(database), EmbeddedMigrations());
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  for (std::thread& replica : replicas) replica.join();
  EXPECT_EQ(Query(database, "SELECT count(*) FROM schema_migrations")[0][0],
            absl::StrCat(EmbeddedMigrations().size()));
}

TEST(MigrationsTest, EditedMigrationIsRefusedAndChangesNothing) {
  const std::string database = TestCluster::Get().NewDatabase();
  std::vector<Migration> migrations(EmbeddedMigrations().begin(), EmbeddedMigrations().end());
  const std::string edited = absl::StrCat(migrations[1].sql, "\n-- harmless?\n");
  migrations[1].sql = edited.c_str();
  migrations.push_back({static_cast<int>(migrations.size()) + 1, "next", "CREATE TABLE never_made (a int)"});
  const absl::Status status = Migrate(At(database), migrations);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(migrations[1].name));
  EXPECT_EQ(Query(database, "SELECT to_regclass('never_made')")[0][0], "");
}

TEST(MigrationsTest, DatabaseOfANewerProgramIsRefused) {
  const std::string database = TestCluster::Get().NewDatabase();
  Query(database, "INSERT INTO schema_migrations (number, name, sha256) VALUES (99, 'later', sha256('x'))");
  EXPECT_EQ(OpenPostgresStore(At(database)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(MigrationsTest, FailingMigrationLeavesTheSchemaAsItWas) {
  const std::string database = TestCluster::Get().NewDatabase();
  const std::string before = Dump(database);
  std::vector<Migration> migrations(EmbeddedMigrations().begin(), EmbeddedMigrations().end());
  const int next = static_cast<int>(migrations.size()) + 1;
  migrations.push_back({next, "good", "CREATE TABLE half_made (a int)"});
  migrations.push_back({next + 1, "bad", "ALTER TABLE nowhere ADD b int"});
  EXPECT_FALSE(Migrate(At(database), migrations).ok());
  EXPECT_EQ(Dump(database), before);
  migrations.pop_back();
  EXPECT_TRUE(Migrate(At(database), migrations).ok());
  EXPECT_EQ(Query(database, "SELECT to_regclass('half_made')")[0][0], "half_made");
}

TEST(MigrationsTest, ADatabaseWithOneDigestInTwoChannelsIsRefusedByNameUntilItHoldsOne) {
  const std::string database = TestCluster::Get().NewEmptyDatabase();
  const auto all = EmbeddedMigrations();
  ASSERT_TRUE(Migrate(At(database), all.subspan(0, 4)).ok());
  for (const char* channel : {"content", "sensor"}) {
    Query(
        database,
        absl::StrCat("INSERT INTO releases (channel, serial, kind, version, digest, size_bytes, targets, "
                     "matrix, urgent, "
                     "published_at, state, published_by, rollout_secret, healthy_age) VALUES ('",
                     channel,
                     "', 7, 'content', '1', sha256('same'), 1, '[]', '[]', false, now(), 'published', 'rex', "
                     "'\\x00', '0')"));
  }
  const absl::Status refused = Migrate(At(database), all);
  EXPECT_THAT(std::string(refused.message()),
              ::testing::HasSubstr("releases content/7 and sensor/7 hold the same bytes"));
  Query(database, "DELETE FROM releases WHERE channel = 'sensor'");
  EXPECT_TRUE(Migrate(At(database), all).ok());
}

// Invariants 8 and 10: what was recorded cannot be taken back, not even with SQL.
TEST(MigrationsTest, RecordsRefuseEveryChange) {
  const std::string database = TestCluster::Get().NewDatabase();
  for (const char* table : {"decisions", "audit_entries", "plans", "signed_documents"}) {
    EXPECT_THAT(Try(database, absl::StrCat("DELETE FROM ", table)), ::testing::HasSubstr("append-only"));
    EXPECT_THAT(Try(database, absl::StrCat("TRUNCATE ", table)), ::testing::HasSubstr("append-only"));
  }
  EXPECT_THAT(Try(database, "UPDATE decisions SET why = ''"), ::testing::HasSubstr("append-only"));
  EXPECT_THAT(Try(database, "UPDATE audit_entries SET person = ''"), ::testing::HasSubstr("append-only"));
  EXPECT_THAT(Try(database, "UPDATE plans SET plan = '{}'"), ::testing::HasSubstr("append-only"));
  EXPECT_THAT(Try(database, "DELETE FROM exposures"), ::testing::HasSubstr("append-only"));
  EXPECT_THAT(Try(database, "TRUNCATE exposures"), ::testing::HasSubstr("append-only"));
}

}  // namespace
}  // namespace ringfence::storage
