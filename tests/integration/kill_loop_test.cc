// kill -9 of the server at random moments of a rollout. Afterwards the books are compared with what the hosts
// were told: no exposure is lost (invariant 1), no ring is skipped (3), a halt stays a halt (2 and 9), and
// the rollout goes on or holds for a stated reason (10).
//   kill_loop_test [--kills=N]   RINGFENCE_SEED=N chooses the moments.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/postgres_store.h"
#include "server/storage/postgres/private_cluster.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"
#include "tests/integration/sim_fleet.h"

namespace ringfence::testing_support {
namespace {

int kills = 8;

uint64_t Seed() {
  const char* given = std::getenv("RINGFENCE_SEED");
  uint64_t seed = 0;
  return given != nullptr && absl::SimpleAtoi(given, &seed) ? seed : std::random_device()();
}

// Everything durable that the checks ask for.
struct Books {
  std::vector<storage::ExposureRow> exposures;
  std::vector<storage::DecisionRow> decisions;  // oldest first
  std::vector<storage::StageRow> stages;
  std::vector<storage::BrakeRow> brakes;
};

absl::Status ReadBooks(const std::string& data_dir, uint64_t last_serial, Books* books) {
  storage::PrivateClusterOptions cluster_options;
  cluster_options.directory = data_dir;
  cluster_options.unsafe_fast = true;
  ASSIGN_OR_RETURN(const auto cluster, storage::PrivateCluster::Start(cluster_options));
  storage::PostgresOptions options;
  options.connection_string = cluster->ConnectionString();
  ASSIGN_OR_RETURN(const auto store, storage::OpenPostgresStore(options));
  return store->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    *books = {};
    for (uint64_t serial = 1; serial <= last_serial; ++serial) {
      RETURN_IF_ERROR(tx.ForEachExposure(
          "content", serial, [&](const storage::ExposureRow& row) { books->exposures.push_back(row); }));
    }
    storage::DecisionFilter filter;
    filter.limit = 100'000;
    ASSIGN_OR_RETURN(books->decisions, tx.Decisions(filter));
    std::reverse(books->decisions.begin(), books->decisions.end());
    ASSIGN_OR_RETURN(books->stages, tx.Stages());
    ASSIGN_OR_RETURN(books->brakes, tx.Brakes());
    return absl::OkStatus();
  });
}

// Every lease that a host ever received has its row.
void ExpectNoExposureLost(const Books& books, const SimFleet& fleet,
                          const std::map<Digest, uint64_t>& serials) {
  std::set<std::pair<AgentId, uint64_t>> rows;
  for (const storage::ExposureRow& row : books.exposures) rows.insert({row.agent, row.serial});
  for (const Grant& grant : fleet.grants()) {
    EXPECT_TRUE(rows.count({grant.agent, serials.at(grant.digest)}) > 0)
        << grant.agent.ToString() << " was granted " << grant.digest.ToString();
  }
}

// A stage opens only after every stage before it passed: the vendor's first, then the tenant's rings in
// order.
void ExpectNoRingSkipped(const Books& books, const std::vector<std::pair<std::string, std::string>>& order) {
  std::set<std::pair<uint64_t, size_t>> passed;  // serial and place in the order
  std::set<std::pair<uint64_t, size_t>> opened;
  const auto place = [&](const std::string& tenant, const std::string& ring) {
    return static_cast<size_t>(std::find(order.begin(), order.end(), std::make_pair(tenant, ring)) -
                               order.begin());
  };
  for (const storage::DecisionRow& row : books.decisions) {
    const size_t at = place(row.tenant, row.ring);
    if (at == order.size()) continue;
    if (row.action == "pass_ring" || row.action == "vacant") passed.insert({row.serial, at});
    if (row.action != "open_wave") continue;
    opened.insert({row.serial, at});
    for (size_t before = 0; before < at; ++before) {
      EXPECT_TRUE(passed.count({row.serial, before}) > 0) << order[at].second << " opened for " << row.serial
                                                          << " before " << order[before].second << " passed";
    }
  }
  for (const storage::ExposureRow& row : books.exposures) {
    EXPECT_TRUE(opened.count({row.serial, place(row.tenant, row.ring)}) > 0)
        << "exposed in a ring that never opened";
  }
}

class KillLoopTest : public testing::Test {
 protected:
  KillLoopTest() : seed_(Seed()), random_(seed_), fleet_(seed_) {
    std::printf("RINGFENCE_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  void SetUp() override {
    ASSERT_TRUE(server_.Start());
    People people(server_.Channel());
    fleet_.Connect(server_.Channel());
    ASSERT_TRUE(people.Apply(PlanOf("vendor", {"dogfood"})).ok());
    ASSERT_TRUE(people.Apply(PlanOf("acme", {"canary", "all"})).ok());
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("vendor", 6), "dogfood"));
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("acme", 4), "canary"));
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("acme", 8), "all"));
    ASSERT_TRUE(people.Publish(1).ok());
  }

  // kill -9 at a random moment while hosts check in and lease, then a new start.
  void KillSomewhere() {
    const std::chrono::microseconds moment(std::uniform_int_distribution<int>(0, 4'000'000)(random_));
    std::thread killer([this, moment] {
      std::this_thread::sleep_for(moment);
      server_.Signal(SIGKILL);
    });
    while (fleet_.Step()) {
    }
    killer.join();
    EXPECT_EQ(server_.Wait(), -SIGKILL);
    ASSERT_TRUE(server_.Start());
    fleet_.Connect(server_.Channel());
  }

  // Until the rollout is through, or says why it does not go on. False when it gave no lease and no reason
  // for long.
  bool GoesOnOrSaysWhy(uint64_t serial, std::string* said) {
    const size_t before = fleet_.grants().size();
    *said = "it goes on";
    for (int i = 0; i < 4000; ++i) {
      fleet_.Step();
      v1::Rollout rollout;
      if (i % 50 != 0 || !People(server_.Channel()).Rollout(serial, &rollout).ok()) continue;
      bool through = rollout.stages_size() == 3;
      for (const v1::Stage& stage : rollout.stages()) {
        through = through && stage.state() == v1::STAGE_STATE_PASSED;
        const bool stopped = stage.state() == v1::STAGE_STATE_HELD || stage.state() == v1::STAGE_STATE_HALTED;
        if (stopped && !stage.why().empty()) return *said = stage.why(), true;
      }
      if (through) return *said = "it is through", true;
    }
    return fleet_.grants().size() > before;
  }

  const uint64_t seed_;
  std::mt19937_64 random_;
  ServerProcess server_{
      {"--internal-tenant", "vendor", "--demo", "--time-scale", "120", "--unsafe-fast-database"}};
  SimFleet fleet_;
};

TEST_F(KillLoopTest, LosesNoExposureSkipsNoRingAndForgetsNoHalt) {
  for (int i = 0; i < kills; ++i) ASSERT_NO_FATAL_FAILURE(KillSomewhere());
  std::string said;
  EXPECT_TRUE(GoesOnOrSaysWhy(1, &said));
  std::printf("after %d kills: %zu leases to %zu hosts; %s\n", kills, fleet_.grants().size(), fleet_.size(),
              said.c_str());

  // A halt in the middle, and a kill right after it.
  ASSERT_TRUE(People(server_.Channel()).Halt(1).ok());
  const size_t granted = fleet_.grants().size();
  server_.Kill();
  ASSERT_TRUE(server_.Start());
  fleet_.Connect(server_.Channel());
  for (int i = 0; i < 60; ++i) fleet_.Step();
  EXPECT_EQ(fleet_.grants().size(), granted) << "a lease after the halt";
  server_.Signal(SIGTERM);
  ASSERT_EQ(server_.Wait(), 0);

  Books books;
  const absl::Status read = ReadBooks(server_.data_dir(), 1, &books);
  ASSERT_TRUE(read.ok()) << read;
  ExpectNoExposureLost(books, fleet_, {{People::DigestOf(1), 1}});
  ExpectNoRingSkipped(books, {{"vendor", "dogfood"}, {"acme", "canary"}, {"acme", "all"}});
  EXPECT_THAT(books.brakes, testing::Contains(testing::Field(&storage::BrakeRow::halted, true)));
}

}  // namespace
}  // namespace ringfence::testing_support

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view value = argv[i];
    if (!absl::ConsumePrefix(&value, "--kills=") ||
        !absl::SimpleAtoi(value, &ringfence::testing_support::kills)) {
      std::fprintf(stderr, "usage: %s [--kills=N]\n", argv[0]);
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
