#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "ringfence/base/status_macros.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using RolloutTableTest = StoreTest;
RF_BOTH_STORES(RolloutTableTest);

StageRow MakeStage(const std::string& ring) {
  StageRow row;
  row.rollout = 3;
  row.tenant = "acme";
  row.channel = "content";
  row.serial = 9;
  row.ring = ring;
  row.plan_revision = 2;
  row.why = "a wave is open; \"quoted\", {braced}, \\ and NULL";
  row.created_at = kNow;
  return row;
}

ExposureRow MakeExposure(uint64_t agent, const std::string& tenant = "acme") {
  ExposureRow row;
  row.tenant = tenant;
  row.channel = "content";
  row.serial = 9;
  row.agent = MakeAgentId(agent);
  row.bucket = (uint64_t{0xFFFFFF} << 40) + 5;  // beyond a signed 64-bit number
  row.stage = 12;
  row.ring = "canary";
  row.wave = 1;
  row.exposed_at = kNow;
  row.deadline = kNow + absl::Seconds(225);
  row.previous = MakeDigest(4);
  row.rho = 0.1 + 0.2;  // not a short decimal
  row.pi = 1.0 / 3;
  row.phi = 5e-324;
  row.cells = {"os=win11", "coinstalled={a,\"b\\\"}", "", "NULL", "locale=日本"};
  return row;
}

OutcomeUpdate MakeUpdate(const ExposureRow& row, Outcome outcome) {
  return {.tenant = row.tenant,
          .channel = row.channel,
          .serial = row.serial,
          .agent = row.agent,
          .bucket = row.bucket,
          .activated = true,
          .outcome = outcome,
          .outcome_at = kNow + absl::Minutes(4),
          .deadline = kNow + absl::Minutes(9),
          .bad = {}};
}

std::vector<ExposureRow> Exposures(Store& store, const std::string& channel = "content",
                                   uint64_t serial = 9) {
  std::vector<ExposureRow> rows;
  const absl::Status status = store.ReadWrite([&](Transaction& tx) {
    rows.clear();
    return tx.ForEachExposure(channel, serial, [&](const ExposureRow& row) { rows.push_back(row); });
  });
  EXPECT_TRUE(status.ok()) << status;
  return rows;
}

TEST_P(RolloutTableTest, StageComesBackAsItWasInserted) {
  StageRow row = MakeStage("canary");
  row.stage = Commit([&](Transaction& tx) { return tx.InsertStage(row); });
  EXPECT_GT(row.stage, 0);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Stages(); }), ::testing::ElementsAre(row));
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.InsertStage(row).status(); }),
            absl::StatusCode::kAlreadyExists);
}

TEST_P(RolloutTableTest, StageUpdateLeavesWhatMakesTheStage) {
  StageRow row = MakeStage("canary");
  row.stage = Commit([&](Transaction& tx) { return tx.InsertStage(row); });
  StageRow update = row;
  update.tenant = "globex";
  update.ring = "other";
  update.serial = 10;
  update.created_at += absl::Hours(1);
  update.plan_revision = row.plan_revision = 3;
  update.state = row.state = policy::StageState::kHeld;
  update.wave = row.wave = 2;
  update.members = row.members = 1000;
  update.cap = row.cap = 250;
  update.wave_opened_at = row.wave_opened_at = kNow + absl::Minutes(1);
  update.soaked = row.soaked = absl::Hours(200) + absl::Microseconds(7);
  update.rule = row.rule = "gate_crash";
  update.why = row.why = "two hosts crashed";
  Commit([&](Transaction& tx) { return tx.UpdateStages({update}); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Stages(); }), ::testing::ElementsAre(row));
}

TEST_P(RolloutTableTest, UpdateOfAnUnknownStageSpoilsTheTransaction) {
  StageRow known = MakeStage("canary");
  known.stage = Commit([&](Transaction& tx) { return tx.InsertStage(known); });
  StageRow changed = known;
  changed.wave = 5;
  StageRow unknown = known;
  unknown.stage = known.stage + 1;
  EXPECT_EQ(Refusal([&](Transaction& tx) {
              EXPECT_EQ(tx.UpdateStages({changed, unknown}).code(), absl::StatusCode::kNotFound);
              return absl::OkStatus();  // a body that forgets to return the error
            }),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Stages(); }), ::testing::ElementsAre(known));
}

TEST_P(RolloutTableTest, StagesAreGivenById) {
  std::vector<StageId> ids;
  for (const char* ring : {"c", "a", "b"}) {
    ids.push_back(Commit([&](Transaction& tx) { return tx.InsertStage(MakeStage(ring)); }));
  }
  std::vector<StageId> given;
  for (const StageRow& row : Commit([](Transaction& tx) { return tx.Stages(); })) given.push_back(row.stage);
  EXPECT_EQ(given, ids);
}

TEST_P(RolloutTableTest, ExposureComesBackAsItWasInserted) {
  const ExposureRow row = MakeExposure(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
  EXPECT_THAT(Exposures(*store_), ::testing::ElementsAre(row));
  EXPECT_THAT(Exposures(*store_, "content", 8), ::testing::IsEmpty());
  EXPECT_THAT(Exposures(*store_, "sensor", 9), ::testing::IsEmpty());
}

// Invariant 1: a retried commit of the same draw neither fails nor counts twice, nor undoes what was learnt
// since.
TEST_P(RolloutTableTest, ExposuresAreCountedByWhatBecameOfThem) {
  std::vector<ExposureRow> rows;
  for (uint64_t agent = 1; agent <= 7; ++agent) rows.push_back(MakeExposure(agent));
  rows[6].stage = 13;
  rows[5].serial = 8;
  rows[2].exposed_at = kNow + absl::Hours(1);
  OutcomeUpdate early = MakeUpdate(rows[0], Outcome::kSilent), late = MakeUpdate(rows[1], Outcome::kSilent);
  late.outcome_at = early.outcome_at + absl::Minutes(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures(rows); });
  Commit([&](Transaction& tx) { return tx.UpdateOutcomes({late, early}); });
  std::vector<ExposureCount> counts;
  Commit([&](Transaction& tx) {
    counts.clear();
    return tx.CountExposures("content", 9, [&](const ExposureCount& one) { counts.push_back(one); });
  });
  EXPECT_THAT(counts,
              ::testing::UnorderedElementsAre(
                  ExposureCount{12, Outcome::kSilent, true, 2, early.outcome_at, kNow},
                  ExposureCount{12, Outcome::kPending, false, 3, absl::InfinitePast(), kNow + absl::Hours(1)},
                  ExposureCount{13, Outcome::kPending, false, 1, absl::InfinitePast(), kNow}));
}

TEST_P(RolloutTableTest, ExposuresOfOneHostAreFoundByRelease) {
  std::vector<ExposureRow> rows;
  for (const uint64_t serial : {7, 8, 9}) {
    for (uint64_t agent = 1; agent <= 3; ++agent) {
      rows.push_back(MakeExposure(agent));
      rows.back().serial = serial;
    }
  }
  Commit([&](Transaction& tx) { return tx.InsertExposures(rows); });
  const auto of = [&](const std::string& tenant,
                      const std::vector<std::pair<std::string, uint64_t>>& releases) {
    std::vector<ExposureRow> found;
    Commit([&](Transaction& tx) -> absl::Status {
      auto answer = tx.ExposuresOf(tenant, MakeAgentId(2), releases);
      if (answer.ok()) found = *std::move(answer);
      return answer.status();
    });
    return found;
  };
  EXPECT_THAT(of(rows[0].tenant, {{"content", 7}, {"content", 9}, {"content", 10}, {"sensor", 8}}),
              ::testing::UnorderedElementsAre(rows[1], rows[7]));
  EXPECT_THAT(of(rows[0].tenant, {}), ::testing::IsEmpty());
  EXPECT_THAT(of("another", {{"content", 7}}), ::testing::IsEmpty());
}

TEST_P(RolloutTableTest, RepeatedExposureChangesNothing) {
  ExposureRow row = MakeExposure(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
  Commit([&](Transaction& tx) { return tx.UpdateOutcomes({MakeUpdate(row, Outcome::kConfirmed)}); });
  ExposureRow again = row;
  again.wave = 7;
  Commit([&](Transaction& tx) { return tx.InsertExposures({again, again, MakeExposure(2)}); });
  row.activated = true;
  row.outcome = Outcome::kConfirmed;
  row.outcome_at = kNow + absl::Minutes(4);
  row.deadline = kNow + absl::Minutes(9);
  EXPECT_THAT(Exposures(*store_), ::testing::UnorderedElementsAre(row, MakeExposure(2)));
}

// A commit in doubt, written again among new ones, keeps the rest of its transaction.
TEST_P(RolloutTableTest, RepeatedExposureKeepsTheRestOfItsTransaction) {
  const ExposureRow row = MakeExposure(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
  std::vector<ExposureRow> more;
  for (uint64_t agent = 5; agent > 0; --agent) more.push_back(MakeExposure(agent));
  Commit([&](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(tx.UpdateOutcomes({MakeUpdate(row, Outcome::kSilent)}));
    return tx.InsertExposures(more);
  });
  const std::vector<ExposureRow> stored = Exposures(*store_);
  EXPECT_EQ(stored.size(), 5u);
  for (const ExposureRow& one : stored) {
    EXPECT_EQ(one.outcome, one.agent == row.agent ? Outcome::kSilent : Outcome::kPending);
  }
}

// The hosts of one batch share little: each row points at its own values.
TEST_P(RolloutTableTest, ExposuresOfOneBatchKeepTheirOwnValues) {
  std::vector<ExposureRow> rows;
  for (uint64_t agent = 0; agent < 300; ++agent) {
    ExposureRow row = MakeExposure(agent, agent % 7 == 0 ? "globex" : "acme");
    row.bucket += agent % 5;
    row.wave = static_cast<int>(agent % 3);
    row.pi = 1.0 / static_cast<double>(1 + agent % 4);
    row.previous = MakeDigest(static_cast<uint8_t>(agent % 11));
    row.cells = {absl::StrCat("os=", agent % 6), ""};
    row.cells.resize(agent % 3);
    row.exposed_at += absl::Microseconds(agent);
    row.deadline = agent % 13 == 0 ? absl::InfiniteFuture() : row.exposed_at + absl::Seconds(agent);
    row.activated = agent % 2 == 0;
    row.outcome = agent % 2 == 0 ? Outcome::kConfirmed : Outcome::kPending;
    row.outcome_at = agent % 2 == 0 ? row.exposed_at : absl::InfinitePast();
    rows.push_back(row);
  }
  Commit([&](Transaction& tx) { return tx.InsertExposures(rows); });
  EXPECT_THAT(Exposures(*store_), ::testing::UnorderedElementsAreArray(rows));
}

TEST_P(RolloutTableTest, EveryOutcomeIsStored) {
  uint64_t agent = 0;
  for (const Outcome outcome : {Outcome::kPending, Outcome::kConfirmed, Outcome::kCrashed, Outcome::kFailed,
                                Outcome::kSilent, Outcome::kReverted, Outcome::kRefused, Outcome::kUnused}) {
    const ExposureRow row = MakeExposure(++agent);
    Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
    Commit([&](Transaction& tx) { return tx.UpdateOutcomes({MakeUpdate(row, outcome)}); });
    for (const ExposureRow& stored : Exposures(*store_)) {
      EXPECT_TRUE(stored.agent != row.agent || stored.outcome == outcome) << Name(outcome);
    }
  }
}

TEST_P(RolloutTableTest, WhatWentBadOfAHostIsKeptBesideItsOutcome) {
  const ExposureRow row = MakeExposure(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
  EXPECT_EQ(Exposures(*store_).front().bad, BadMarks());
  OutcomeUpdate update = MakeUpdate(row, Outcome::kReverted);
  update.bad = {.crashed = kNow + absl::Minutes(1), .degraded = kNow + absl::Minutes(2), .explained = 0.25};
  Commit([&](Transaction& tx) { return tx.UpdateOutcomes({update}); });
  EXPECT_EQ(Exposures(*store_).front().bad, update.bad);
  EXPECT_EQ(Exposures(*store_).front().outcome, Outcome::kReverted);
}

TEST_P(RolloutTableTest, LastOfTwoOutcomesInOneBatchCounts) {
  const ExposureRow row = MakeExposure(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
  Commit([&](Transaction& tx) {
    return tx.UpdateOutcomes({MakeUpdate(row, Outcome::kCrashed), MakeUpdate(row, Outcome::kReverted)});
  });
  EXPECT_EQ(Exposures(*store_).at(0).outcome, Outcome::kReverted);
}

TEST_P(RolloutTableTest, OutcomeOfAnUnknownExposureSpoilsTheTransaction) {
  const ExposureRow row = MakeExposure(1);
  Commit([&](Transaction& tx) { return tx.InsertExposures({row}); });
  OutcomeUpdate unknown = MakeUpdate(row, Outcome::kCrashed);
  unknown.bucket += 1;
  EXPECT_EQ(Refusal([&](Transaction& tx) {
              EXPECT_EQ(tx.UpdateOutcomes({MakeUpdate(row, Outcome::kCrashed), unknown}).code(),
                        absl::StatusCode::kNotFound);
              return absl::OkStatus();
            }),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(Exposures(*store_), ::testing::ElementsAre(row));
}

TEST_P(RolloutTableTest, ExposuresOfAFailedTransactionAreForgotten) {
  Commit([](Transaction& tx) { return tx.InsertExposures({MakeExposure(1)}); });
  EXPECT_EQ(Refusal([](Transaction& tx) {
              EXPECT_TRUE(tx.InsertExposures({MakeExposure(2)}).ok());
              EXPECT_TRUE(tx.UpdateOutcomes({MakeUpdate(MakeExposure(2), Outcome::kCrashed)}).ok());
              return absl::CancelledError("");
            }),
            absl::StatusCode::kCancelled);
  EXPECT_THAT(Exposures(*store_), ::testing::ElementsAre(MakeExposure(1)));
  // And the key is free again.
  Commit([](Transaction& tx) { return tx.InsertExposures({MakeExposure(2)}); });
  EXPECT_THAT(Exposures(*store_), ::testing::UnorderedElementsAre(MakeExposure(1), MakeExposure(2)));
}

TEST_P(RolloutTableTest, EveryExposureOfALargeReleaseIsVisitedOnce) {
  std::vector<ExposureRow> rows;
  for (uint64_t i = 0; i < 10'000; ++i) rows.push_back(MakeExposure(i, "acme"));
  for (uint64_t i = 0; i < 7; ++i) {
    rows.push_back(MakeExposure(i, "globex"));
    rows.push_back(rows.back());
    rows.back().bucket = i;  // the same host drawn twice
  }
  std::vector<ExposureRow> other_release = {MakeExposure(1, "aaa"), MakeExposure(2, "acme")};
  for (ExposureRow& row : other_release) row.serial = 8;
  Commit([&](Transaction& tx) { return tx.InsertExposures(other_release); });
  Commit([&](Transaction& tx) { return tx.InsertExposures(rows); });
  const auto by_key = [](const ExposureRow& a, const ExposureRow& b) {
    return std::tie(a.tenant, a.agent, a.bucket) < std::tie(b.tenant, b.agent, b.bucket);
  };
  std::vector<ExposureRow> visited = Exposures(*store_);
  std::sort(visited.begin(), visited.end(), by_key);
  std::sort(rows.begin(), rows.end(), by_key);
  EXPECT_EQ(visited.size(), rows.size());
  EXPECT_TRUE(visited == rows);
  EXPECT_THAT(Exposures(*store_, "content", 8), ::testing::UnorderedElementsAreArray(other_release));
}

EvidenceRow MakeEvidence(uint32_t replica, int64_t version) {
  EvidenceRow row;
  row.channel = "content";
  row.serial = 9;
  row.replica = replica;
  row.health_channel = policy::HealthChannel::kCrashSoak;
  row.cell = "os=win11";
  row.version = version;
  row.r = {0.1, -1.0 / 3, 1e300, 5e-324, -0.0, std::log(1000.0)};
  row.guard = {1, 2, 3, 4, -std::numeric_limits<double>::infinity()};
  row.bad_treated = version;
  row.all_treated = 10 * version;
  row.bad_control = 1;
  row.all_control = 99;
  return row;
}

TEST_P(RolloutTableTest, EvidenceIsReplacedByNewerVersionsOnly) {
  Commit([](Transaction& tx) { return tx.PutEvidence({MakeEvidence(1, 2), MakeEvidence(2, 1)}); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Evidence("content", 9); }),
              ::testing::UnorderedElementsAre(MakeEvidence(1, 2), MakeEvidence(2, 1)));
  Commit([](Transaction& tx) {
    return tx.PutEvidence({MakeEvidence(1, 1), MakeEvidence(2, 3), MakeEvidence(2, 2)});
  });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Evidence("content", 9); }),
              ::testing::UnorderedElementsAre(MakeEvidence(1, 2), MakeEvidence(2, 3)));
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Evidence("content", 8); }), ::testing::IsEmpty());
}

TEST_P(RolloutTableTest, BackgroundRatesComeBackAndTheNewestCounts) {
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Background(); }), ::testing::IsEmpty());
  const BackgroundRow linux{"linux", 167, 2800, 1.0 / 3, 0.1, 0};
  const BackgroundRow none{"", 0, 2801, 4, 0, 1};
  Commit([&](Transaction& tx) { return tx.PutBackground({linux, none}); });
  BackgroundRow later = linux;
  later.week = 2802;
  later.spells = 77;
  Commit([&](Transaction& tx) { return tx.PutBackground({later}); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Background(); }), ::testing::ElementsAre(none, later));
}

JudgementRow MakeJudgement() {
  JudgementRow row;
  row.channel = "content";
  row.serial = 9;
  row.rho0 = 1.25;
  row.k_max = 80;
  row.test = 2;
  row.cells = {"tenant acme", "ring canary", "os=win \"11\", {x}"};
  row.blocked = {"ring canary"};
  row.excluded = {"os=win \"11\", {x}"};
  row.unblocked = {{"tenant acme", absl::FromUnixSeconds(1'700'000'000)}};
  return row;
}

TEST_P(RolloutTableTest, JudgementComesBackAndItsTestNeverFalls) {
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Judgement("content", 9); }), std::nullopt);
  Commit([](Transaction& tx) { return tx.PutJudgement(MakeJudgement()); });
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Judgement("content", 9); }), MakeJudgement());
  JudgementRow later = MakeJudgement();
  later.test = 1;
  later.cells.push_back("os=xp");
  later.blocked.clear();
  Commit([&](Transaction& tx) { return tx.PutJudgement(later); });
  later.test = 2;
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Judgement("content", 9); }), later);
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Judgement("content", 8); }), std::nullopt);
}

EvidenceRecordRow MakeRecord(uint32_t replica, int64_t seq) {
  EvidenceRecordRow row;
  row.channel = "content";
  row.serial = 9;
  row.replica = replica;
  row.seq = seq;
  row.test = 2;
  row.at = absl::FromUnixMicros(1'720'000'000'123'456);
  row.bucket = uint64_t{0xffffff} << 40 | 77;
  row.rho = 1.0 / 3;
  row.treated = 4;
  row.controls = 200;
  row.phantoms = 80;
  row.late = seq == 2;
  EvidenceEvent event;
  event.agent.bytes[3] = 7;
  event.health_channel = policy::HealthChannel::kCrash;
  event.treated = true;
  event.pi = 0.1 + 0.2;  // to the last bit
  event.cells = {"tenant acme", "coinstalled=say \"hi\", \\ you"};
  row.events.push_back(event);
  event.health_channel = policy::HealthChannel::kGauge;
  event.treated = false;
  event.x = 5e-324;
  event.c = 1.0 / 3;
  event.cells.clear();
  row.events.push_back(event);
  return row;
}

TEST_P(RolloutTableTest, EvidenceRecordsComeBackInOrderAndAreNeverReplaced) {
  Commit([](Transaction& tx) {
    return tx.AppendEvidenceRecords({MakeRecord(2, 1), MakeRecord(1, 2), MakeRecord(1, 1)});
  });
  EvidenceRecordRow other = MakeRecord(1, 2);
  other.treated = 99;
  other.events.clear();
  EvidenceRecordRow soak = MakeRecord(1, 3);
  soak.soak = true;
  Commit([&](Transaction& tx) { return tx.AppendEvidenceRecords({other, soak}); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.EvidenceRecords("content", 9); }),
              ::testing::ElementsAre(MakeRecord(1, 1), MakeRecord(1, 2), soak, MakeRecord(2, 1)));
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.EvidenceRecords("content", 8); }), ::testing::IsEmpty());
}

}  // namespace
}  // namespace ringfence::storage
