// A way to PostgreSQL on which a server is killed: after so many of its statements nothing of it arrives any
// more.
#pragma once

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "ringfence/base/mutex.h"
#include "tests/support/postgres_door.h"

namespace ringfence::testing {

// What a database sees of a process that is killed are connections that end: in the middle of a transaction,
// or with a commit that nobody hears the answer of. Thread-safe.
class WireCut {
 public:
  // To the database of this URL, whose host is a folder with a socket (TestCluster's are).
  explicit WireCut(const std::string& url);
  ~WireCut();
  WireCut(const WireCut&) = delete;
  WireCut& operator=(const WireCut&) = delete;

  const std::string& url() const { return door_.url(); }

  enum class Last {
    kLost,     // the statement at which it happens does not arrive
    kArrives,  // it does, and its answer is lost
  };
  // Counts statements from now on (a COMMIT is one), over all connections; at the `statement`th, from 1, all
  // of them end, and new ones are refused.
  void CutAt(int statement, Last last);
  // New connections work again, nothing is counted.
  void Mend();
  // Since CutAt.
  int statements() const;
  bool is_cut() const;

 private:
  struct Connection {
    int client = -1, server = -1;
    bool greeted = false;  // the first message has no type
    std::string pending;   // the beginning of a message
  };
  void Run();
  void Accept();
  bool FromClient(Connection& connection);
  bool FromServer(Connection& connection);
  void CloseAll();
  void Wake();

  testing_support::PostgresDoor door_;
  int wake_[2] = {-1, -1};
  mutable Mutex mutex_;
  std::optional<int> cut_at_ ABSL_GUARDED_BY(mutex_);
  Last last_ ABSL_GUARDED_BY(mutex_) = Last::kLost;
  int statements_ ABSL_GUARDED_BY(mutex_) = 0;
  bool cut_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Connection> connections_;  // of the thread
  std::thread thread_;
};

}  // namespace ringfence::testing
