// A PostgreSQL cluster of our own in a data folder: the embedded default when no database URL is given.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringfence/base/mutex.h"
#include "server/storage/postgres/child_process.h"

namespace ringfence::storage {

struct PrivateClusterOptions {
  // Everything lives here: data/, sock/, postgres.log. Made when missing. As root it is given to the user
  // `postgres`, who must be able to search every folder above it.
  std::string directory;
  std::string binaries;      // folder of postgres and initdb; empty: they are looked for
  bool unsafe_fast = false;  // no fsync: a crash of the *machine* loses the data. For tests only
  absl::Duration start_timeout = absl::Minutes(2);  // crash recovery included
};

// /var/lib/ringfence for root, $XDG_STATE_HOME/ringfence (~/.local/state/ringfence) for others.
std::string DefaultClusterDirectory();

// Runs the cluster as a child process, reachable by a unix socket only, and starts it again whenever it ends,
// with a back-off from 0.1 s to 10 s. The server ends with this process, however this process ends: a fast
// shutdown by signal. Thread-safe. All waiting is in real time: an operating system does not follow a scaled
// clock.
class PrivateCluster {
 public:
  // Makes the cluster if the folder has none, starts it, and returns when it accepts connections and the
  // database "ringfence" exists. FailedPrecondition when another process uses the folder. On an error nothing
  // keeps running.
  static absl::StatusOr<std::unique_ptr<PrivateCluster>> Start(const PrivateClusterOptions& options);

  ~PrivateCluster();  // stops
  PrivateCluster(const PrivateCluster&) = delete;
  PrivateCluster& operator=(const PrivateCluster&) = delete;

  // Fast shutdown, in order: open transactions are rolled back. Returns when the server has ended. May be
  // called twice.
  void Stop();

  // In libpq's keyword form.
  std::string ConnectionString(const std::string& database = "ringfence") const;
  // 0 while it is down.
  pid_t postmaster_pid();
  // How often it ended without being told to.
  int unexpected_ends();
  const std::string& log_path() const { return log_path_; }

 private:
  explicit PrivateCluster(const PrivateClusterOptions& options) : options_(options) {}

  absl::Status PrepareFolder();
  absl::Status ChooseSocketFolder();
  absl::Status InitialiseIfNew();
  absl::Status WaitForPredecessor();
  absl::Status WaitUntilReady();
  absl::Status EnsureDatabase();
  ChildSpec ServerSpec() const;
  void Supervise();
  std::string LogTail() const;

  const PrivateClusterOptions options_;
  std::optional<UserIds> user_;  // set when we are root
  std::string binaries_, data_, socket_folder_, log_path_;
  bool socket_folder_is_temporary_ = false;
  int lock_fd_ = -1;

  Mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool supervisor_ended_ ABSL_GUARDED_BY(mutex_) = false;
  pid_t pid_ ABSL_GUARDED_BY(mutex_) =
      0;  // not yet reaped, so that a signal cannot meet a stranger with the same number
  int unexpected_ends_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status spawn_status_ ABSL_GUARDED_BY(mutex_);
  // Forks the server and lives as long as this object, because the death signal follows the thread that
  // forked.
  std::thread supervisor_;
};

}  // namespace ringfence::storage
