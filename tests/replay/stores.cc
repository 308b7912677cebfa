#include "stores.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/postgres_store.h"
#include "server/storage/postgres/private_cluster.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::replay {
namespace {

class MemoryStores final : public Stores {
 public:
  absl::StatusOr<std::unique_ptr<storage::Store>> Make() override { return storage::MakeMemoryStore(); }
};

class PostgresStores final : public Stores {
 public:
  absl::Status Start() {
    storage::PrivateClusterOptions options;
    options.directory = absl::StrCat(folder_.path(), "/pg");
    options.unsafe_fast = true;
    ASSIGN_OR_RETURN(cluster_, storage::PrivateCluster::Start(options));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<storage::Store>> Make() override {
    const std::string name = absl::StrCat("run_", ++count_);
    const std::string error =
        testing::Try(cluster_->ConnectionString("postgres"), absl::StrCat("CREATE DATABASE ", name));
    if (!error.empty()) return absl::UnavailableError(error);
    storage::PostgresOptions options;
    options.connection_string = cluster_->ConnectionString(name);
    return storage::OpenPostgresStore(options);
  }

 private:
  testing::TemporaryFolder folder_;
  std::unique_ptr<storage::PrivateCluster> cluster_;
  std::atomic<int> count_{0};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Stores>> Stores::Open(const std::string& kind) {
  if (kind == "memory") return std::make_unique<MemoryStores>();
  if (kind != "postgres") return absl::InvalidArgumentError(absl::StrCat("no store of that kind: ", kind));
  auto stores = std::make_unique<PostgresStores>();
  RETURN_IF_ERROR(stores->Start());
  return stores;
}

}  // namespace ringfence::replay
