// What only a real database does: it goes away, hangs, deadlocks, refuses values.
#include "server/storage/postgres/postgres_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/storage/postgres/session.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using ::ringfence::testing::Query;
using ::ringfence::testing::TestCluster;

class PostgresStoreTest : public ::testing::Test {
 protected:
  PostgresStoreTest() : url_(TestCluster::Get().NewDatabase()) {}

  std::unique_ptr<Store> Open(PostgresOptions options = {}) {
    options.connection_string = url_;
    auto store = OpenPostgresStore(options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  // Process ids of the server's backends that serve the store.
  std::vector<pid_t> Backends() {
    std::vector<pid_t> pids;
    for (const auto& row : Query(url_,
                                 "SELECT pid FROM pg_stat_activity WHERE application_name = 'ringfence' AND "
                                 "datname = current_database()")) {
      int pid = 0;
      EXPECT_TRUE(absl::SimpleAtoi(row[0], &pid));
      pids.push_back(pid);
    }
    return pids;
  }
  void TerminateBackends() {
    Query(
        url_,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'ringfence' "
        "AND datname = current_database()");
  }
  static absl::Status Put(Store& store, const std::string& name, const std::string& value) {
    return store.ReadWrite([&](Transaction& tx) { return tx.PutSetting(name, value); });
  }
  static std::string Get(Store& store, const std::string& name) {
    std::string value;
    EXPECT_TRUE(store
                    .ReadWrite([&](Transaction& tx) {
                      value = tx.Setting(name).value().value_or("(unset)");
                      return absl::OkStatus();
                    })
                    .ok());
    return value;
  }

  const std::string url_;
};

// Impatient enough for a test, patient enough for a busy machine.
PostgresOptions Impatient() {
  PostgresOptions options;
  options.statement_timeout = absl::Seconds(2);
  options.answer_patience = absl::Milliseconds(500);
  return options;
}

TEST_F(PostgresStoreTest, DatabaseThatIsNotThereIsUnavailable) {
  PostgresOptions options;
  options.connection_string = "host=/nonexistent dbname=x";
  EXPECT_EQ(OpenPostgresStore(options).status().code(), absl::StatusCode::kUnavailable);
  options.connection_string = "postgresql://user@[bad";
  EXPECT_EQ(OpenPostgresStore(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PostgresStoreTest, SessionsThatDiedWhileIdleAreReplacedUnnoticed) {
  const auto store = Open();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Put(*store, "round", absl::StrCat(round)).ok());
    TerminateBackends();
    EXPECT_EQ(Get(*store, "round"), absl::StrCat(round));
  }
}

TEST_F(PostgresStoreTest, SessionThatDiesInATransactionLeavesNothing) {
  const auto store = Open();
  const absl::Status status = store->ReadWrite([&](Transaction& tx) -> absl::Status {
    EXPECT_TRUE(tx.PutSetting("a", "1").ok());
    TerminateBackends();
    EXPECT_EQ(tx.PutSetting("b", "2").code(), absl::StatusCode::kUnavailable);
    return absl::OkStatus();  // a body that forgets to return the error
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Get(*store, "a"), "(unset)");
}

// Invariant 9: a server that cannot write says so, and goes on by itself when the database is back.
TEST_F(PostgresStoreTest, StoppedDatabaseIsUnavailableUntilItIsBack) {
  testing::TemporaryFolder folder;
  const std::string pg = absl::StrCat(folder.path(), "/pg");
  testing::CopyClusterTemplate(pg);
  PrivateClusterOptions cluster_options;
  cluster_options.directory = pg;
  cluster_options.unsafe_fast = true;
  auto cluster = PrivateCluster::Start(cluster_options).value();
  PostgresOptions options;
  options.connection_string = cluster->ConnectionString();
  const auto store = OpenPostgresStore(options).value();
  ASSERT_TRUE(Put(*store, "kept", "yes").ok());
  cluster.reset();
  EXPECT_EQ(Put(*store, "kept", "no").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store->Ping().code(), absl::StatusCode::kUnavailable);
  cluster = PrivateCluster::Start(cluster_options).value();
  EXPECT_TRUE(store->Ping().ok());
  EXPECT_EQ(Get(*store, "kept"), "yes");
}

// A stopped process keeps its connections open and answers nothing: statement_timeout is its own promise, and
// not kept.
TEST_F(PostgresStoreTest, HungServerDoesNotHangTheCaller) {
  const auto store = Open(Impatient());
  std::vector<pid_t> hung;
  const absl::Status status = store->ReadWrite([&](Transaction& tx) -> absl::Status {
    EXPECT_TRUE(tx.PutSetting("a", "1").ok());
    hung = Backends();
    for (const pid_t pid : hung) kill(pid, SIGSTOP);
    return tx.PutSetting("b", "2");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  for (const pid_t pid : hung) kill(pid, SIGCONT);
  EXPECT_EQ(Get(*store, "a"), "(unset)");
}

TEST_F(PostgresStoreTest, CommitWithoutAnAnswerIsInDoubt) {
  const auto store = Open(Impatient());
  std::vector<pid_t> hung;
  const absl::Status status = store->ReadWrite([&](Transaction& tx) {
    const absl::Status put = tx.PutSetting("a", "1");
    hung = Backends();
    for (const pid_t pid : hung) kill(pid, SIGSTOP);
    return put;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  for (const pid_t pid : hung) kill(pid, SIGCONT);
  // The same call again is the answer to doubt.
  EXPECT_TRUE(Put(*store, "a", "1").ok());
  EXPECT_EQ(Get(*store, "a"), "1");
}

TEST_F(PostgresStoreTest, LongStatementIsEndedByTheServer) {
  const auto store = Open();
  const absl::Status status = store->ReadWrite([&](Transaction& tx) -> absl::Status {
    EXPECT_TRUE(tx.LockBrake({}).ok());
    // Waits for the lock that this very transaction holds.
    PostgresOptions impatient = Impatient();
    impatient.connection_string = url_;
    const auto third = OpenPostgresStore(impatient).value();
    EXPECT_EQ(third->ReadWrite([](Transaction& inner) { return inner.LockBrake({}).status(); }).code(),
              absl::StatusCode::kUnavailable);
    return absl::CancelledError("");
  });
  EXPECT_FALSE(status.ok());
}

TEST_F(PostgresStoreTest, DeadlockIsRunAgainUntilBothCommit) {
  const auto store = Open();
  const Scope a{.tenant = "a", .channel = "", .serial = 0, .ring = ""};
  const Scope b{.tenant = "b", .channel = "", .serial = 0, .ring = ""};
  ASSERT_TRUE(store->ReadWrite([&](Transaction& tx) { return tx.EnsureBrakes({a, b}); }).ok());
  std::promise<void> first_has_a, second_has_b;
  std::atomic<int> runs = 0;
  const auto lock_both = [&](const Scope& first, const Scope& second, std::promise<void>& mine,
                             std::promise<void>& other) {
    bool announced = false;
    return store->ReadWrite([&](Transaction& tx) -> absl::Status {
      ++runs;
      if (absl::Status status = tx.LockBrake(first).status(); !status.ok()) return status;
      if (!announced) {
        announced = true;
        mine.set_value();
        other.get_future().wait();
      }
      return tx.LockBrake(second).status();
    });
  };
  absl::Status second_status;
  std::thread second([&] { second_status = lock_both(b, a, second_has_b, first_has_a); });
  const absl::Status first_status = lock_both(a, b, first_has_a, second_has_b);
  second.join();
  EXPECT_TRUE(first_status.ok()) << first_status;
  EXPECT_TRUE(second_status.ok()) << second_status;
  EXPECT_EQ(runs, 3) << "one of them was run again";
}

// Two batches that hand a brake over to each other without a gap, as those of several busy replicas do: each
// keeps it until the other has it too, or until it is plain that the other has to wait. Row locks alone would
// let them go on for ever.
TEST_F(PostgresStoreTest, HaltIsNotStarvedByBatchesThatOverlap) {
  const auto store = Open(Impatient());
  const Scope scope{.tenant = "", .channel = "content", .serial = 9, .ring = ""};
  ASSERT_TRUE(store->ReadWrite([&](Transaction& tx) { return tx.EnsureBrakes({scope}); }).ok());
  Mutex mutex;
  std::condition_variable changed;
  int64_t batches = 0;
  bool stopped = false;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&] {
      for (bool stops = false; !stops;) {
        const absl::Status status = store->ReadWrite([&](Transaction& tx) -> absl::Status {
          const auto brakes = tx.LockBrakesShared({scope});
          if (!brakes.ok()) return brakes.status();
          MutexLock lock(&mutex);
          stops = brakes->at(0).Stops() || stopped;
          const int64_t mine = ++batches;
          changed.notify_all();
          changed.wait_for(lock.native(), std::chrono::milliseconds(50),
                           [&] { return batches > mine || stopped; });
          return absl::OkStatus();
        });
        EXPECT_TRUE(status.ok()) << status;
      }
    });
  }
  {
    MutexLock lock(&mutex);
    changed.wait(lock.native(), [&] { return batches > 10; });
  }
  const absl::Status halted = store->ReadWrite([&](Transaction& tx) -> absl::Status {
    absl::StatusOr<BrakeRow> brake = tx.LockBrake(scope);
    if (!brake.ok()) return brake.status();
    ++brake->epoch;
    brake->halted = true;
    return tx.PutBrake(*brake);
  });
  EXPECT_TRUE(halted.ok()) << halted;
  {
    MutexLock lock(&mutex);
    stopped = true;
    changed.notify_all();
  }
  for (std::thread& writer : writers) writer.join();
}

TEST_F(PostgresStoreTest, MoreCallersThanSessionsAllGetTheirTurn) {
  PostgresOptions options;
  options.pool_size = 2;
  const auto store = Open(options);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 5; ++i) EXPECT_TRUE(Put(*store, absl::StrCat(caller), absl::StrCat(i)).ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(Backends().size(), 2u);
  for (int caller = 0; caller < 8; ++caller) EXPECT_EQ(Get(*store, absl::StrCat(caller)), "4");
}

TEST_F(PostgresStoreTest, TextThatTheDatabaseCannotHoldIsRefusedWhole) {
  const auto store = Open();
  for (const std::string& bad : {std::string("a\0b", 3), std::string("\xff"), std::string("\xed\xa0\x80")}) {
    EXPECT_EQ(store
                  ->ReadWrite([&](Transaction& tx) -> absl::Status {
                    EXPECT_TRUE(tx.PutSetting("good", "1").ok());
                    return tx.PutSetting("bad", bad);
                  })
                  .code(),
              absl::StatusCode::kInvalidArgument);
    AgentRow agent;
    agent.tenant = "acme";
    agent.boot_id = bad;
    EXPECT_EQ(store->ReadWrite([&](Transaction& tx) { return tx.PutAgents({agent}); }).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Get(*store, "good"), "(unset)");
}

// A statement that fails leaves a transaction whose COMMIT quietly rolls back: ok must not be the answer.
TEST_F(PostgresStoreTest, SwallowedErrorDoesNotLookLikeACommit) {
  const auto store = Open();
  const absl::Status status = store->ReadWrite([](Transaction& tx) {
    EXPECT_TRUE(tx.PutSetting("good", "1").ok());
    EXPECT_FALSE(tx.PutSetting("bad", "\xff").ok());
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PostgresStoreTest, ValueThatTheSchemaRefusesIsInvalid) {
  const auto store = Open();
  ExposureRow exposure;
  exposure.tenant = "acme";
  exposure.channel = "content";
  exposure.serial = 0;  // serials start at 1
  EXPECT_EQ(store->ReadWrite([&](Transaction& tx) { return tx.InsertExposures({exposure}); }).code(),
            absl::StatusCode::kInvalidArgument);
  DecisionRow decision;
  decision.action = "halt";
  decision.rule = "test_r";
  decision.evidence = "{not json";
  EXPECT_EQ(store->ReadWrite([&](Transaction& tx) { return tx.AppendDecision(decision).status(); }).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PostgresStoreTest, SessionReadsTimesWhateverTheDatabasesDefaults) {
  Query(url_,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET intervalstyle = ''iso_8601''', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database()); END $$");
  const auto store = Open();
  AuditRow audit;
  audit.at = kNow;
  audit.act = "plan.apply";
  ASSERT_TRUE(store->ReadWrite([&](Transaction& tx) { return tx.AppendAudit(audit); }).ok());
  ASSERT_TRUE(store
                  ->ReadWrite([&](Transaction& tx) {
                    EXPECT_EQ(tx.Audit({}).value().at(0).at, kNow);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST(ConnectionStringTest, KeepsWhatItSaysAndAddsPatience) {
  PostgresOptions options;
  options.connection_string =
      "postgresql://u:p%27w@one:5433,two/"
      "db?target_session_attrs=read-write&keepalives_idle=77&connect_timeout=9";
  const std::string text = WithTimeouts(options).value();
  for (const char* part :
       {"host='one,two'", "port='5433,", "password='p\\'w'", "target_session_attrs='read-write'",
        "keepalives_idle='77'", "connect_timeout='9'", "tcp_user_timeout='20000'"}) {
    EXPECT_THAT(text, ::testing::HasSubstr(part));
  }
}

}  // namespace
}  // namespace ringfence::storage
