#include "tests/support/postgres_fixture.h"

#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "server/storage/postgres/migrations.h"
#include "server/storage/postgres/postgres_store.h"

// libpqxx 6.4 drops a result on the floor when the session breaks under a statement (2 KB, once per broken
// session).
extern "C" const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() {
  return "leak:libpqxx-6\n";
}

namespace ringfence::testing {
namespace {

constexpr char kTemplate[] = "schema_template";

void CheckOk(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "test PostgreSQL: %s\n", status.ToString().c_str());
  std::abort();
}

using PgSession = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using PgResult = std::unique_ptr<PGresult, decltype(&PQclear)>;

PgResult Execute(const std::string& connection_string, const std::string& sql, std::string& error) {
  const PgSession session(PQconnectdb(connection_string.c_str()), &PQfinish);
  PgResult result(PQexec(session.get(), sql.c_str()), &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) error = PQerrorMessage(session.get());
  return result;
}

storage::PrivateClusterOptions Options(const std::string& folder) {
  storage::PrivateClusterOptions options;
  options.directory = folder;
  options.unsafe_fast = true;
  return options;
}

}  // namespace

TemporaryFolder::TemporaryFolder() : path_("/var/tmp/ringfence-test-XXXXXX") {
  RF_CHECK(mkdtemp(path_.data()) != nullptr);
  std::filesystem::permissions(path_, std::filesystem::perms(0755));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestCluster& TestCluster::Get() {
  static TestCluster cluster;
  return cluster;
}

TestCluster::TestCluster() {
  auto cluster = storage::PrivateCluster::Start(Options(absl::StrCat(folder_.path(), "/pg")));
  CheckOk(cluster.status());
  cluster_ = *std::move(cluster);
  std::string error;
  Execute(cluster_->ConnectionString("postgres"), absl::StrCat("CREATE DATABASE ", kTemplate), error);
  RF_CHECK(error.empty());
  storage::PostgresOptions options;
  options.connection_string = cluster_->ConnectionString(kTemplate);
  CheckOk(storage::Migrate(options, storage::EmbeddedMigrations()));
}

std::string TestCluster::Create(const std::string& from_template) {
  static std::atomic<int> count = 0;
  const std::string name = absl::StrCat("test_", ++count);
  Query(cluster_->ConnectionString("postgres"),
        absl::StrCat("CREATE DATABASE ", name, " TEMPLATE ", from_template));
  return cluster_->ConnectionString(name);
}

std::string TestCluster::NewDatabase() {
  return Create(kTemplate);
}
std::string TestCluster::NewEmptyDatabase() {
  return Create("template0");
}

std::unique_ptr<storage::Store> NewPostgresStore() {
  storage::PostgresOptions options;
  options.connection_string = TestCluster::Get().NewDatabase();
  auto store = storage::OpenPostgresStore(options);
  CheckOk(store.status());
  return *std::move(store);
}

void CopyClusterTemplate(const std::string& to_folder) {
  static const TemporaryFolder folder;
  static const bool made = [] {
    CheckOk(storage::PrivateCluster::Start(Options(absl::StrCat(folder.path(), "/pg"))).status());
    return true;
  }();
  RF_CHECK(made);
  // Not std::filesystem: the owner must stay.
  RF_CHECK(std::system(absl::StrCat("cp -a '", folder.path(), "/pg' '", to_folder, "'").c_str()) == 0);
}

std::vector<std::vector<std::string>> Query(const std::string& connection_string, const std::string& sql) {
  std::string error;
  const PgResult result = Execute(connection_string, sql, error);
  if (!error.empty()) {
    std::fprintf(stderr, "test PostgreSQL: %s\n%s\n", error.c_str(), sql.c_str());
    std::abort();
  }
  std::vector<std::vector<std::string>> rows(PQntuples(result.get()));
  for (size_t row = 0; row < rows.size(); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      rows[row].push_back(PQgetvalue(result.get(), static_cast<int>(row), column));
    }
  }
  return rows;
}

std::string Try(const std::string& connection_string, const std::string& sql) {
  std::string error;
  Execute(connection_string, sql, error);
  return error;
}

}  // namespace ringfence::testing
