// Two servers on one database: one that dies, one that is cut off, and a database that goes away and comes
// back.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "ringfence/v1/rollout.pb.h"
#include "tests/integration/database.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"
#include "tests/integration/sim_fleet.h"

namespace ringfence::testing_support {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kDemo = {"--internal-tenant", "vendor", "--demo", "--time-scale", "60"};

constexpr int kExitOvertaken = 4;

class ReplicasTest : public testing::Test {
 protected:
  // The vendor's fleet and a release on its way, on the first server.
  void Begin() {
    ASSERT_TRUE(first_.Start());
    People people(first_.Channel());
    ASSERT_TRUE(people.Apply(PlanOf("vendor", {"dogfood"})).ok());
    fleet_.Connect(first_.Channel());
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("vendor", 6), "dogfood"));
    ASSERT_TRUE(people.Publish(1).ok());
    for (int i = 0; i < 5'000 && fleet_.grants().empty(); ++i) fleet_.Step();
    ASSERT_FALSE(fleet_.grants().empty()) << first_.log();
  }

  int64_t Silent(const ServerProcess& server) {
    v1::Rollout rollout;
    EXPECT_TRUE(People(server.Channel()).Rollout(1, &rollout).ok());
    int64_t silent = 0;
    for (const v1::Stage& stage : rollout.stages()) silent += stage.outcomes().silent();
    return silent;
  }

  // Until the first server is healthy and has given another lease.
  bool GoesOn(size_t granted) {
    bool healthy = false;
    for (int i = 0; i < 5'000 && !(healthy && fleet_.grants().size() > granted); ++i) {
      fleet_.Step();
      healthy = healthy || first_.Get("/healthz").status == 200;
    }
    return healthy && fleet_.grants().size() > granted;
  }

  Database database_;
  DatabaseProxy proxy_{database_};  // the first server's way to the database
  ServerProcess first_{kDemo, proxy_.url()};
  ServerProcess second_{kDemo, database_.url()};
  SimFleet fleet_{3};
};

TEST_F(ReplicasTest, TheOneThatFollowsTakesOverAndKeepsTheHalt) {
  Begin();
  ASSERT_TRUE(second_.StartFollowing());
  ASSERT_TRUE(People(first_.Channel()).Halt(1).ok());
  const size_t granted = fleet_.grants().size();
  first_.Kill();

  ASSERT_TRUE(second_.WaitUntilLeading());
  fleet_.Connect(second_.Channel());
  v1::Rollout rollout;
  ASSERT_TRUE(People(second_.Channel()).Rollout(1, &rollout).ok());
  ASSERT_EQ(rollout.brakes_size(), 1);
  EXPECT_TRUE(rollout.brakes(0).halted());
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(fleet_.Step());  // the agents' credentials hold here too
  EXPECT_EQ(fleet_.grants().size(), granted);
}

TEST_F(ReplicasTest, AnOrderlyStopHandsOver) {
  Begin();
  ASSERT_TRUE(second_.StartFollowing());
  first_.Signal(SIGTERM);
  EXPECT_EQ(first_.Wait(), 0);
  EXPECT_TRUE(second_.WaitUntilLeading());
}

TEST_F(ReplicasTest, OneThatFollowsStopsWhenTold) {
  ASSERT_TRUE(first_.Start());
  ASSERT_TRUE(second_.StartFollowing());
  second_.Signal(SIGTERM);
  EXPECT_EQ(second_.Wait(), 0);
}

TEST_F(ReplicasTest, WithoutTheDatabaseNothingIsGrantedAndAfterwardsItGoesOn) {
  Begin();
  database_.Stop();
  const size_t granted = fleet_.grants().size();
  for (int i = 0; i < 60; ++i) fleet_.Step();
  EXPECT_EQ(fleet_.grants().size(), granted);
  EXPECT_EQ(first_.Get("/healthz").status, 503);
  EXPECT_THAT(first_.Get("/healthz").body, HasSubstr("database"));

  database_.Start();
  EXPECT_TRUE(GoesOn(granted)) << first_.log();
  EXPECT_EQ(Silent(first_), 0);  // our outage is not theirs
}

// Its connections end in the middle of the halt's transaction, and it cannot make new ones.
TEST_F(ReplicasTest, AHaltAskedOfTheOneThatIsCutOffStopsThereOnlyAndIsPlacedOnTheOther) {
  Begin();
  ASSERT_TRUE(second_.StartFollowing());
  proxy_.CutOffAt(People::kHaltReason);
  const grpc::Status stopped = People(first_.Channel()).Halt(1);
  EXPECT_TRUE(proxy_.is_cut());
  EXPECT_EQ(stopped.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(stopped.error_message(), HasSubstr("stopped here only"));
  const size_t granted = fleet_.grants().size();
  for (int i = 0; i < 30; ++i) fleet_.Step();
  EXPECT_EQ(fleet_.grants().size(), granted) << "a lease from the one that is cut off";

  // The other one knows nothing of it yet: the halt was not committed, and its caller was told to repeat it.
  ASSERT_TRUE(second_.WaitUntilLeading());
  People people(second_.Channel());
  v1::Rollout rollout;
  ASSERT_TRUE(people.Rollout(1, &rollout).ok());
  EXPECT_EQ(rollout.brakes_size(), 0) << rollout.ShortDebugString();
  ASSERT_TRUE(people.Halt(1).ok());
  fleet_.Connect(second_.Channel());
  for (int i = 0; i < 30; ++i) fleet_.Step();
  EXPECT_EQ(fleet_.grants().size(), granted) << "a lease after the halt";

  // The one that was cut off still has its own halt to write. It is refused, and leaves.
  proxy_.Mend();
  EXPECT_EQ(first_.Wait(), kExitOvertaken) << first_.log();
  EXPECT_THAT(first_.log(), HasSubstr("\"overtaken\""));
  ASSERT_TRUE(people.Rollout(1, &rollout).ok());
  ASSERT_EQ(rollout.brakes_size(), 1);
  EXPECT_TRUE(rollout.brakes(0).halted());
  const std::vector<v1::Decision> decisions = people.Decisions(1);
  EXPECT_EQ(std::count_if(decisions.begin(), decisions.end(),
                          [](const v1::Decision& decision) { return decision.action() == "halt"; }),
            1);
  EXPECT_TRUE(first_.StartFollowing());
}

// The long versions: --gtest_also_run_disabled_tests. They wait for time-outs of real databases.

// A network that lost its way tells nobody: sessions stay open, and only their silence ends them.
TEST_F(ReplicasTest, DISABLED_LongOneThatIsCutOffWithoutAWordIsFollowedToo) {
  Begin();
  ASSERT_TRUE(second_.StartFollowing());
  proxy_.FallSilent();
  grpc::Status stopped;
  std::thread halt([&] { stopped = People(first_.Channel()).Halt(1); });
  ASSERT_TRUE(second_.WaitUntilLeading());
  const size_t granted = fleet_.grants().size();
  for (int i = 0; i < 12; ++i) fleet_.Step();  // a lease that is asked for hangs on the first one's time-out
  EXPECT_EQ(fleet_.grants().size(), granted) << "a lease from the one that is cut off";
  halt.join();
  EXPECT_EQ(stopped.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(stopped.error_message(), HasSubstr("stopped here only"));

  ASSERT_TRUE(People(second_.Channel()).Halt(1).ok());
  proxy_.Mend();
  EXPECT_EQ(first_.Wait(), kExitOvertaken) << first_.log();
}

// Half a minute in which PostgreSQL keeps its connections and answers nothing.
TEST_F(ReplicasTest, DISABLED_LongADatabaseThatHangsGrantsNothingAndItGoesOnByItself) {
  Begin();
  const size_t granted = fleet_.grants().size();
  database_.Stun();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < until) fleet_.Step();
  EXPECT_EQ(fleet_.grants().size(), granted);
  database_.WakeUp();
  EXPECT_TRUE(GoesOn(granted)) << first_.log();
  EXPECT_EQ(Silent(first_), 0);
}

}  // namespace
}  // namespace ringfence::testing_support
