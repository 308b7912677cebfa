#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "ringfence/base/status_macros.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using JournalTableTest = StoreTest;
RF_BOTH_STORES(JournalTableTest);

DecisionRow MakeDecision(const std::string& tenant, uint64_t serial) {
  DecisionRow row;
  row.at = kNow;
  row.tenant = tenant;
  row.channel = "content";
  row.serial = serial;
  row.ring = "canary";
  row.stage = 4;
  row.action = "open_wave";
  row.rule = "soak";
  row.actor = "server";
  row.why = "soaked for 15m";
  row.cohort = "os=xp-sp3";
  row.evidence = "{ \"m_r\": 1.50,  \"b\":[1, 2] }";  // its very text is what the decision is run again on
  return row;
}

AuditRow MakeAudit(const std::string& tenant, const std::string& act) {
  AuditRow row;
  row.at = kNow;
  row.person = "ann";
  row.role = "tenant-admin";
  row.tenant = tenant;
  row.act = act;
  row.target = "content/9";
  row.reason = "it's broken";
  row.before = "{}";
  row.after = "not json\n\ttext";
  row.request_id = "r-1";
  return row;
}

std::vector<uint64_t> Serials(const std::vector<DecisionRow>& rows) {
  std::vector<uint64_t> serials;
  for (const DecisionRow& row : rows) serials.push_back(row.serial);
  return serials;
}

TEST_P(JournalTableTest, DecisionComesBackWithItsEvidenceBitForBit) {
  DecisionRow row = MakeDecision("acme", 1);
  row.id = Commit([&](Transaction& tx) { return tx.AppendDecision(row); });
  DecisionRow bare = row;
  bare.evidence.clear();
  bare.id = Commit([&](Transaction& tx) { return tx.AppendDecision(bare); });
  EXPECT_GT(bare.id, row.id);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Decisions({}); }), ::testing::ElementsAre(bare, row));
}

TEST_P(JournalTableTest, DecisionsAreFilteredNewestFirst) {
  const std::vector<std::pair<std::string, uint64_t>> made = {
      {"acme", 1}, {"", 2}, {"globex", 3}, {"acme", 4}, {"acme", 1}};
  for (const auto& decision : made) {
    Commit([&](Transaction& tx) {
      return tx.AppendDecision(MakeDecision(decision.first, decision.second)).status();
    });
  }
  const auto serials = [&](DecisionFilter filter) {
    return Serials(Commit([&](Transaction& tx) { return tx.Decisions(filter); }));
  };
  DecisionFilter acme;
  acme.tenant = "acme";
  EXPECT_THAT(serials(acme), ::testing::ElementsAre(1, 4, 2, 1)) << "with those for all tenants";
  DecisionFilter first;
  first.serial = 1;
  EXPECT_THAT(serials(first), ::testing::ElementsAre(1, 1));
  DecisionFilter sensor;
  sensor.channel = "sensor";
  EXPECT_THAT(serials(sensor), ::testing::IsEmpty());
}

TEST_P(JournalTableTest, DecisionsArePagedWithoutGapOrRepeat) {
  for (uint64_t serial = 1; serial <= 7; ++serial) {
    Commit([&](Transaction& tx) { return tx.AppendDecision(MakeDecision("acme", serial)).status(); });
  }
  DecisionFilter filter;
  filter.limit = 3;
  std::vector<uint64_t> read;
  for (;;) {
    const auto page = Commit([&](Transaction& tx) { return tx.Decisions(filter); });
    if (page.empty()) break;
    EXPECT_LE(page.size(), 3u);
    for (const uint64_t serial : Serials(page)) read.push_back(serial);
    filter.before = page.back().id;
  }
  EXPECT_THAT(read, ::testing::ElementsAre(7, 6, 5, 4, 3, 2, 1));
}

TEST_P(JournalTableTest, AuditIsReadNewestFirstAndByTenant) {
  for (const AuditRow& row :
       {MakeAudit("acme", "a"), MakeAudit("", "b"), MakeAudit("globex", "c"), MakeAudit("acme", "d")}) {
    Commit([&](Transaction& tx) { return tx.AppendAudit(row); });
  }
  const auto acts = [&](AuditFilter filter) {
    std::string all;
    for (const AuditRow& row : Commit([&](Transaction& tx) { return tx.Audit(filter); })) all += row.act;
    return all;
  };
  EXPECT_EQ(acts({}), "dcba");
  AuditFilter acme;
  acme.tenant = "acme";
  EXPECT_EQ(acts(acme), "da");
  acme.limit = 1;
  EXPECT_EQ(acts(acme), "d");
  const AuditRow newest = Commit([](Transaction& tx) { return tx.Audit({}); }).at(0);
  AuditRow expected = MakeAudit("acme", "d");
  expected.id = newest.id;
  EXPECT_EQ(newest, expected);
  AuditFilter older;
  older.before = newest.id;
  EXPECT_EQ(acts(older), "cba");
}

TEST_P(JournalTableTest, RequestIsRememberedOnce) {
  const RequestRow row{.request_id = "r-1",
                       .person = "ann",
                       .method = "HaltRollout",
                       .fingerprint = MakeDigest(1),
                       .response = std::string("\0\x01\xfe", 3),
                       .at = kNow};
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.FindRequest("r-1"); }), std::nullopt);
  Commit([&](Transaction& tx) { return tx.PutRequest(row); });
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.FindRequest("r-1"); }), row);
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.PutRequest(row); }), absl::StatusCode::kAlreadyExists);
}

TEST_P(JournalTableTest, SettingIsUnsetThenSetThenChanged) {
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Setting("internal_tenant"); }), std::nullopt);
  for (const char* value : {"vendor", "none", ""}) {
    Commit([&](Transaction& tx) { return tx.PutSetting("internal_tenant", value); });
    EXPECT_EQ(Commit([](Transaction& tx) { return tx.Setting("internal_tenant"); }), value);
  }
}

TEST_P(JournalTableTest, NoTwoStartsGetTheSameReplicaEpoch) {
  Mutex mutex;
  std::set<uint32_t> epochs;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int start = 0; start < 5; ++start) {
        uint32_t epoch = 0;
        EXPECT_TRUE(store_
                        ->ReadWrite([&](Transaction& tx) {
                          const auto given = tx.NextReplicaEpoch("replica", kNow);
                          epoch = given.value_or(0);
                          return given.status();
                        })
                        .ok());
        EXPECT_GE(epoch, 1u);
        EXPECT_LT(epoch, 1u << 24);
        MutexLock lock(&mutex);
        EXPECT_TRUE(epochs.insert(epoch).second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(epochs.size(), 20u);
}

TEST_P(JournalTableTest, OldLeaderIsRefusedAfterATakeOver) {
  const int64_t first = Commit([](Transaction& tx) { return tx.TakeLeaderEpoch("one", kNow); });
  Commit([&](Transaction& tx) { return tx.CheckLeaderEpoch(first); });
  const int64_t second = Commit([](Transaction& tx) { return tx.TakeLeaderEpoch("two", kNow); });
  EXPECT_GT(second, first);
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.CheckLeaderEpoch(first); }), absl::StatusCode::kAborted);
  Commit([&](Transaction& tx) { return tx.CheckLeaderEpoch(second); });
}

TEST_P(JournalTableTest, ALeadersContactIsReadByOthersAndEndsWithItsEpoch) {
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.Leader().status(); }), absl::StatusCode::kNotFound);
  const std::string secret("\0it's raw\xff", 11);
  const int64_t first = Commit([&](Transaction& tx) -> absl::StatusOr<int64_t> {
    ASSIGN_OR_RETURN(const int64_t epoch, tx.TakeLeaderEpoch("one", kNow));
    RETURN_IF_ERROR(tx.PutLeaderContact(epoch, "10.0.0.1:7443", secret));
    return epoch;
  });
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Leader(); }),
            (LeaderRow{first, "one", "10.0.0.1:7443", secret}));
  const int64_t second = Commit([](Transaction& tx) { return tx.TakeLeaderEpoch("two", kNow); });
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Leader(); }), (LeaderRow{second, "two", "", ""}));
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.PutLeaderContact(first, "10.0.0.1:7443", secret); }),
            absl::StatusCode::kAborted);
}

TEST_P(JournalTableTest, TakeOverOfAFailedTransactionDidNotHappen) {
  const int64_t first = Commit([](Transaction& tx) { return tx.TakeLeaderEpoch("one", kNow); });
  EXPECT_EQ(Refusal([](Transaction& tx) {
              EXPECT_TRUE(tx.TakeLeaderEpoch("two", kNow).ok());
              return absl::CancelledError("");
            }),
            absl::StatusCode::kCancelled);
  Commit([&](Transaction& tx) { return tx.CheckLeaderEpoch(first); });
}

}  // namespace
}  // namespace ringfence::storage
