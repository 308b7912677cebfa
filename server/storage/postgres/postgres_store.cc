#include "server/storage/postgres/postgres_store.h"

#include <chrono>
#include <thread>

#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/connection_pool.h"
#include "server/storage/postgres/migrations.h"
#include "server/storage/postgres/postgres_transaction.h"

namespace ringfence::storage {
namespace {

// How often a transaction that lost against another one is run again. Locks are taken in one order nearly
// everywhere, so even the second try is rare.
constexpr int kAttempts = 6;

class PostgresStore final : public Store {
 public:
  explicit PostgresStore(const PostgresOptions& options) : pool_(options) {}

  absl::Status ReadWrite(absl::FunctionRef<absl::Status(Transaction&)> body) override {
    bool repeats = false;
    for (int attempt = 1;; ++attempt) {
      bool lost = false;
      bool met_repeats = false;
      const absl::Status status = RunOnce(body, repeats, lost, met_repeats);
      if (met_repeats && !repeats) {
        repeats = true;
        continue;
      }
      if (!lost || attempt == kAttempts) return status;
      // Real time: the other transaction runs in it. Longer each time, so that two losers do not stay in
      // step.
      std::this_thread::sleep_for(std::chrono::milliseconds(attempt * attempt));
    }
  }

  absl::Status Ping() override {
    return ReadWrite([](Transaction& transaction) { return transaction.Setting("ping").status(); });
  }

 private:
  // Sets `lost` when the transaction must be run again because of another one, `met_repeats` when it must
  // because something is there already.
  absl::Status RunOnce(absl::FunctionRef<absl::Status(Transaction&)> body, bool repeats, bool& lost,
                       bool& met_repeats) {
    ASSIGN_OR_RETURN(ConnectionPool::Lease session, AcquireBegun());
    PostgresTransaction transaction(*session, repeats);
    absl::Status status = body(transaction);
    met_repeats = transaction.met_repeats();
    const absl::Status& spoilt = transaction.spoilt();
    // Aborted from the database itself, not the answer of a method to a stale revision: that one does not
    // spoil.
    lost = absl::IsAborted(spoilt);
    if (status.ok()) status = spoilt;
    if (!status.ok()) {
      session->RollBack();
      return status;
    }
    status = session->Commit();
    lost = absl::IsAborted(status);
    return status;
  }

  // A session with an open transaction. One that was idle may lead to a server that is gone: then nothing has
  // happened yet, and a new session tells whether the database can be reached.
  absl::StatusOr<ConnectionPool::Lease> AcquireBegun() {
    {
      ASSIGN_OR_RETURN(ConnectionPool::Lease session, pool_.Acquire());
      const absl::Status begun = session->Begin();
      if (begun.ok()) return session;
      if (!session.reused() || !absl::IsUnavailable(begun)) return begun;
    }
    pool_.DropIdle();
    ASSIGN_OR_RETURN(ConnectionPool::Lease session, pool_.Acquire());
    RETURN_IF_ERROR(session->Begin());
    return session;
  }

  ConnectionPool pool_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const PostgresOptions& options) {
  if (options.pool_size < 1) return absl::InvalidArgumentError("pool_size: at least 1 is wanted");
  if (options.migrate) RETURN_IF_ERROR(Migrate(options, EmbeddedMigrations()));
  std::unique_ptr<Store> store = std::make_unique<PostgresStore>(options);
  RETURN_IF_ERROR(store->Ping());
  return store;
}

}  // namespace ringfence::storage
