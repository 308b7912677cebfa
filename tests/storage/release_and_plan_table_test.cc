#include "gmock/gmock.h"
#include "tests/storage/store_fixture.h"

namespace ringfence::storage {
namespace {

using ReleaseTableTest = StoreTest;
using PlanTableTest = StoreTest;
using TrustTableTest = StoreTest;
RF_BOTH_STORES(ReleaseTableTest);
RF_BOTH_STORES(PlanTableTest);
RF_BOTH_STORES(TrustTableTest);

ReleaseRow MakeRelease(const std::string& channel, uint64_t serial, uint8_t digest) {
  ReleaseRow row;
  row.release.channel = channel;
  row.release.kind = policy::ChannelKind::kSensor;
  row.release.serial = serial;
  row.release.version = "7.16";
  row.release.digest = MakeDigest(digest);
  row.release.size_bytes = 40'961;
  row.release.targets = {{{"os", {"win10", "win11"}}}};
  row.release.matrix = {{{{"sensor", {"7.11"}}}}, {}};
  row.release.urgent = true;
  row.release.published_at = kNow;
  row.published_by = "rex";
  row.rollout_secret = std::string("\0\xff secret", 9);
  row.release.artifacts = {
      {.path = "sensor/sensor/a \"quoted\"",
       .digest = MakeDigest(digest),
       .size_bytes = 40'961,
       .matrix = row.release.matrix,
       .qualifications = {MakeDigest(200), MakeDigest(201)}},
      {.path = "b", .digest = MakeDigest(202), .size_bytes = 1, .matrix = {{}}, .qualifications = {}}};
  row.healthy_age = absl::Minutes(90) + absl::Microseconds(3);
  return row;
}

policy::Plan MakePlan(const std::string& tenant) {
  policy::Plan plan;
  plan.tenant = tenant;
  plan.channels = {
      {.channel = "content", .mode = policy::ChannelMode::kPinned, .lag = 1, .pinned_version = "7.15"},
      {.channel = "sensor", .mode = policy::ChannelMode::kPaused, .lag = 0, .pinned_version = ""}};
  policy::Ring ring;
  ring.name = "canary";
  ring.selector = {{{"group", {"it", "o'brien \\ \"lab\""}}}};
  ring.lag = 2;
  ring.waves = {{policy::Ppm(100'000), 50}, {policy::Ppm(1'000'000), std::nullopt}};
  ring.soak = absl::Minutes(15) + absl::Milliseconds(1);
  ring.min_age = absl::Hours(26);
  ring.hosts_per_minute = 300;
  plan.rings = {ring, policy::Ring{}};
  plan.gates.crash = policy::RateGate{policy::Ppm(1'000), 2, absl::Minutes(10)};
  plan.gates.silence = policy::SilenceGate{3, policy::Ppm(10'000), 5, absl::Minutes(5)};
  plan.gates.cohort_keys = {"os", "locale"};
  plan.gates.on_breach = policy::OnBreach::kHalt;
  plan.urgent_soak_factor = policy::Ppm(250'000);
  plan.hold_revert_after = absl::InfiniteDuration();
  plan.zone = "Europe/Berlin";
  plan.channels[1].from_version = "7.14";
  plan.channels[1].below_version = "7.16";
  plan.channels[1].barriers = {"7.15"};
  const policy::Window nights{{policy::Weekday::kSaturday, policy::Weekday::kSunday}, 120, 360, "UTC"};
  plan.rings[0].windows = {nights, {{}, 1320, 60, ""}};
  plan.rings[0].approval = policy::Approval::kExplicit;
  plan.rings[0].approvers = {"ana", "role:sre"};
  plan.rings[0].selector.bucket = policy::HashBucket{1, 2500};
  plan.bucket_salt = "spring";
  plan.rollback_depth = 3;
  plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly;
  plan.uncovered_cohorts = policy::UncoveredCohorts::kHold;
  plan.valid_until = kNow;
  plan.rings[0].hasten_to = absl::Minutes(90);
  plan.channels[0].approval = policy::Approval::kExplicit;
  plan.channels[0].min_age = absl::Hours(3);
  plan.channels[0].approvers = {"ann"};
  plan.rings[0].channels = {{"sensor", 1, absl::Hours(24 * 7), policy::Approval::kAuto, {nights}}};
  plan.rings[0].channels.push_back({"content", std::nullopt, std::nullopt, std::nullopt, {}});
  plan.freezes = {{kNow, kNow + absl::Hours(1), "Christmas trade", "retail", {{"canary"}, {"sensor"}}}};
  plan.blackouts = {{"12-24", "Asia/Tokyo", "o'brien's day", "it", {{}, {"content"}}}};
  plan.deny.push_back({MakeDigest(9), "", "", "bricked the lab", "it"});
  plan.deny.push_back({std::nullopt, "sensor", "7.15.2", "bricked the lab", "it"});
  plan.urgent =
      policy::Urgent{policy::UrgentMode::kAllow, {"canary"}, absl::Hours(1), absl::Minutes(9), true};
  return plan;
}

TEST_P(ReleaseTableTest, ReleaseComesBackAsItWasInserted) {
  ReleaseRow row = MakeRelease("content", 1, 1);
  row.rollout = Commit([&](Transaction& tx) { return tx.InsertRelease(row); });
  EXPECT_GT(row.rollout, 0);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Releases(); }), ::testing::ElementsAre(row));
}

TEST_P(ReleaseTableTest, ReleasesAreOrderedByChannelThenSerial) {
  const std::vector<std::pair<std::string, uint64_t>> inserted = {
      {"b-b", 2}, {"b-b", 10}, {"b", 3}, {"ba", 1}, {"a", 9}};
  for (const auto& key : inserted) {
    Commit([&](Transaction& tx) {
      return tx.InsertRelease(MakeRelease(key.first, key.second, static_cast<uint8_t>(key.second))).status();
    });
  }
  std::vector<std::pair<std::string, uint64_t>> order;
  for (const ReleaseRow& row : Commit([](Transaction& tx) { return tx.Releases(); })) {
    order.emplace_back(row.release.channel, row.release.serial);
  }
  EXPECT_THAT(order, ::testing::ElementsAre(std::pair("a", 9), std::pair("b", 3), std::pair("b-b", 2),
                                            std::pair("b-b", 10), std::pair("ba", 1)));
}

TEST_P(ReleaseTableTest, ASerialIsTakenOncePerChannelAndADigestOnceInAll) {
  Commit([](Transaction& tx) { return tx.InsertRelease(MakeRelease("content", 1, 1)).status(); });
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.InsertRelease(MakeRelease("content", 1, 2)).status(); }),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.InsertRelease(MakeRelease("content", 2, 1)).status(); }),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.InsertRelease(MakeRelease("sensor", 1, 1)).status(); }),
            absl::StatusCode::kAlreadyExists);
  Commit([](Transaction& tx) { return tx.InsertRelease(MakeRelease("sensor", 1, 3)).status(); });
}

TEST_P(ReleaseTableTest, TransactionGoesOnAfterARefusedInsert) {
  Commit([](Transaction& tx) { return tx.InsertRelease(MakeRelease("content", 1, 1)).status(); });
  Commit([](Transaction& tx) {
    EXPECT_EQ(tx.InsertRelease(MakeRelease("content", 1, 2)).status().code(),
              absl::StatusCode::kAlreadyExists);
    return tx.PutSetting("seen", "yes");
  });
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.Setting("seen"); }), "yes");
}

TEST_P(ReleaseTableTest, StateAndHealthyAgeAreSet) {
  Commit([](Transaction& tx) { return tx.InsertRelease(MakeRelease("content", 1, 1)).status(); });
  Commit([](Transaction& tx) { return tx.SetReleaseState("content", 1, ReleaseState::kRecalled); });
  Commit([](Transaction& tx) { return tx.SetHealthyAge("content", 1, absl::Hours(30)); });
  const ReleaseRow row = Commit([](Transaction& tx) { return tx.Releases(); }).at(0);
  EXPECT_EQ(row.state, ReleaseState::kRecalled);
  EXPECT_EQ(row.healthy_age, absl::Hours(30));
  EXPECT_EQ(
      Refusal([](Transaction& tx) { return tx.SetReleaseState("content", 2, ReleaseState::kRecalled); }),
      absl::StatusCode::kNotFound);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.SetHealthyAge("sensor", 1, absl::Hours(1)); }),
            absl::StatusCode::kNotFound);
}

TEST_P(ReleaseTableTest, ChunkOfAllByteValuesComesBackAndIsIdempotent) {
  std::string chunk;
  for (int i = 0; i < (1 << 20); ++i) chunk.push_back(static_cast<char>(i * 7));
  for (int i = 0; i < 2; ++i) {
    Commit([&](Transaction& tx) { return tx.PutArtifactChunk(MakeDigest(1), 3, chunk); });
  }
  EXPECT_TRUE(Commit([&](Transaction& tx) { return tx.ArtifactChunk(MakeDigest(1), 3); }) == chunk);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.ArtifactChunk(MakeDigest(1), 0).status(); }),
            absl::StatusCode::kNotFound);
}

TEST_P(TrustTableTest, OfANameTheNewestCountsAndTheOlderStaysByItsDigest) {
  const TrustDocumentRow old{"trust.json", MakeDigest(1), std::string("{\0\xff}", 4), kNow};
  const TrustDocumentRow fresh{"trust.json", MakeDigest(2), "{}\n", kNow + absl::Hours(1)};
  for (const TrustDocumentRow* row : {&old, &fresh, &old})  // what is there stays where it is
    Commit([&](Transaction& tx) { return tx.PutTrustDocument(*row); });
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.TrustDocument("trust.json", std::nullopt); }), fresh);
  EXPECT_EQ(Commit([](Transaction& tx) { return tx.TrustDocument("trust.json", MakeDigest(1)); }), old);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.TrustDocument("trust.json", MakeDigest(3)).status(); }),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Refusal([](Transaction& tx) { return tx.TrustDocument("1.root.json", std::nullopt).status(); }),
            absl::StatusCode::kNotFound);
}

TEST_P(TrustTableTest, ADocumentIsBounded) {
  TrustDocumentRow row{"5.targets.json", MakeDigest(1), std::string(kMaxTrustDocumentBytes, 'x'), kNow};
  Commit([&](Transaction& tx) { return tx.PutTrustDocument(row); });
  const auto refused = [&] { return Refusal([&](Transaction& tx) { return tx.PutTrustDocument(row); }); };
  row.bytes += 'x';
  EXPECT_EQ(refused(), absl::StatusCode::kInvalidArgument);
  row.bytes = "";
  EXPECT_EQ(refused(), absl::StatusCode::kInvalidArgument);
  row = {std::string(kMaxTrustDocumentName + 1, 'n'), MakeDigest(1), "x", kNow};
  EXPECT_EQ(refused(), absl::StatusCode::kInvalidArgument);
}

TEST_P(PlanTableTest, PlanComesBackAsItWasInserted) {
  const PlanRow row{.plan = MakePlan("acme"), .revision = 1, .applied_by = "ann", .applied_at = kNow};
  Commit([&](Transaction& tx) { return tx.InsertPlan(row); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.NewestPlans(); }), ::testing::ElementsAre(row));
}

TEST_P(PlanTableTest, RevisionsRiseWithoutGaps) {
  PlanRow row{.plan = MakePlan("acme"), .revision = 2, .applied_by = "ann", .applied_at = kNow};
  const auto insert = [&](Transaction& tx) { return tx.InsertPlan(row); };
  EXPECT_EQ(Refusal(insert), absl::StatusCode::kAborted);
  row.revision = 1;
  Commit(insert);
  EXPECT_EQ(Refusal(insert), absl::StatusCode::kAborted);
  row.revision = 3;
  EXPECT_EQ(Refusal(insert), absl::StatusCode::kAborted);
  row.revision = 2;
  row.applied_by = "bob";
  Commit(insert);
  std::vector<int64_t> revisions;
  for (const PlanRow& plan : Commit([](Transaction& tx) { return tx.PlanHistory("acme"); })) {
    revisions.push_back(plan.revision);
  }
  EXPECT_THAT(revisions, ::testing::ElementsAre(2, 1));
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.PlanHistory("globex"); }), ::testing::IsEmpty());
}

TEST_P(PlanTableTest, NewestPlanOfEachTenantIsGivenByTenant) {
  for (const char* tenant : {"b", "a-b", "a"}) {
    for (const int64_t revision : {1, 2}) {
      Commit([&](Transaction& tx) {
        return tx.InsertPlan(
            {.plan = MakePlan(tenant), .revision = revision, .applied_by = "ann", .applied_at = kNow});
      });
    }
  }
  std::vector<std::pair<std::string, int64_t>> newest;
  for (const PlanRow& row : Commit([](Transaction& tx) { return tx.NewestPlans(); })) {
    newest.emplace_back(row.plan.tenant, row.revision);
  }
  EXPECT_THAT(newest, ::testing::ElementsAre(std::pair("a", 2), std::pair("a-b", 2), std::pair("b", 2)));
}

TEST_P(PlanTableTest, APlanWithNothingNewIsWrittenAsBefore) {
  policy::Plan plan;
  plan.tenant = "acme";
  plan.channels = {
      {.channel = "content", .mode = policy::ChannelMode::kFollow, .lag = 0, .pinned_version = ""}};
  plan.rings.emplace_back().name = "all";
  const PlanRow row{.plan = plan, .revision = 1, .applied_by = "ann", .applied_at = kNow};
  Commit([&](Transaction& tx) { return tx.InsertPlan(row); });
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.PlanHistory("acme"); }), ::testing::ElementsAre(row));
}

TEST_P(PlanTableTest, WhatAPersonSaidOfAReleaseIsFinal) {
  const ConsentRow broad{"acme", "content", 7, "", true, "ann", "looked at it", kNow, absl::Minutes(90)};
  ConsentRow ring = broad;
  ring.ring = "theatres";
  ring.min_age.reset();
  ring.approved = false;
  Commit([&](Transaction& tx) { return tx.InsertConsent(ring); });
  Commit([&](Transaction& tx) { return tx.InsertConsent(broad); });
  ConsentRow again = ring;
  again.approved = true;
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.InsertConsent(again); }),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Consents(); }), ::testing::ElementsAre(broad, ring));
}

TEST_P(PlanTableTest, ATenantAcknowledgesAReleaseOnce) {
  const AcknowledgementRow row{"acme", "content", 7, "ann", "seen", kNow};
  AcknowledgementRow elsewhere = row;
  elsewhere.tenant = "globex";
  Commit([&](Transaction& tx) { return tx.InsertAcknowledgement(elsewhere); });
  Commit([&](Transaction& tx) { return tx.InsertAcknowledgement(row); });
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.InsertAcknowledgement(row); }),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.Acknowledgements(); }),
              ::testing::ElementsAre(row, elsewhere));
}

TEST_P(PlanTableTest, KeepsWhatTenantsSignedInTheirOrderAndOnce) {
  SignedRow plan{"acme", SignedKind::kPlan, 2,   std::string("{\"payload\":\"\0\"}", 15), 3,
                 "ana",  "tenant-admin",    kNow};
  SignedRow first = plan, decision = plan, other = plan;
  first.number = 1;
  first.revision = 2;
  decision.kind = SignedKind::kDecision;
  decision.revision = 0;
  other.tenant = "bolt";
  for (const SignedRow& row : {other, decision, plan, first})
    Commit([&](Transaction& tx) { return tx.InsertSigned(row); });
  SignedRow again = plan;
  again.envelope = "another";
  EXPECT_EQ(Refusal([&](Transaction& tx) { return tx.InsertSigned(again); }),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.SignedDocuments("acme"); }),
              ::testing::ElementsAre(first, plan, decision));
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.SignedDocuments(""); }),
              ::testing::ElementsAre(first, plan, decision, other));
}

TEST_P(PlanTableTest, PlanOfAFailedTransactionIsForgotten) {
  EXPECT_EQ(
      Refusal([](Transaction& tx) {
        EXPECT_TRUE(
            tx.InsertPlan({.plan = MakePlan("acme"), .revision = 1, .applied_by = "", .applied_at = kNow})
                .ok());
        return absl::CancelledError("");
      }),
      absl::StatusCode::kCancelled);
  EXPECT_THAT(Commit([](Transaction& tx) { return tx.NewestPlans(); }), ::testing::IsEmpty());
}

}  // namespace
}  // namespace ringfence::storage
