// Invariant 2: a halt is final at commit.
#include <atomic>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using BrakeContractTest = StoreTest;
RF_BOTH_STORES(BrakeContractTest);

const Scope kRelease{.tenant = "", .channel = "content", .serial = 9, .ring = ""};
const Scope kTenant{.tenant = "acme", .channel = "", .serial = 0, .ring = ""};

ExposureRow MakeExposure(uint64_t agent) {
  ExposureRow row;
  row.tenant = "acme";
  row.channel = "content";
  row.serial = 9;
  row.agent = MakeAgentId(agent);
  row.exposed_at = row.deadline = kNow;
  return row;
}

absl::Status Halt(Store& store, const Scope& scope) {
  return store.ReadWrite([&](Transaction& tx) -> absl::Status {
    absl::StatusOr<BrakeRow> brake = tx.LockBrake(scope);
    if (!brake.ok()) return brake.status();
    ++brake->epoch;
    brake->halted = true;
    return tx.PutBrake(*brake);
  });
}

int64_t CountExposures(Store& store) {
  int64_t count = 0;
  EXPECT_TRUE(store
                  .ReadWrite([&](Transaction& tx) {
                    count = 0;
                    return tx.ForEachExposure("content", 9, [&](const ExposureRow&) { ++count; });
                  })
                  .ok());
  return count;
}

TEST_P(BrakeContractTest, NewBrakeStopsNothing) {
  const BrakeRow brake = Commit([](Transaction& tx) { return tx.LockBrake(kRelease); });
  BrakeRow expected;
  expected.scope = kRelease;
  EXPECT_EQ(brake, expected);
  EXPECT_FALSE(brake.Stops());
}

TEST_P(BrakeContractTest, BrakeComesBackAsItWasPut) {
  BrakeRow brake = Commit([](Transaction& tx) { return tx.LockBrake(kRelease); });
  brake.epoch = 1;
  brake.tenant_paused = brake.held = brake.reverting = true;
  brake.rule = "gate_silence";
  brake.reason = "6 of 44 exposed hosts fell silent";
  brake.actor = "server";
  brake.at = kNow;
  brake.first_approver = "ann";
  brake.hold_revert_at = kNow + absl::Minutes(30);
  brake.m_r_mark = 1.0 / 3;
  brake.m_a_mark = 1e-12;
  brake.resumed_at = kNow - absl::Hours(1);
  brake.halted_at = kNow - absl::Hours(2);
  brake.resume_order = "{\"payload\":\"\"}";
  Commit([&](Transaction& tx) { return tx.PutBrake(brake); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Brakes(); }), ::testing::ElementsAre(brake));
  brake.epoch = 2;
  brake.tenant_paused = brake.held = brake.reverting = false;
  brake.vendor_paused = brake.halted = brake.recalled = true;
  Commit([&](Transaction& tx) { return tx.PutBrake(brake); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Brakes(); }), ::testing::ElementsAre(brake));
}

TEST_P(BrakeContractTest, EpochRisesByOne) {
  BrakeRow brake;
  brake.scope = kRelease;
  brake.epoch = 1;
  const auto put = [&](Transaction& tx) { return tx.PutBrake(brake); };
  EXPECT_EQ(Refusal(put), absl::StatusCode::kAborted) << "there is no row to replace";
  Commit([](Transaction& tx) { return tx.EnsureBrakes({kRelease}); });
  Commit(put);
  EXPECT_EQ(Refusal(put), absl::StatusCode::kAborted) << "somebody else was faster";
  brake.epoch = 3;
  EXPECT_EQ(Refusal(put), absl::StatusCode::kAborted) << "one change was not seen";
  brake.epoch = 2;
  Commit(put);
}

TEST_P(BrakeContractTest, EnsuringLeavesExistingBrakes) {
  ASSERT_TRUE(Halt(*store_, kRelease).ok());
  Commit([](Transaction& tx) { return tx.EnsureBrakes({kTenant, kRelease, kTenant}); });
  const std::vector<BrakeRow> brakes = Commit([](Transaction& tx) { return tx.Brakes(); });
  ASSERT_EQ(brakes.size(), 2u);
  EXPECT_TRUE(brakes[0].halted) << "the release's, first in the order of scopes";
  EXPECT_EQ(brakes[0].epoch, 1);
  EXPECT_EQ(brakes[1].epoch, 0);
}

TEST_P(BrakeContractTest, ScopeWithoutARowIsMissingFromTheAnswer) {
  Commit([](Transaction& tx) { return tx.EnsureBrakes({kTenant}); });
  const auto brakes = Commit([](Transaction& tx) {
    return tx.LockBrakesShared({kRelease, kTenant, kTenant});
  });
  ASSERT_EQ(brakes.size(), 1u);
  EXPECT_EQ(brakes[0].scope, kTenant);
}

// A halt that begins while a batch holds its brakes waits for the batch: it commits after it, and is seen by
// the next.
TEST_P(BrakeContractTest, HaltWaitsForABatchThatHoldsTheBrake) {
  Commit([](Transaction& tx) { return tx.EnsureBrakes({kRelease, kTenant}); });
  std::promise<void> batch_holds_the_lock;
  std::atomic<bool> batch_is_done = false;
  std::atomic<bool> halted = false;
  std::thread halt([&] {
    batch_holds_the_lock.get_future().wait();
    ASSERT_TRUE(Halt(*store_, kRelease).ok());
    EXPECT_TRUE(batch_is_done) << "the halt committed while an exposure batch held its brake";
    halted = true;
  });
  Commit([&](Transaction& tx) -> absl::Status {
    const auto brakes = tx.LockBrakesShared({kRelease, kTenant});
    EXPECT_TRUE(brakes.ok());
    batch_holds_the_lock.set_value();
    for (uint64_t agent = 0; agent < 2000; ++agent)
      EXPECT_TRUE(tx.InsertExposures({MakeExposure(agent)}).ok());
    EXPECT_FALSE(halted);
    batch_is_done = true;
    return absl::OkStatus();
  });
  halt.join();
  const auto brakes = Commit([](Transaction& tx) { return tx.LockBrakesShared({kRelease}); });
  ASSERT_EQ(brakes.size(), 1u);
  EXPECT_TRUE(brakes[0].halted);
}

// A batch that reads its brakes while a halt is under way waits, and then sees the halt, not the row as it
// was before.
TEST_P(BrakeContractTest, BatchThatWaitedForAHaltSeesIt) {
  Commit([](Transaction& tx) { return tx.EnsureBrakes({kRelease}); });
  std::promise<void> halt_holds_the_lock;
  std::thread batch([&] {
    halt_holds_the_lock.get_future().wait();
    const absl::Status status = store_->ReadWrite([&](Transaction& tx) -> absl::Status {
      const auto brakes = tx.LockBrakesShared({kRelease});
      if (!brakes.ok()) return brakes.status();
      EXPECT_EQ(brakes->size(), 1u);
      EXPECT_TRUE(brakes->at(0).halted);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  });
  Commit([&](Transaction& tx) -> absl::Status {
    BrakeRow brake = tx.LockBrake(kRelease).value();
    halt_holds_the_lock.set_value();
    for (uint64_t agent = 0; agent < 500; ++agent) {
      EXPECT_TRUE(tx.PutQuarantines({{.tenant = "acme",
                                      .agent = MakeAgentId(agent),
                                      .digest = MakeDigest(1),
                                      .at = kNow,
                                      .reason = ""}})
                      .ok());
    }
    ++brake.epoch;
    brake.halted = true;
    return tx.PutBrake(brake);
  });
  batch.join();
}

// Writers that never rest cannot keep a halt waiting for ever, and none of them exposes a host after it.
TEST_P(BrakeContractTest, HaltGetsThroughBusyWritersAndIsFinal) {
  Commit([](Transaction& tx) { return tx.EnsureBrakes({kRelease, kTenant}); });
  std::atomic<uint64_t> next_agent = 0;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&] {
      bool stopped = false;
      while (!stopped) {
        const absl::Status status = store_->ReadWrite([&](Transaction& tx) -> absl::Status {
          const auto brakes = tx.LockBrakesShared({kTenant, kRelease});
          if (!brakes.ok()) return brakes.status();
          for (const BrakeRow& brake : *brakes) stopped = stopped || brake.Stops();
          if (stopped) return absl::OkStatus();
          return tx.InsertExposures({MakeExposure(++next_agent)});
        });
        ASSERT_TRUE(status.ok()) << status;
      }
    });
  }
  while (next_agent < 50) std::this_thread::yield();
  ASSERT_TRUE(Halt(*store_, kRelease).ok());
  const int64_t at_halt = CountExposures(*store_);
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(CountExposures(*store_), at_halt);
}

TEST_P(BrakeContractTest, ConcurrentChangesOfABrakeAllCount) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int change = 0; change < 10; ++change) EXPECT_TRUE(Halt(*store_, kRelease).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.LockBrake(kRelease); }).epoch, 40);
}

TEST_P(BrakeContractTest, BrakeOfAFailedTransactionIsAsItWas) {
  ASSERT_TRUE(Halt(*store_, kRelease).ok());
  const std::vector<BrakeRow> before = Commit([](Transaction& tx) { return tx.Brakes(); });
  EXPECT_EQ(Refusal([](Transaction& tx) {
              BrakeRow brake = tx.LockBrake(kRelease).value();
              ++brake.epoch;
              brake.halted = false;
              EXPECT_TRUE(tx.PutBrake(brake).ok());
              EXPECT_TRUE(tx.LockBrake(kTenant).ok());
              return absl::CancelledError("");
            }),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Brakes(); }), before);
}

}  // namespace
}  // namespace ringfence::storage
