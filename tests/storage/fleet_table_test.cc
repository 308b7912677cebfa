#include <algorithm>
#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using FleetTableTest = StoreTest;
RF_BOTH_STORES(FleetTableTest);

EnrolTokenRow MakeToken(uint8_t number) {
  return {.token_hash = MakeDigest(number),
          .tenant = "acme",
          .created_by = "ann",
          .created_at = kNow,
          .expires_at = kNow + absl::Hours(1)};
}

AgentRow MakeAgent(uint64_t number) {
  AgentRow agent;
  agent.agent = MakeAgentId(number);
  agent.tenant = "acme";
  agent.secret_hash = MakeDigest(7);
  agent.labels = policy::Labels::Make({{"os", "win11"}, {"coinstalled", "a \"quoted\" \\ name"}}).value();
  agent.running = {{"content", MakeDigest(1)}, {"sensor", MakeDigest(2)}};
  agent.boot_id = "boot-1";
  agent.enrolled_at = kNow;
  agent.last_seen = kNow + absl::Microseconds(1);
  return agent;
}

std::vector<AgentRow> AllAgents(Store& store) {
  std::vector<AgentRow> agents;
  const absl::Status status = store.ReadWrite([&](Transaction& tx) {
    agents.clear();
    return tx.ForEachAgent([&](const AgentRow& agent) { agents.push_back(agent); });
  });
  EXPECT_TRUE(status.ok()) << status;
  return agents;
}

TEST_P(FleetTableTest, TokenCanBeTakenOnce) {
  Commit([](Transaction& tx) { return tx.PutEnrolToken(MakeToken(1)); });
  const EnrolTokenRow token = Commit([](Transaction& tx) { return tx.TakeEnrolToken(MakeDigest(1), kNow); });
  EXPECT_EQ(token.tenant, "acme");
  EXPECT_EQ(token.created_by, "ann");
  EXPECT_EQ(token.expires_at, kNow + absl::Hours(1));
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.TakeEnrolToken(MakeDigest(1), kNow).status(); }),
            absl::StatusCode::kNotFound);
}

TEST_P(FleetTableTest, ExpiredOrUnknownTokenIsNotFound) {
  Commit([](Transaction& tx) { return tx.PutEnrolToken(MakeToken(1)); });
  for (const uint8_t number : {uint8_t{1}, uint8_t{2}}) {
    EXPECT_EQ(Refusal([&](Transaction& tx) {
                return tx.TakeEnrolToken(MakeDigest(number), kNow + absl::Hours(1)).status();
              }),
              absl::StatusCode::kNotFound);
  }
}

TEST_P(FleetTableTest, TokenTakenInAFailedTransactionCanBeTakenAgain) {
  Commit([](Transaction& tx) { return tx.PutEnrolToken(MakeToken(1)); });
  EXPECT_EQ(Refusal([](Transaction& tx) {
              EXPECT_TRUE(tx.TakeEnrolToken(MakeDigest(1), kNow).ok());
              return absl::CancelledError("the agent's row could not be made");
            }),
            absl::StatusCode::kCancelled);
  Commit([](Transaction& tx) { return tx.TakeEnrolToken(MakeDigest(1), kNow); });
}

TEST_P(FleetTableTest, OneOfManyThatTakeATokenAtOnceGetsIt) {
  Commit([](Transaction& tx) { return tx.PutEnrolToken(MakeToken(1)); });
  std::atomic<int> taken = 0;
  std::atomic<int> not_found = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const absl::Status status =
          store_->ReadWrite([](Transaction& tx) { return tx.TakeEnrolToken(MakeDigest(1), kNow).status(); });
      if (status.ok()) ++taken;
      if (absl::IsNotFound(status)) ++not_found;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(not_found, 5);
}

TEST_P(FleetTableTest, AgentComesBackAsItWasPut) {
  const AgentRow agent = MakeAgent(1);
  Commit([&](Transaction& tx) { return tx.PutAgents({agent}); });
  EXPECT_EQ(Commit([&](Transaction& tx) { return tx.Agent(agent.agent); }), agent);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.Agent(MakeAgentId(2)).status(); }),
            absl::StatusCode::kNotFound);
}

TEST_P(FleetTableTest, AgentIsReplacedAndDeletedOnesAreStillFound) {
  AgentRow agent = MakeAgent(1);
  Commit([&](Transaction& tx) { return tx.PutAgents({agent}); });
  agent.labels = policy::Labels();
  agent.running.clear();
  agent.boot_id = "boot-2";
  agent.last_seen += absl::Hours(5);
  agent.deleted = true;
  Commit([&](Transaction& tx) { return tx.PutAgents({agent}); });
  EXPECT_EQ(Commit([&](Transaction& tx) { return tx.Agent(agent.agent); }), agent);
  EXPECT_THAT(AllAgents(*store_), ::testing::ElementsAre(agent));
}

TEST_P(FleetTableTest, AgentGivenTwiceInOneBatchIsTheLastOne) {
  AgentRow first = MakeAgent(1);
  AgentRow last = MakeAgent(1);
  last.boot_id = "boot-9";
  Commit([&](Transaction& tx) { return tx.PutAgents({first, MakeAgent(2), last}); });
  EXPECT_EQ(Commit([&](Transaction& tx) { return tx.Agent(last.agent); }), last);
}

TEST_P(FleetTableTest, AgentNeverChangesItsTenant) {
  Commit([](Transaction& tx) { return tx.PutAgents({MakeAgent(1)}); });
  AgentRow moved = MakeAgent(1);
  moved.tenant = "globex";
  EXPECT_EQ(Refusal([&](Transaction& tx) {
              return tx.PutAgents({MakeAgent(2), moved});
            }),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(AllAgents(*store_), ::testing::ElementsAre(MakeAgent(1)));
}

TEST_P(FleetTableTest, EveryAgentOfALargeFleetIsVisitedOnce) {
  std::vector<AgentRow> fleet;
  for (uint64_t i = 0; i < 12'001; ++i) fleet.push_back(MakeAgent(i));
  Commit([&](Transaction& tx) { return tx.PutAgents(fleet); });
  std::vector<AgentRow> visited = AllAgents(*store_);
  const auto by_id = [](const AgentRow& a, const AgentRow& b) { return a.agent < b.agent; };
  std::sort(visited.begin(), visited.end(), by_id);
  std::sort(fleet.begin(), fleet.end(), by_id);
  EXPECT_EQ(visited.size(), fleet.size());
  EXPECT_TRUE(visited == fleet);
}

TEST_P(FleetTableTest, QuarantineIsKeptAsFirstPut) {
  const QuarantineRow row{
      .tenant = "acme", .agent = MakeAgentId(1), .digest = MakeDigest(3), .at = kNow, .reason = "reverted"};
  QuarantineRow again = row;
  again.reason = "another";
  Commit([&](Transaction& tx) { return tx.PutQuarantines({row, again}); });
  Commit([&](Transaction& tx) { return tx.PutQuarantines({again}); });
  std::vector<QuarantineRow> rows;
  Commit([&](Transaction& tx) {
    return tx.ForEachQuarantine([&](const QuarantineRow& q) { rows.push_back(q); });
  });
  EXPECT_THAT(rows, ::testing::ElementsAre(row));
}

TEST_P(FleetTableTest, EventIsNewOnce) {
  const auto event = [](uint64_t seq, const char* boot = "b1") {
    return EventKey{MakeAgentId(1), boot, seq};
  };
  const auto remember = [&](std::vector<EventKey> events, absl::Time at) {
    return Commit([&](Transaction& tx) { return tx.RememberEvents(events, at); });
  };
  EXPECT_THAT(remember({event(1), event(2), event(1)}, kNow), ::testing::ElementsAre(true, true, false));
  EXPECT_THAT(remember({event(2), event(3), event(2, "b2"), event(~uint64_t{0})}, kNow + absl::Hours(1)),
              ::testing::ElementsAre(false, true, true, true));
  EXPECT_THAT(remember({event(~uint64_t{0})}, kNow), ::testing::ElementsAre(false));
  EXPECT_THAT(remember({}, kNow), ::testing::IsEmpty());
  Commit([](Transaction& tx) { return tx.ForgetEventsBefore(kNow + absl::Minutes(1)); });
  EXPECT_THAT(remember({event(1), event(3)}, kNow), ::testing::ElementsAre(true, false));
}

TEST_P(FleetTableTest, RemembersEventsForTheNextStart) {
  const std::vector<EventKey> events = {{MakeAgentId(1), "b1", 1},
                                        {MakeAgentId(1), "b1", ~uint64_t{0}},
                                        {MakeAgentId(1), "", 2},
                                        {MakeAgentId(2), "b2", 1}};
  Commit([&](Transaction& tx) { return tx.RememberEvents(events, kNow).status(); });
  std::vector<EventKey> remembered;
  Commit([&](Transaction& tx) {
    remembered.clear();
    return tx.ForEachEvent([&](const EventKey& event) { remembered.push_back(event); });
  });
  EXPECT_THAT(remembered, ::testing::UnorderedElementsAreArray(events));
}

TEST_P(FleetTableTest, EventsForgottenInAFailedTransactionAreStillKnown) {
  const EventKey event{MakeAgentId(1), "b1", 1};
  Commit([&](Transaction& tx) { return tx.RememberEvents({event}, kNow).status(); });
  EXPECT_EQ(Refusal([&](Transaction& tx) {
              EXPECT_TRUE(tx.ForgetEventsBefore(kNow + absl::Hours(1)).ok());
              return absl::CancelledError("");
            }),
            absl::StatusCode::kCancelled);
  EXPECT_THAT(Commit([&](Transaction& tx) { return tx.RememberEvents({event}, kNow); }),
              ::testing::ElementsAre(false));
}

}  // namespace
}  // namespace ringfence::storage
