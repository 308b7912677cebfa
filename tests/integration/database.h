// A PostgreSQL of the test's own, and a way to it that can be cut.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "ringfence/base/mutex.h"
#include "server/storage/postgres/private_cluster.h"
#include "tests/support/postgres_door.h"

namespace ringfence::testing_support {

// May be stopped and started, or stunned, under the servers. Not thread-safe.
class Database {
 public:
  Database();
  ~Database();
  void Start();
  void Stop();
  // SIGSTOP to every one of its processes, and SIGCONT: it keeps its connections and answers nothing.
  void Stun();
  void WakeUp();
  const std::string& url() const { return url_; }
  const std::string& folder() const { return folder_; }

 private:
  void SignalAll(int signal);

  std::string folder_;
  std::string url_;
  std::unique_ptr<storage::PrivateCluster> cluster_;
};

// Passes everything on between servers and a database, until it is cut. Thread-safe.
class DatabaseProxy {
 public:
  explicit DatabaseProxy(const Database& database);
  ~DatabaseProxy();
  DatabaseProxy(const DatabaseProxy&) = delete;
  DatabaseProxy& operator=(const DatabaseProxy&) = delete;

  const std::string& url() const { return door_.url(); }

  // Ends every connection, and each new one at once, from the moment on when a server sends `text`, which
  // never arrives.
  void CutOffAt(const std::string& text);
  // Passes nothing on any more, and says nothing of it: connections stay open on both sides, as with a
  // network that has lost its way.
  void FallSilent();
  // Ends every connection; new ones work again.
  void Mend();
  bool is_cut() const;

 private:
  enum class Mode { kOpen, kCut, kSilent };
  struct Pair {
    int server, database;
  };
  void SetMode(Mode mode, const std::string& text);
  void Run();
  void Accept();
  bool Forward(int from, int to, bool to_database);  // false: the connection is over
  void CloseAll();
  Mode mode() const;

  PostgresDoor door_;
  int wake_[2] = {-1, -1};
  mutable Mutex mutex_;
  Mode mode_ ABSL_GUARDED_BY(mutex_) = Mode::kOpen;
  std::string cut_at_ ABSL_GUARDED_BY(mutex_);
  bool ends_all_ ABSL_GUARDED_BY(mutex_) = false;  // connections of before end
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Pair> pairs_;  // of the thread
  std::thread thread_;
};

}  // namespace ringfence::testing_support
