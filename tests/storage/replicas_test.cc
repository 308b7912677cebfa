// Several servers on one database: who leads, and who hears of a halt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <vector>

#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/brake_listener.h"
#include "server/storage/postgres/leadership.h"
#include "server/storage/postgres/postgres_store.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using ::ringfence::testing::Query;
using ::ringfence::testing::TestCluster;

PostgresOptions At(const std::string& url) {
  PostgresOptions options;
  options.connection_string = url;
  return options;
}

// Ends every session of the store, the leaders and the listeners, as a failing network or an administrator
// would.
void CutOff(const std::string& url) {
  Query(url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'ringfence' "
        "AND datname = current_database()");
}

class LeadershipTest : public ::testing::Test {
 protected:
  LeadershipTest()
      : url_(TestCluster::Get().NewDatabase()), clock_(kNow), store_(OpenPostgresStore(At(url_)).value()) {}

  absl::Status WriteAs(int64_t epoch) {
    return store_->ReadWrite([&](Transaction& tx) { return tx.CheckLeaderEpoch(epoch); });
  }

  const std::string url_;
  ManualClock clock_;
  std::unique_ptr<Store> store_;
};

TEST_F(LeadershipTest, OneOfTwoReplicasLeads) {
  Leadership one(At(url_), "one", clock_), two(At(url_), "two", clock_);
  const std::optional<int64_t> epoch = one.TryLead().value();
  ASSERT_TRUE(epoch.has_value());
  EXPECT_EQ(two.TryLead().value(), std::nullopt);
  EXPECT_EQ(one.TryLead().value(), epoch) << "the same while it leads";
  EXPECT_TRUE(WriteAs(*epoch).ok());
}

TEST_F(LeadershipTest, TheLeaderIsFoundWithASecretOfItsEpoch) {
  Leadership one(At(url_), "one", clock_, "10.0.0.1:7443"), two(At(url_), "two", clock_, "10.0.0.2:7443");
  const auto leader = [&] {
    LeaderRow row;
    EXPECT_TRUE(store_
                    ->ReadWrite([&](Transaction& tx) -> absl::Status {
                      ASSIGN_OR_RETURN(row, tx.Leader());
                      return absl::OkStatus();
                    })
                    .ok());
    return row;
  };
  const int64_t first = one.TryLead().value().value();
  EXPECT_EQ(leader(), (LeaderRow{first, "one", "10.0.0.1:7443", one.secret()}));
  EXPECT_EQ(one.secret().size(), 32u);
  ASSERT_EQ(two.TryLead().value(), std::nullopt);
  EXPECT_EQ(two.secret(), "");
  const std::string old = one.secret();
  one.Resign();
  std::optional<int64_t> second;
  while (!second.has_value()) second = two.TryLead().value();
  EXPECT_EQ(leader(), (LeaderRow{*second, "two", "10.0.0.2:7443", two.secret()}));
  EXPECT_NE(two.secret(), old);
}

TEST_F(LeadershipTest, ReplicaTakesOverFromOneThatEnded) {
  auto one = std::make_unique<Leadership>(At(url_), "one", clock_);
  Leadership two(At(url_), "two", clock_);
  const int64_t first = one->TryLead().value().value();
  one.reset();
  std::optional<int64_t> second;
  while (!second.has_value())
    second = two.TryLead().value();  // the server notices the closed session in its own time
  EXPECT_GT(*second, first);
}

// A leader that lost its session without noticing is stopped by its epoch, and learns of it at its next try.
TEST_F(LeadershipTest, CutOffLeaderIsFenced) {
  Leadership one(At(url_), "one", clock_), two(At(url_), "two", clock_);
  const int64_t first = one.TryLead().value().value();
  CutOff(url_);
  const int64_t second = two.TryLead().value().value();
  EXPECT_EQ(WriteAs(first).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(WriteAs(second).ok());
  EXPECT_EQ(one.TryLead().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(one.TryLead().value(), std::nullopt);
}

// A leader whose network lost its way keeps its session and says nothing more.
TEST_F(LeadershipTest, ALeaderThatFallsSilentIsFollowed) {
  PostgresOptions impatient = At(url_);
  impatient.idle_timeout = absl::Milliseconds(200);
  Leadership one(impatient, "one", clock_), two(At(url_), "two", clock_);
  const int64_t first = one.TryLead().value().value();
  std::optional<int64_t> second;
  while (!second.has_value()) second = two.TryLead().value();
  EXPECT_EQ(*second, first + 1);
  EXPECT_EQ(WriteAs(first).code(), absl::StatusCode::kAborted);
}

// The lock alone would not show it: after a failover the new server may not know of it.
TEST_F(LeadershipTest, LeaderThatWasTakenOverBesideItsLockStepsDown) {
  Leadership one(At(url_), "one", clock_);
  ASSERT_TRUE(one.TryLead().value().has_value());
  ASSERT_TRUE(
      store_->ReadWrite([](Transaction& tx) { return tx.TakeLeaderEpoch("other", kNow).status(); }).ok());
  EXPECT_EQ(one.TryLead().value(), std::nullopt);
}

TEST_F(LeadershipTest, ResigningLetsAnotherLeadAtOnce) {
  Leadership one(At(url_), "one", clock_), two(At(url_), "two", clock_);
  ASSERT_TRUE(one.TryLead().value().has_value());
  one.Resign();
  while (!two.TryLead().value().has_value()) {
  }
  EXPECT_EQ(one.TryLead().value(), std::nullopt);
}

// Collects what a listener hears.
class Heard {
 public:
  BrakeListener::Callback Callback() {
    return [this](const std::optional<BrakeNotice>& notice) {
      MutexLock lock(&mutex_);
      notices_.push_back(notice);
      changed_.notify_all();
    };
  }
  // Waits for the next one.
  std::optional<BrakeNotice> Next() {
    MutexLock lock(&mutex_);
    changed_.wait(lock.native(), [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return notices_.size() > read_; });
    return notices_[read_++];
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<BrakeNotice>> notices_ ABSL_GUARDED_BY(mutex_);
  size_t read_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::Status Pause(Store& store, const Scope& scope) {
  return store.ReadWrite([&](Transaction& tx) -> absl::Status {
    BrakeRow brake = tx.LockBrake(scope).value();
    ++brake.epoch;
    brake.tenant_paused = true;
    return tx.PutBrake(brake);
  });
}

const Scope kRing{.tenant = "acme", .channel = "content", .serial = 9, .ring = "it's \"quoted\""};

TEST(BrakeListenerTest, HearsOfEveryChangeAfterItsCommit) {
  const std::string url = TestCluster::Get().NewDatabase();
  const auto store = OpenPostgresStore(At(url)).value();
  Heard heard;
  BrakeListener listener(At(url), heard.Callback());
  EXPECT_EQ(heard.Next(), std::nullopt) << "read everything: it has just begun";
  ASSERT_TRUE(Pause(*store, kRing).ok());
  EXPECT_EQ(heard.Next(), (BrakeNotice{kRing, 1}));
  EXPECT_EQ(store
                ->ReadWrite([](Transaction& tx) -> absl::Status {
                  BrakeRow brake = tx.LockBrake(kRing).value();
                  ++brake.epoch;
                  EXPECT_TRUE(tx.PutBrake(brake).ok());
                  return absl::CancelledError("never committed, never heard");
                })
                .code(),
            absl::StatusCode::kCancelled);
  ASSERT_TRUE(Pause(*store, kRing).ok());
  EXPECT_EQ(heard.Next(), (BrakeNotice{kRing, 2}));
}

TEST(BrakeListenerTest, SaysThatItMayHaveMissedSomethingAfterACut) {
  const std::string url = TestCluster::Get().NewDatabase();
  const auto store = OpenPostgresStore(At(url)).value();
  Heard heard;
  BrakeListener listener(At(url), heard.Callback());
  EXPECT_EQ(heard.Next(), std::nullopt);
  CutOff(url);
  EXPECT_EQ(heard.Next(), std::nullopt);
  ASSERT_TRUE(Pause(*store, kRing).ok());
  EXPECT_EQ(heard.Next(), (BrakeNotice{kRing, 1}));
}

TEST(BrakeListenerTest, StopsAtOnceWithoutADatabase) {
  Heard heard;
  BrakeListener listener(At("host=/nonexistent"), heard.Callback());
}

}  // namespace
}  // namespace ringfence::storage
