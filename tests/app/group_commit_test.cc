// The group commit beside a step that writes, and beside a halt.
#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <utility>

#include "tests/bench/rollout_rig.h"
#include "tests/support/hooked_store.h"

namespace ringfence::bench {
namespace {

struct Answers {
  int granted = 0;
  int halted = 0;
  int refused = 0;  // for other reasons: most are not drawn
  int unavailable = 0;
  int all() const { return granted + halted + refused + unavailable; }
};

// Everyone asks. What is not answered when this returns waits for its commit; what is granted already was
// drawn while the rig began.
void AskAll(RolloutRig& rig, Answers& answers) {
  for (int host = rig.first_asker(); host < rig.hosts(); ++host) {
    rig.Ask(host, [&](const absl::StatusOr<app::LeaseReply>& reply) {
      if (absl::IsUnavailable(reply.status())) {
        ++answers.unavailable;
        return;
      }
      ASSERT_TRUE(reply.ok()) << reply.status();
      ++(reply->granted                             ? answers.granted
         : reply->reason == policy::Reason::kHalted ? answers.halted
                                                    : answers.refused);
    });
  }
}

// The last-seen times of a large fleet take a while to write; a lease waits for none of it.
TEST(GroupCommitTest, LeasesAreCommittedWhileAStepIsBeingWritten) {
  test::HookedStore store;
  RolloutRig rig({.proven = 400, .asking = 1000, .store = &store});
  rig.FreshRelease();
  Answers answers;
  AskAll(rig, answers);
  const int waiting = 1000 - answers.all();
  const int before = answers.granted;
  ASSERT_GT(waiting, 0);

  std::promise<void> writing;
  std::promise<void> committed;
  std::thread::id step_thread;
  bool first = true;
  store.before = [&, done = committed.get_future().share()] {
    if (std::this_thread::get_id() != step_thread || !std::exchange(first, false)) return;
    writing.set_value();
    done.wait();
  };
  absl::Status stepped;
  std::promise<void> start;
  std::thread step([&] {
    start.get_future().wait();
    stepped = rig.app().RunOnce();
  });
  step_thread = step.get_id();
  start.set_value();
  writing.get_future().wait();
  EXPECT_EQ(rig.app().CommitOnce().value_or(-1), waiting);
  EXPECT_EQ(answers.granted, before + waiting);
  committed.set_value();
  step.join();
  EXPECT_TRUE(stepped.ok()) << stepped;
  EXPECT_EQ(rig.Exposed(), before + waiting);
}

// Invariant 2 with thousands of leases drawn and waiting: a halt waits for one transaction, not for all of
// them.
TEST(GroupCommitTest, AHaltGetsInBetweenTheTransactionsOfALongQueue) {
  constexpr int kMost = 1000;  // rows of one transaction
  test::HookedStore store;
  RolloutRig rig({.proven = 8000, .asking = 40'000, .store = &store});
  rig.FreshRelease();
  Answers answers;
  AskAll(rig, answers);
  const int waiting = 40'000 - answers.all();
  const int before = answers.granted;
  ASSERT_GT(waiting, 2 * kMost);

  int transactions = 0;
  store.before = [&] {
    if (++transactions != 2) return;
    const app::Act act{{"sam", app::Role::kSre, ""}, "halt", "bench"};
    const storage::Scope scope{"", rig.release().channel, rig.release().serial, ""};
    EXPECT_TRUE(rig.app().Halt(act, scope).ok());
  };
  EXPECT_EQ(rig.app().CommitOnce().value_or(-1), kMost);
  EXPECT_EQ(answers.granted, before + kMost);
  EXPECT_EQ(answers.halted, waiting - kMost);
  EXPECT_EQ(rig.Exposed(), before + kMost);
  // The first batch, the halt, and the batch that met it: the others were refused from memory.
  EXPECT_EQ(transactions, 4);  // with that of Exposed
  EXPECT_EQ(rig.app().CommitOnce().value_or(-1), 0);
}

// A store that cannot be reached: nobody waits for the batches to come, and nobody was told to move.
TEST(GroupCommitTest, NobodyWaitsForAStoreThatIsDown) {
  test::HookedStore store;
  RolloutRig rig({.proven = 8000, .asking = 40'000, .store = &store});
  rig.FreshRelease();
  Answers answers;
  AskAll(rig, answers);
  const int waiting = 40'000 - answers.all();
  const int before = answers.granted;
  ASSERT_GT(waiting, 2000);
  store.down = true;
  EXPECT_TRUE(absl::IsUnavailable(rig.app().CommitOnce().status()));
  EXPECT_EQ(answers.unavailable, waiting);
  EXPECT_EQ(answers.granted, before);
  store.down = false;
  // They were drawn, and may not know it: they count.
  EXPECT_EQ(rig.app().CommitOnce().value_or(-1), waiting);
  EXPECT_EQ(rig.Exposed(), before + waiting);
}

// Without a halt all of them go, in as many transactions as it takes.
TEST(GroupCommitTest, OneCallCommitsEveryoneWhoWaits) {
  test::HookedStore store;
  RolloutRig rig({.proven = 8000, .asking = 40'000, .store = &store});
  rig.FreshRelease();
  Answers answers;
  AskAll(rig, answers);
  const int waiting = 40'000 - answers.all();
  const int before = answers.granted;
  int transactions = 0;
  store.before = [&] { ++transactions; };
  EXPECT_EQ(rig.app().CommitOnce().value_or(-1), waiting);
  EXPECT_EQ(answers.granted, before + waiting);
  EXPECT_EQ(transactions, (waiting + 999) / 1000);
  EXPECT_EQ(rig.Exposed(), before + waiting);
}

}  // namespace
}  // namespace ringfence::bench
