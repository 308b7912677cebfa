// kill -9 of the server at random moments of a rollout. Afterwards the books are compared with what the hosts
// were told: no exposure is lost (invariant 1), no ring is skipped (3), a halt stays a halt (2 and 9), and
// the rollout goes on or holds for a stated reason (10). Every release here is good and every host stays, so
// the server halts none of them.
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

// With the gates that a customer would have.
v1::Plan GatedPlan(const std::string& tenant, const std::vector<std::string>& rings) {
  v1::Plan plan = PlanOf(tenant, rings);
  v1::SloGates& gates = *plan.mutable_gates();
  for (v1::RateGate* gate : {gates.mutable_crash(), gates.mutable_degraded()}) {
    gate->set_max_rate_ppm(20'000);
    gate->set_min_count(3);
    gate->mutable_window()->set_seconds(6 * 3600);
  }
  gates.mutable_silence()->set_missed_checkins(3);
  gates.mutable_silence()->set_max_excess_ppm(50'000);
  gates.mutable_silence()->set_min_count(3);
  gates.mutable_silence()->mutable_window()->set_seconds(3600);
  gates.set_on_breach(v1::ON_BREACH_HALT_AND_REVERT);
  return plan;
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

// A kill is no evidence against a release (invariant 13).
void ExpectNoGoodReleaseHalted(const Books& books) {
  for (const storage::DecisionRow& row : books.decisions) {
    EXPECT_FALSE(row.actor == "server" && row.action == "halt")
        << row.tenant << " " << row.serial << " was halted: " << row.rule << ": " << row.why;
  }
  for (const storage::BrakeRow& brake : books.brakes) {
    EXPECT_FALSE(brake.halted && brake.actor == "server")
        << brake.scope.tenant << " " << brake.scope.serial << " is halted: " << brake.rule << ": "
        << brake.reason;
  }
}

// What people see of a rollout at one moment.
struct Look {
  bool through = false;  // every ring has passed
  bool halted = false;
  std::string stopped;  // by the server itself, and why; empty: it goes on
};

class KillLoopTest : public testing::Test {
 protected:
  KillLoopTest() : seed_(Seed()), random_(seed_), fleet_(seed_) {
    std::printf("RINGFENCE_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  void SetUp() override {
    ASSERT_TRUE(server_.Start());
    People people(server_.Channel());
    fleet_.Connect(server_.Channel());
    ASSERT_TRUE(people.Apply(GatedPlan("vendor", {"dogfood"})).ok());
    ASSERT_TRUE(people.Apply(GatedPlan("acme", {"canary", "all"})).ok());
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("vendor", 6), "dogfood"));
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("acme", 4), "canary"));
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("acme", 8), "all"));
    ASSERT_NO_FATAL_FAILURE(PublishNext());
  }

  void PublishNext() {
    const grpc::Status published = People(server_.Channel()).Publish(++serial_);
    ASSERT_TRUE(published.ok()) << published.error_message();
    serials_[People::DigestOf(serial_)] = serial_;
  }

  size_t Granted(uint64_t serial) const {
    return static_cast<size_t>(
        std::count_if(fleet_.grants().begin(), fleet_.grants().end(),
                      [&](const Grant& grant) { return serials_.at(grant.digest) == serial; }));
  }

  Look At(uint64_t serial) {
    Look look;
    v1::Rollout rollout;
    const grpc::Status asked = People(server_.Channel()).Rollout(serial, &rollout);
    EXPECT_TRUE(asked.ok()) << asked.error_message();
    look.through = rollout.stages_size() == 3;
    for (const v1::Stage& stage : rollout.stages()) {
      look.through = look.through && stage.state() == v1::STAGE_STATE_PASSED;
    }
    for (const v1::Brake& brake : rollout.brakes()) {
      look.halted = look.halted || brake.halted();
      if ((brake.halted() || brake.held()) && brake.actor() == "server") {
        EXPECT_FALSE(brake.reason().empty()) << "stopped without a reason: " << brake.ShortDebugString();
        look.stopped = absl::StrCat(brake.rule(), ": ", brake.reason());
      }
    }
    return look;
  }

  void StartAgain() {
    EXPECT_EQ(server_.Wait(), -SIGKILL);
    ++killed_;
    ASSERT_TRUE(server_.Start());
    fleet_.Connect(server_.Channel());
  }

  // Sends kill -9 after `moment`, while `meanwhile` runs.
  template <typename Meanwhile>
  void KillAfter(std::chrono::microseconds moment, Meanwhile meanwhile) {
    std::thread killer([this, moment] {
      std::this_thread::sleep_for(moment);
      server_.Signal(SIGKILL);
    });
    meanwhile();
    killer.join();
  }

  std::chrono::microseconds Within(std::chrono::microseconds most) {
    return std::chrono::microseconds(std::uniform_int_distribution<int64_t>(0, most.count())(random_));
  }

  // At a random moment while hosts check in and lease.
  void KillSomewhere() {
    KillAfter(Within(std::chrono::seconds(4)), [this] {
      while (fleet_.Step()) {
      }
    });
    StartAgain();
  }

  // The people halt the release, and the server dies before, during or after that. A halt that was answered
  // holds; whether or not it was, hosts get leases only from a release that is not halted.
  void KillAroundAHalt() {
    grpc::Status halted;
    KillAfter(Within(std::chrono::milliseconds(40)), [&] {
      halted = People(server_.Channel()).Halt(serial_);
      while (fleet_.Step()) {
      }
    });
    const size_t granted = Granted(serial_);
    ASSERT_NO_FATAL_FAILURE(StartAgain());
    const bool holds = At(serial_).halted;
    if (halted.ok()) {
      ++halts_answered_;
      EXPECT_TRUE(holds) << "the halt of " << serial_ << " is forgotten";
    }
    if (!holds) return;
    ++halts_;
    for (int i = 0; i < 40; ++i) fleet_.Step();
    EXPECT_EQ(Granted(serial_), granted) << "a lease of " << serial_ << " after its halt";
    ASSERT_NO_FATAL_FAILURE(PublishNext());  // the fix
  }

  // Keeps a rollout under way: when one has ended, the next begins.
  void KeepBusy() {
    const Look look = At(serial_);
    if (!look.through && !look.halted && look.stopped.empty()) return;
    if (look.through) ++through_;
    if (!look.stopped.empty()) stops_.push_back(absl::StrCat(serial_, " ", look.stopped));
    ASSERT_NO_FATAL_FAILURE(PublishNext());
  }

  // Until the rollout gives another lease, is through, or says why it does not go on. False when it does
  // nothing and says nothing for long.
  bool GoesOnOrSaysWhy(uint64_t serial, std::string* said) {
    const size_t before = Granted(serial);
    for (int i = 0; i < 4000; ++i) {
      fleet_.Step();
      if (Granted(serial) > before) return *said = "it goes on", true;
      if (i % 50 != 0) continue;
      const Look look = At(serial);
      if (!look.stopped.empty()) return *said = look.stopped, true;
      if (look.through) return *said = "it is through", true;
    }
    return false;
  }

  const uint64_t seed_;
  std::mt19937_64 random_;
  ServerProcess server_{
      {"--internal-tenant", "vendor", "--demo", "--time-scale", "120", "--unsafe-fast-database"}};
  SimFleet fleet_;
  uint64_t serial_ = 0;  // the newest
  std::map<Digest, uint64_t> serials_;
  int killed_ = 0, through_ = 0, halts_ = 0, halts_answered_ = 0;
  std::vector<std::string> stops_;
};

TEST_F(KillLoopTest, LosesNoExposureSkipsNoRingAndForgetsNoHalt) {
  while (killed_ < kills && !HasFatalFailure()) {
    ASSERT_NO_FATAL_FAILURE(KillSomewhere());
    ASSERT_NO_FATAL_FAILURE(KeepBusy());
    // Every third release is halted in its middle.
    if (serial_ % 3 == 2 && Granted(serial_) > 2) {
      ASSERT_NO_FATAL_FAILURE(KillAroundAHalt());
    }
  }
  ASSERT_NO_FATAL_FAILURE(KeepBusy());
  std::string said;
  EXPECT_TRUE(GoesOnOrSaysWhy(serial_, &said)) << server_.log();
  std::printf(
      "after %d kills: %llu releases, %d through, %d halted (%d answers arrived), %zu leases to %zu hosts; "
      "%s\n",
      killed_, static_cast<unsigned long long>(serial_), through_, halts_, halts_answered_,
      fleet_.grants().size(), fleet_.size(), said.c_str());
  for (const std::string& stop : stops_) std::printf("stopped: %s\n", stop.c_str());

  // However long or short the loop was: a halt in the middle, and a kill right after its answer.
  ASSERT_NO_FATAL_FAILURE(KeepBusy());
  for (int i = 0; i < 2000 && Granted(serial_) == 0; ++i) fleet_.Step();
  ASSERT_TRUE(People(server_.Channel()).Halt(serial_).ok());
  const size_t granted = Granted(serial_);
  server_.Signal(SIGKILL);
  ASSERT_NO_FATAL_FAILURE(StartAgain());
  for (int i = 0; i < 60; ++i) fleet_.Step();
  EXPECT_EQ(Granted(serial_), granted) << "a lease after the halt";
  server_.Signal(SIGTERM);
  ASSERT_EQ(server_.Wait(), 0);

  Books books;
  const absl::Status read = ReadBooks(server_.data_dir(), serial_, &books);
  ASSERT_TRUE(read.ok()) << read;
  ExpectNoExposureLost(books, fleet_, serials_);
  ExpectNoRingSkipped(books, {{"vendor", "dogfood"}, {"acme", "canary"}, {"acme", "all"}});
  ExpectNoGoodReleaseHalted(books);
  const auto halted = std::count_if(books.brakes.begin(), books.brakes.end(),
                                    [](const storage::BrakeRow& brake) { return brake.halted; });
  EXPECT_GE(halted, halts_ + 1);
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
