// Two servers on one database, and a database that goes away and comes back.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ringfence/base/check.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/storage/postgres/private_cluster.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"
#include "tests/integration/sim_fleet.h"

namespace ringfence::testing_support {
namespace {

using testing::HasSubstr;

// A PostgreSQL of the test's own, which may be stopped and started under the servers.
class Database {
 public:
  Database() {
    std::string folder = "/var/tmp/rf-db-XXXXXX";
    RF_CHECK(::mkdtemp(folder.data()) != nullptr);
    RF_CHECK(::chmod(folder.c_str(), 0755) == 0);
    folder_ = folder;
    Start();
    url_ = cluster_->ConnectionString();
  }
  ~Database() {
    Stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void Start() {
    storage::PrivateClusterOptions options;
    options.directory = folder_ + "/pg";
    options.unsafe_fast = true;
    absl::StatusOr<std::unique_ptr<storage::PrivateCluster>> cluster =
        storage::PrivateCluster::Start(options);
    RF_CHECK(cluster.ok());
    cluster_ = *std::move(cluster);
  }
  void Stop() { cluster_.reset(); }
  const std::string& url() const { return url_; }

 private:
  std::string folder_;
  std::string url_;
  std::unique_ptr<storage::PrivateCluster> cluster_;
};

const std::vector<std::string> kDemo = {"--internal-tenant", "vendor", "--demo", "--time-scale", "60"};

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

  Database database_;
  ServerProcess first_{kDemo, database_.url()};
  ServerProcess second_{kDemo, database_.url()};
  SimFleet fleet_{3};
};

TEST_F(ReplicasTest, TheOneThatStandsByTakesOverAndKeepsTheHalt) {
  Begin();
  ASSERT_TRUE(second_.StartStandingBy());
  ASSERT_TRUE(People(first_.Channel()).Halt(1).ok());
  const size_t granted = fleet_.grants().size();
  first_.Kill();

  ASSERT_TRUE(second_.WaitUntilServing());
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
  ASSERT_TRUE(second_.StartStandingBy());
  first_.Signal(SIGTERM);
  EXPECT_EQ(first_.Wait(), 0);
  EXPECT_TRUE(second_.WaitUntilServing());
}

TEST_F(ReplicasTest, OneThatStandsByStopsWhenTold) {
  ASSERT_TRUE(first_.Start());
  ASSERT_TRUE(second_.StartStandingBy());
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
  bool healthy = false;
  for (int i = 0; i < 5'000 && !(healthy && fleet_.grants().size() > granted); ++i) {
    fleet_.Step();
    healthy = healthy || first_.Get("/healthz").status == 200;
  }
  EXPECT_TRUE(healthy) << first_.log();
  EXPECT_GT(fleet_.grants().size(), granted) << first_.log();
  v1::Rollout rollout;
  ASSERT_TRUE(People(first_.Channel()).Rollout(1, &rollout).ok());
  int64_t silent = 0;
  for (const v1::Stage& stage : rollout.stages()) silent += stage.outcomes().silent();
  EXPECT_EQ(silent, 0);  // our outage is not theirs
}

}  // namespace
}  // namespace ringfence::testing_support
