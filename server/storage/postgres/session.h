// One connection to PostgreSQL, and the border between libpqxx's exceptions and Status. Only the .cc files of
// this folder may include it: it shows pqxx types.
#pragma once

#include <functional>
#include <memory>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/postgres/options.h"
#include "server/storage/postgres/statements.h"
#include "server/storage/postgres/watchdog.h"

namespace ringfence::storage {

// Statuses: Unavailable: the database cannot be reached or cannot work now; nothing of the transaction
// remains. DeadlineExceeded: only from Commit; it may have happened. Aborted: lost against another
// transaction, run it again. InvalidArgument: a value that the schema refuses. AlreadyExists: a key that is
// taken. ResourceExhausted: a sequence has ended. Internal: a fault of ours.
//
// Not thread-safe. Once broken it stays broken: libpqxx 6 would silently open a new session without the locks
// and settings of the old one, and is forbidden to.
class Session {
 public:
  static absl::StatusOr<std::unique_ptr<Session>> Connect(const PostgresOptions& options, Watchdog& watchdog);
  ~Session();

  bool broken() const { return broken_; }
  int socket() const { return connection_->sock(); }

  // One transaction at a time. READ COMMITTED is the right level here: what must not change under us is
  // locked by name (brakes FOR SHARE or FOR UPDATE, the leader's row), and after waiting for such a lock a
  // READ COMMITTED statement sees the row as the other one committed it. A snapshot level would see the row
  // from before the halt, or fail.
  absl::Status Begin();
  absl::Status Commit();
  void RollBack();

  // Inside a transaction; prepares the statement at its first use here. Parameters are in text form; a zero
  // byte in one is InvalidArgument, since libpq would cut the text there.
  absl::StatusOr<pqxx::result> Run(const Statement& statement,
                                   const std::vector<std::string>& parameters = {});
  // The same with parameters in binary form (pg_binary.h).
  absl::StatusOr<pqxx::result> RunBinary(const Statement& statement,
                                         const std::vector<std::string>& parameters);
  // A migration: several statements in one text, without parameters.
  absl::Status RunScript(const std::string& script);

  // Notifications of `channel` go to `on_notice`, during Receive. Outside transactions.
  absl::Status Listen(const std::string& channel, std::function<void(const std::string& payload)> on_notice);
  // Takes in what has arrived on the socket; does not wait.
  absl::Status Receive();

 private:
  explicit Session(const PostgresOptions& options) : options_(options) {}
  template <typename F>
  absl::Status Guard(F call);

  const PostgresOptions options_;
  bool broken_ = false;
  std::unique_ptr<pqxx::connection> connection_;
  std::unique_ptr<pqxx::quiet_errorhandler> quiet_;
  std::unique_ptr<Watchdog::Watch> watch_;
  std::unique_ptr<pqxx::work> work_;
  std::vector<std::unique_ptr<pqxx::notification_receiver>> receivers_;
  std::set<const char*> prepared_;  // by the address of the name: statements are constants
};

// `text` with our time-outs and keepalives where it says nothing. InvalidArgument when libpq cannot read it.
absl::StatusOr<std::string> WithTimeouts(const PostgresOptions& options);

}  // namespace ringfence::storage
