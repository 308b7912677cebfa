// Spells, soaks, voids, blocks before a halt, pacing: what the traps do not name.
#include <cmath>

#include "ringfence/policy/judge/exposure_book.h"
#include "ringfence/policy/judge/halt_review.h"
#include "ringfence/policy/judge/pacing.h"
#include "ringfence/policy/judge/release_judge.h"
#include "ringfence/policy/judge/stage_draw.h"
#include "tests/policy/judge/history.h"

namespace ringfence::policy {
namespace {

using test::UsualSetup;

SpellTiming Minute() {
  return SpellTiming::For(absl::Seconds(60), absl::ZeroDuration(), absl::Hours(1));
}

TEST(SpellWatchTest, CountsACheckInAtTheDeadlineAndACrashUntilThen) {
  SpellWatch watch(absl::UnixEpoch(), Minute());
  watch.OnCheckIn(absl::UnixEpoch() + absl::Seconds(225));
  watch.OnCrash(absl::UnixEpoch() + absl::Seconds(225));
  EXPECT_FALSE(watch.IsMature(absl::UnixEpoch() + absl::Seconds(225)));
  EXPECT_TRUE(watch.IsMature(absl::UnixEpoch() + absl::Seconds(226)));
  EXPECT_EQ(watch.Outcome(), (SpellOutcome{.silent = false, .crashed = true, .gauge = 0.5}));
  SpellWatch later(absl::UnixEpoch(), Minute());
  later.OnCrash(absl::UnixEpoch() + absl::Seconds(226));
  EXPECT_FALSE(later.Outcome().crashed);
  EXPECT_TRUE(later.soak_crash_at().has_value());
}

TEST(SpellWatchTest, NoticesTheFirstGapOfTheSoak) {
  const absl::Time t0 = absl::UnixEpoch();
  SpellWatch watch(t0, Minute());
  watch.OnCheckIn(t0 + absl::Minutes(10));
  EXPECT_EQ(watch.soak_gap_at(), t0 + absl::Minutes(5));
  SpellWatch waiting(t0, Minute());
  waiting.OnCheckIn(t0 + absl::Minutes(4));
  waiting.OnTime(t0 + absl::Minutes(8));
  EXPECT_EQ(waiting.soak_gap_at(), std::nullopt);
  waiting.OnTime(t0 + absl::Minutes(9));
  EXPECT_EQ(waiting.soak_gap_at(), t0 + absl::Minutes(9));
  // A gap that is complete only at t0 + S is none.
  SpellWatch late(t0, Minute());
  for (int minute = 1; minute <= 55; ++minute) late.OnCheckIn(t0 + absl::Minutes(minute));
  late.OnTime(t0 + absl::Minutes(90));
  EXPECT_EQ(late.soak_gap_at(), std::nullopt);
}

TEST(ReleaseJudgeTest, AHostHasOneOpenSpellAndAClosedStratumTakesNone) {
  ReleaseJudge judge(UsualSetup());
  const StratumNumber stratum = judge.OpenStratum(1, 1.0);
  const Bucket::Answer drawn{Arm::kControl, 0.1, 0.0};
  ASSERT_TRUE(judge.Open(stratum, 7, 0, {}, drawn).ok());
  EXPECT_EQ(judge.Open(stratum, 7, 0, {}, drawn).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(judge.Open(stratum, 8, 0, {}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  judge.CloseStratum(stratum);
  EXPECT_EQ(judge.Open(stratum, 8, 0, {}, drawn).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ReleaseJudgeTest, StrataReachTheHaltInDrawOrder) {
  ReleaseJudge judge(UsualSetup());
  std::vector<SpellId> ids;
  for (HostIndex bucket = 0; bucket < 3; ++bucket) {
    const StratumNumber stratum = judge.OpenStratum(bucket, 1.0);
    ids.push_back(*judge.Open(stratum, bucket, 0, {}, {Arm::kTreatment, 0.001, 0.0}));
    judge.CloseStratum(stratum);
  }
  ASSERT_TRUE(judge.Mature(ids[2], {.silent = true}).ok());
  ASSERT_TRUE(judge.Mature(ids[1], {.silent = true}).ok());
  EXPECT_EQ(judge.Read().Action(), HealthAction::kHold);  // the first is still open
  EXPECT_NEAR(judge.Read().m_r_in_order, 1.0, 1e-12);
  ASSERT_TRUE(judge.Mature(ids[0], {}).ok());
  EXPECT_EQ(judge.Read().Action(), HealthAction::kHalt);
}

TEST(ReleaseJudgeTest, ADeadReplicaVoidsItsOpenStrataOfBothArms) {
  std::mt19937_64 random(5);
  const test::History history = test::RandomHistory(random, 4, 40);
  ReleaseJudge judge(UsualSetup()), before(UsualSetup());
  for (size_t b = 0; b + 1 < history.size(); ++b) {
    test::Tell(judge, history[b]);
    test::Tell(before, history[b]);
  }
  const std::vector<SpellId> ids = test::Draw(judge, history.back());
  for (size_t i = 0; i < ids.size() / 2; ++i)
    ASSERT_TRUE(judge.Mature(ids[i], history.back().spells[i].outcome).ok());
  judge.VoidOpen();
  test::ExpectSame(judge.evidence(), before.evidence());
  EXPECT_FALSE(judge.HasOpenSpell(history.back().spells.back().host));
  EXPECT_EQ(judge.Mature(ids.back(), {.silent = true}).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ReleaseJudgeTest, NamesTheCellThatIsHarmedAndSuspectsItLongBefore) {
  ReleaseJudge judge(UsualSetup());
  const std::vector<CellIndex> harmed = {2, 7};
  int bricks = 0;
  while (judge.Named().empty() && bricks < 100) {
    const StratumNumber stratum = judge.OpenStratum(static_cast<uint64_t>(bricks), 1.0);
    for (HostIndex i = 0; i < 20; ++i) {
      const std::vector<CellIndex> cells =
          i == 0 ? harmed : std::vector<CellIndex>{3, static_cast<CellIndex>(5 + i % 2)};
      const Bucket::Answer drawn{i < 2 ? Arm::kTreatment : Arm::kControl, 0.1, 0.0};
      const auto id = judge.Open(stratum, static_cast<HostIndex>(bricks) * 100 + i, 0, cells, drawn);
      ASSERT_TRUE(judge.Mature(*id, {.silent = i == 0}).ok());
    }
    judge.CloseStratum(stratum);
    judge.Read();
    ++bricks;
    EXPECT_EQ(judge.SuspectedByR(), CellIndex{2});
  }
  EXPECT_EQ(judge.Named(), harmed);  // both labels of the same hosts
  EXPECT_GT(bricks, 4);
  EXPECT_LT(bricks, 12);
}

// Records of `n` bad T at pi = 0.01, all with `cells`.
void AddBadT(RecordLog& log, int n, CellList cells) {
  StratumRecord record;
  for (int i = 0; i < n; ++i) {
    record.bad.push_back({static_cast<HostIndex>(i), cells, HealthChannel::kSilence, true, 0.01});
  }
  log.strata.push_back(std::move(record));
}

// Cells 0 and 1 are tenants, 10 and up are labels.
HaltQuestion Question(const RecordLog& log) {
  HaltQuestion question;
  question.log = &log;
  question.k_max = 64;
  question.tenants = {0, 1};
  return question;
}

TEST(HaltReviewTest, OneTenantCannotStopTheOthersBySilencingItself) {
  RecordLog log;
  AddBadT(log, 6, {0, 10});
  const HaltReview review = ReviewHalt(Question(log));
  EXPECT_EQ(review.answer, HaltAnswer::kBlockTenantHold);
  EXPECT_EQ(review.cell, 0u);
  EXPECT_NEAR(review.residual, 1.0, 1e-12);
}

TEST(HaltReviewTest, HarmOfTheInternalTenantHalts) {
  RecordLog log;
  AddBadT(log, 6, {5, 10});
  AddBadT(log, 6, {5, 11});
  HaltQuestion question = Question(log);
  question.never_block = {5};
  EXPECT_EQ(ReviewHalt(question).answer, HaltAnswer::kHalt);
}

TEST(HaltReviewTest, ANamedCellIsBlockedAndTheOthersGoOn) {
  RecordLog log;
  AddBadT(log, 6, {0, 10});
  AddBadT(log, 6, {1, 10});
  const HaltReview review = ReviewHalt(Question(log));
  EXPECT_EQ(review.answer, HaltAnswer::kBlockGoOn);
  EXPECT_EQ(review.cell, 10u);
}

TEST(HaltReviewTest, AtMostThreeCellsAreBlocked) {
  RecordLog log;
  AddBadT(log, 6, {0, 10});
  AddBadT(log, 6, {1, 10});
  HaltQuestion question = Question(log);
  question.blocked = {20, 21, 22};
  EXPECT_EQ(ReviewHalt(question).answer, HaltAnswer::kHalt);
}

TEST(HaltReviewTest, HarmEverywhereHaltsAndTheSmallerOfTwoEqualCellsIsTheOneToBlame) {
  RecordLog log;
  AddBadT(log, 6, {0, 10, 11});
  AddBadT(log, 6, {1, 10, 11});
  HaltQuestion question = Question(log);
  question.hosts_of_cell.assign(12, 1000);
  question.hosts_of_cell[11] = 30;
  EXPECT_EQ(ReviewHalt(question).cell, 11u);
  AddBadT(log, 6, {0, 12});
  AddBadT(log, 6, {1, 13});
  EXPECT_EQ(ReviewHalt(question).answer, HaltAnswer::kHalt);
}

TEST(PacingTest, PhantomsAreManyAtFirstAndNoneWhileHalfOfTheRingIsLocked) {
  const PhantomPlan plan;
  EXPECT_EQ(plan.PerT(0, 2000, 0), 20.0);
  EXPECT_EQ(plan.PerT(20, 2000, 1000), 4.0);
  EXPECT_EQ(plan.PerT(100, 2000, 0), 0.25);
  EXPECT_EQ(plan.PerT(2000, 2000, 0), 0.25);
  EXPECT_EQ(plan.PerT(0, 2000, 1001), 0.0);
}

TEST(PacingTest, WavesRoundUpAndNotByAHair) {
  EXPECT_EQ(WaveCap(0.01, 2000), 20);
  EXPECT_EQ(WaveCap(0.01, 2001), 21);
  EXPECT_EQ(WaveCap(0.07, 100), 7);
  EXPECT_EQ(WaveCap(0.01, 500, 20), 20);
  EXPECT_EQ(WaveCap(0.01, 5, 20), 5);
  EXPECT_EQ(WaveCap(1.0, 77), 77);
}

TEST(TokensForTest, NobodyIsLetInWhileStopped) {
  ExposureBook book(4, {4});
  EXPECT_EQ(TokensFor(book, 0, 1.0, std::nullopt, std::nullopt, false), 4);
  EXPECT_EQ(TokensFor(book, 0, 1.0, 3, 2, false), 2);
  EXPECT_EQ(TokensFor(book, 0, 1.0, std::nullopt, std::nullopt, true), 0);
}

TEST(StageDrawTest, ExposedHostsAndBlockedCellsAreNotDrawn) {
  ReleaseJudge judge(UsualSetup());
  ExposureBook book(4, {4});
  StageDraw draw(judge, book, 0);
  const std::vector<CellIndex> cells = {3};
  draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40});
  const DrawAnswer treated = draw.Ask(7, 0, cells, 0.0, 0.0);
  ASSERT_EQ(treated.arm, Arm::kTreatment);
  ASSERT_TRUE(judge.Mature(treated.spell, {}).ok());
  EXPECT_EQ(draw.Ask(7, 0, cells, 0.0, 0.0).refusal, DrawRefusal::kExposed);
  judge.Block(3, {});
  EXPECT_EQ(draw.Ask(8, 0, cells, 0.0, 0.0).refusal, DrawRefusal::kBlockedCell);
  EXPECT_EQ(draw.Ask(9, 0, {}, 0.999, 0.5).arm, Arm::kControl);
  draw.CloseBucket();
  EXPECT_EQ(draw.Ask(10, 0, {}, 0.0, 0.5).refusal, DrawRefusal::kBucketClosed);
}

}  // namespace
}  // namespace ringfence::policy
