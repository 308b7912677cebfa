// The traps of the method (docs/health-analysis.md, section 14), each a test by its name.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/time/time.h"
#include "ringfence/policy/judge/exposure_book.h"
#include "ringfence/policy/judge/hearing.h"
#include "ringfence/policy/judge/pacing.h"
#include "ringfence/policy/judge/stage_draw.h"
#include "ringfence/policy/judge/stop_state.h"
#include "tests/policy/judge/history.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

using test::UsualSetup;

constexpr double kTreat = 0.0;      // a u that is T whenever pi > 0
constexpr double kControl = 0.999;  // a u that is C

// One stage with its judge and book, for 2000 hosts.
struct Stage {
  explicit Stage(JudgeSetup setup = UsualSetup(), int64_t b0 = 4) : judge(std::move(setup)), book(b0, {b0}) {}
  ReleaseJudge judge;
  ExposureBook book;
  StageDraw draw{judge, book, 0};

  DrawAnswer Ask(HostIndex host, double u, CellSpan cells = {}) { return draw.Ask(host, 0, cells, 0.0, u); }
};

const RVector& Silence(const ReleaseJudge& judge) {
  return judge.evidence().r(HealthChannel::kSilence).release();
}

TEST(TrapsTest, Trap01PiIsFixedBeforeTheCoin) {
  // Two histories that differ in the arm of host 7 alone.
  Stage treated, control;
  for (Stage* stage : {&treated, &control}) {
    stage->draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40});
    for (HostIndex host = 0; host < 7; ++host) stage->Ask(host, kControl);
  }
  EXPECT_EQ(treated.Ask(7, kTreat).arm, Arm::kTreatment);
  EXPECT_EQ(control.Ask(7, kControl).arm, Arm::kControl);
  EXPECT_EQ(treated.judge.Find(7)->drawn.pi, control.judge.Find(7)->drawn.pi);
  EXPECT_EQ(treated.judge.Find(7)->drawn.pi, 0.1);
}

TEST(TrapsTest, Trap02TheOutcomeKnowsNoArm) {
  // SpellWatch has neither arm nor version to look at; here it hears a host that falls silent and one that
  // does not.
  const SpellTiming timing = SpellTiming::For(absl::Seconds(60), absl::ZeroDuration(), absl::Hours(1));
  const absl::Time t0 = absl::UnixEpoch();
  SpellWatch heard(t0, timing), silent(t0, timing);
  for (int second : {30, 90, 150, 210}) heard.OnCheckIn(t0 + absl::Seconds(second));
  silent.OnCheckIn(t0 + absl::Seconds(75));   // not after a
  silent.OnCheckIn(t0 + absl::Seconds(226));  // after D
  EXPECT_EQ(heard.Outcome(), (SpellOutcome{.silent = false, .crashed = false, .gauge = 0.0}));
  EXPECT_EQ(silent.Outcome(), (SpellOutcome{.silent = true, .crashed = false, .gauge = 1.0}));
}

TEST(TrapsTest, Trap03NoEventIsSkipped) {
  Stage stage;
  // A bucket that gets no T: its bad C counts.
  stage.draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40});
  const DrawAnswer control = stage.Ask(1, kControl);
  ASSERT_TRUE(stage.judge.Mature(control.spell, {.silent = true}).ok());
  RVector wanted;
  wanted.AddBad(false, 0.1, UsualSetup().rho0);
  EXPECT_EQ(Silence(stage.judge).l, wanted.l);
  EXPECT_LT(wanted.l[5], -5.0);
  // A C that was drawn with pi = 0 adds exactly nothing.
  stage.draw.OpenBucket({.bucket = 2, .tokens = 0, .forecast = 40});
  const DrawAnswer without_coin = stage.Ask(2, kControl);
  ASSERT_TRUE(stage.judge.Mature(without_coin.spell, {.silent = true}).ok());
  EXPECT_EQ(Silence(stage.judge).l, wanted.l);
}

TEST(TrapsTest, Trap04ARepeatedRequestGetsTheLoggedAnswer) {
  Stage stage;
  stage.draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40});
  const DrawAnswer first = stage.Ask(7, kTreat);
  EXPECT_FALSE(first.repeated);
  for (int i = 0; i < 100; ++i) {
    const DrawAnswer again = stage.Ask(7, i % 2 == 0 ? kTreat : kControl);
    EXPECT_TRUE(again.repeated);
    EXPECT_EQ(again.arm, Arm::kTreatment);
    EXPECT_EQ(again.spell.index, first.spell.index);
  }
  EXPECT_EQ(stage.book.release().unproven, 1);
  EXPECT_EQ(stage.draw.enrolled(), 1);
  // In a later bucket it is locked until its spell ends.
  stage.draw.OpenBucket({.bucket = 2, .tokens = 4, .forecast = 40});
  EXPECT_EQ(stage.Ask(7, kTreat).refusal, DrawRefusal::kOpenSpell);
}

TEST(TrapsTest, Trap05ASpellThatWasNeverUsedIsATSpell) {
  Stage stage;
  stage.draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40});
  const DrawAnswer treated = stage.Ask(7, kTreat);
  std::vector<SpellId> controls;
  for (HostIndex host = 20; host < 25; ++host) controls.push_back(stage.Ask(host, kControl).spell);
  stage.draw.CloseBucket();
  // The lease ran out unused: it leaves U, and nothing else changes.
  EXPECT_TRUE(stage.book.Hear(News::kReleased, 7, 0, {}));
  EXPECT_EQ(stage.book.release().unproven, 0);
  for (const SpellId& id : controls) ASSERT_TRUE(stage.judge.Mature(id, {}).ok());
  ASSERT_TRUE(stage.judge.Mature(treated.spell, {.silent = true}).ok());
  EXPECT_GT(stage.judge.Read().m_r, 1.0);
  EXPECT_GT(stage.judge.Read().m_a, 1.0);
  const RecordLog log = stage.judge.TakeRecords();
  ASSERT_EQ(log.strata.size(), 1u);
  EXPECT_EQ(log.strata[0].treated, 1);
  EXPECT_EQ(log.strata[0].controls, 5);
}

// Sum over all arms of one bucket of `hosts` hosts of one cell, of probability times exp(l_j), when every
// host from place `bad_from` on turns bad.
std::array<double, 6> MeanFactor(int hosts, int bad_from, int64_t cell_cap) {
  std::array<double, 6> mean{};
  const CellIndex cell = 0;
  for (unsigned arms = 0; arms < 1u << hosts; ++arms) {
    JudgeSetup setup = UsualSetup();
    setup.rho0 = 1.0;
    Stage stage(setup, cell_cap);
    stage.draw.OpenBucket({.bucket = 1, .tokens = 100, .forecast = 100});
    double probability = 1.0;
    std::vector<std::pair<int, SpellId>> spells;
    bool counted = true;
    for (int i = 0; i < hosts; ++i) {
      const bool treat = (arms >> i & 1) != 0;
      const DrawAnswer answer = stage.Ask(static_cast<HostIndex>(i), treat ? kTreat : kControl, {&cell, 1});
      if (answer.arm == Arm::kNone) {
        // Refused before its coin: the two values of its bit are one outcome.
        counted = counted && !treat;
        continue;
      }
      const double pi = stage.judge.Find(static_cast<HostIndex>(i))->drawn.pi;
      probability *= treat ? pi : 1 - pi;
      spells.emplace_back(i, answer.spell);
    }
    if (!counted) continue;
    for (const auto& [place, id] : spells) {
      EXPECT_TRUE(stage.judge.Mature(id, {.silent = place >= bad_from}).ok());
    }
    for (size_t j = 0; j < mean.size(); ++j) mean[j] += probability * std::exp(Silence(stage.judge).l[j]);
  }
  return mean;
}

TEST(TrapsTest, Trap06ACapThatClosesDuringTheBucketLeaksNothing) {
  for (const int64_t cap : {1, 2}) {
    for (const double mean : MeanFactor(10, 3, cap)) EXPECT_NEAR(mean, 1.0, 1e-9) << cap;
  }
}

TEST(TrapsTest, Trap08EvidenceOfReplicasAddsAndWhatIsLateNeverHalts) {
  std::mt19937_64 random(ringfence::test::Seed(221));
  test::History history = test::RandomHistory(random, 6, 50);
  for (size_t i = 0; i < history[2].spells.size(); ++i) {
    history[2].spells[i].drawn = {i % 5 == 0 ? Arm::kTreatment : Arm::kControl, 0.1, 0.0};
  }
  ReleaseJudge on_time(UsualSetup()), late(UsualSetup());
  for (size_t b = 0; b < history.size(); ++b) {
    if (b != 2) {
      test::Tell(on_time, history[b]);
      test::Tell(late, history[b]);
      continue;
    }
    // This bucket stays undelivered, is given up, and arrives at the end.
    const std::vector<SpellId> ids = test::Draw(late, history[b]);
    late.MarkLate(3);
    late.Read();
    for (size_t i = 0; i < ids.size(); ++i) {
      ASSERT_TRUE(late.Mature(ids[i], {.silent = history[b].spells[i].drawn.arm == Arm::kTreatment}).ok());
      late.EndSoak(history[b].spells[i].host);
    }
  }
  // Bit for bit.
  test::ExpectSame(late.in_order(), on_time.in_order(), 0.0);
  EXPECT_EQ(late.Read().m_r_in_order, on_time.Read().m_r_in_order);
  EXPECT_GT(late.Read().m_r, on_time.Read().m_r);
  const RecordLog log = late.TakeRecords();
  EXPECT_EQ(std::count_if(log.strata.begin(), log.strata.end(), [](const auto& one) { return one.late; }), 1);
}

TEST(TrapsTest, Trap08WhatIsLateHoldsAtMost) {
  HealthReading reading{.m_r = 1e9, .m_r_in_order = 5.0, .m_a = 1.0};
  EXPECT_EQ(reading.Action(), HealthAction::kHold);
  reading.m_r_in_order = 1000.0;
  EXPECT_EQ(reading.Action(), HealthAction::kHalt);
}

TEST(TrapsTest, Trap10TheSoakCoinIsThatOfTheDraw) {
  Stage stage;
  stage.draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40, .phantoms_per_t = 4});
  const DrawAnswer treated = stage.Ask(7, kTreat);
  // Phantoms stop, the coin changes, the short spell matures.
  stage.draw.OpenBucket({.bucket = 2, .tokens = 1, .forecast = 400, .phantoms_per_t = 0});
  stage.Ask(8, kControl);
  ASSERT_TRUE(stage.judge.Mature(treated.spell, {}).ok());
  EXPECT_TRUE(stage.judge.SoakBad(7, HealthChannel::kSilenceSoak));
  RVector wanted;
  wanted.AddBad(true, 0.1 / (0.1 + 0.4), UsualSetup().rho0);
  EXPECT_EQ(stage.judge.evidence().r(HealthChannel::kSilenceSoak).release().l, wanted.l);
}

TEST(TrapsTest, Trap10WithoutPhantomsASoakSaysNothing) {
  Stage stage;
  stage.draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = 40});
  stage.Ask(7, kTreat);
  EXPECT_FALSE(stage.judge.HasOpenSoak(7));
  EXPECT_FALSE(stage.judge.SoakBad(7, HealthChannel::kCrashSoak));
}

TEST(TrapsTest, Trap11TheForecastOfABucketSeesNothingOfIt) {
  AskerForecast forecast;
  EXPECT_FALSE(forecast.has_seen_a_bucket());
  forecast.EndBucket(100, 30);
  EXPECT_EQ(forecast.Next(5), 75.0);
  Stage stage;
  stage.draw.OpenBucket({.bucket = 1, .tokens = 4, .forecast = forecast.Next(5)});
  const DrawRates before = stage.draw.bucket().rates();
  for (HostIndex host = 0; host < 500; ++host) stage.Ask(host, kControl);
  EXPECT_EQ(stage.draw.bucket().rates().pi, before.pi);
  EXPECT_EQ(stage.draw.bucket().rates().rho, before.rho);
  EXPECT_EQ(forecast.Next(5), 75.0);
}

TEST(TrapsTest, Trap12EmptySlotsCountOneAndNothingOverflows) {
  for (const CellIndex cells : {0u, 64u}) {
    EvidenceTable table(64, 1.0);
    for (CellIndex cell = 0; cell < cells; ++cell) table.AddGauge({&cell, 1}, true, 0.5, 0.0, 0.0);
    EXPECT_NEAR(table.M(), 1.0, 1e-12) << cells;
  }
  EvidenceTable table(64, 1.0);
  const std::vector<CellIndex> cells = {0, 63};
  for (int i = 0; i < 10'000; ++i) table.AddBad(HealthChannel::kSilence, cells, true, 0.01);
  EXPECT_TRUE(std::isfinite(table.M()));
  EXPECT_GE(table.M(), kHaltAt);
  EXPECT_GT(table.r(HealthChannel::kSilence).release().l[5], 10'000.0);  // not clipped
}

TEST(TrapsTest, Trap12CellsBeyondTheSlotsShareOne) {
  CellSlots slots(0);
  ASSERT_EQ(slots.k_max(), 64);
  for (uint32_t cell = 0; cell < 64; ++cell)
    EXPECT_EQ(slots.SlotsOf({&cell, 1}), std::vector<CellIndex>{cell});
  EXPECT_FALSE(slots.IsOther(63));
  const std::vector<uint32_t> late = {100, 101, 2};
  EXPECT_EQ(slots.SlotsOf(late), (std::vector<CellIndex>{2, 63}));
  EXPECT_TRUE(slots.IsOther(63));
}

TEST(TrapsTest, Trap13BricksDoNotStopTheClockThatConvictsThem) {
  // Half of a ring of 20 was exposed and is gone; the other half, never exposed, is heard as forecast.
  EXPECT_FALSE(IsDeaf({.heard = 10, .forecast = 10}));
  // Those fall silent too: it is us.
  EXPECT_TRUE(IsDeaf({.heard = 4, .forecast = 10}));
  // Everyone is exposed: nobody is left to tell.
  EXPECT_FALSE(IsDeaf({.heard = 0, .forecast = 0}));
}

TEST(TrapsTest, Trap14AHostIsTakenBackOnce) {
  ExposureBook book(4, {4});
  const std::vector<CellIndex> cells = {3};
  const auto expect = [&](int64_t unproven, int64_t healthy) {
    EXPECT_EQ(book.release().unproven, unproven);
    EXPECT_EQ(book.release().healthy, healthy);
    EXPECT_EQ(book.stage(0).unproven, unproven);
    EXPECT_EQ(book.Cell(3).unproven, unproven);
    EXPECT_EQ(book.Cell(3).healthy, healthy);
  };
  EXPECT_TRUE(book.Hear(News::kExposed, 7, 0, cells));
  EXPECT_FALSE(book.Hear(News::kExposed, 7, 0, cells));
  EXPECT_TRUE(book.Hear(News::kProved, 7, 0, cells));
  expect(0, 1);
  EXPECT_TRUE(book.Hear(News::kWentBad, 7, 0, cells));
  expect(1, 0);
  EXPECT_FALSE(book.Hear(News::kWentBad, 7, 0, cells));  // heard and gone again, without a proof between
  expect(1, 0);
  EXPECT_TRUE(book.Hear(News::kReleased, 7, 0, cells));  // reverted
  EXPECT_FALSE(book.Hear(News::kReleased, 7, 0, cells));
  expect(0, 0);
  EXPECT_EQ(book.exposed(), 1);  // denominators are frozen
}

TEST(TrapsTest, Trap14AFirstCanaryThatFailsLetsInNobodyElse) {
  for (const int64_t b0 : {1, 4}) {
    ExposureBook book(b0, {b0});
    const auto tokens = [&] { return TokensFor(book, 0, 1.0, std::nullopt, std::nullopt, false); };
    for (HostIndex host = 0; host < b0; ++host) {
      EXPECT_FALSE(FirstHostsFailed(book.release()));
      book.Hear(News::kExposed, host, 0, {});
      book.Hear(News::kMatured, host, 0, {});
    }
    EXPECT_EQ(tokens(), 0);
    EXPECT_TRUE(FirstHostsFailed(book.release())) << "for a person to look at";
    StopState state;
    EXPECT_EQ(Judge(state, {.first_hosts_failed = true}, absl::UnixEpoch()).rule, "first_hosts_failed");
    EXPECT_EQ(state.action, HealthAction::kHold);
    // The person lets it go on; or one of them proves itself after all.
    Budget waived = book.release();
    waived.waived = true;
    EXPECT_EQ(Tokens(waived, book.stage(0), 1.0, std::nullopt, std::nullopt), b0);
    EXPECT_FALSE(FirstHostsFailed(waived));
    book.Hear(News::kProved, 0, 0, {});
    EXPECT_EQ(tokens(), b0 + 1);
    EXPECT_FALSE(FirstHostsFailed(book.release()));
  }
}

TEST(TrapsTest, Trap14ABrickLeavesUWhenItMaturesSoThatTheEvidenceCanGrow) {
  // b0 = 1 and one host proven: with each brick in U for good no third could ever be drawn, and nothing would
  // ever stop.
  Stage stage(UsualSetup(), 1);
  stage.book.Hear(News::kExposed, 900, 0, {});
  stage.book.Hear(News::kProved, 900, 0, {});
  HealthReading reading;
  int bricks = 0;
  while (reading.Action() < HealthAction::kHold && bricks < 20) {
    stage.draw.OpenBucket({.bucket = static_cast<uint64_t>(bricks),
                           .tokens = TokensFor(stage.book, 0, reading.m_r, std::nullopt, std::nullopt, false),
                           .forecast = 20});
    const auto host = static_cast<HostIndex>(bricks);
    const DrawAnswer treated = stage.Ask(host, kTreat);
    ASSERT_EQ(treated.arm, Arm::kTreatment) << bricks;
    EXPECT_LE(stage.book.release().unproven, 2) << "b0 and one for the proven";
    stage.draw.CloseBucket();
    ASSERT_TRUE(stage.judge.Mature(treated.spell, {.silent = true}).ok());
    EXPECT_TRUE(stage.book.Hear(News::kMatured, host, 0, {}));
    ++bricks;
    reading = stage.judge.Read();
  }
  EXPECT_EQ(bricks, 4) << "at pi = 0.1, as section 3 has it";
}

TEST(TrapsTest, Trap15TheBoundOfABucketDoesNotLookAtT) {
  GuardTable guard(64, {{0.02, 0.01}});
  GuardTally none(1), all(1);
  for (GuardTally* tally : {&none, &all}) {
    for (int i = 0; i < 20; ++i) tally->AddControl({}, {.silent = i < 3});
  }
  for (int i = 0; i < 10; ++i) {
    none.AddTreated({}, 0, {});
    all.AddTreated({}, 0, {.silent = true, .crashed = true});
  }
  for (size_t channel = 0; channel < kGuardChannels; ++channel) {
    ASSERT_TRUE(guard.Bound(none, 0, channel, 0).has_value());
    EXPECT_EQ(*guard.Bound(none, 0, channel, 0), *guard.Bound(all, 0, channel, 0));
  }
  EXPECT_EQ(*guard.Bound(none, 0, 0, 0), 1.5 * 3.5 / 21);
}

TEST(TrapsTest, Trap16AnUndecidedHoldRevertsAfterHalfAnHourAlsoAcrossARestart) {
  const absl::Time start = absl::UnixEpoch();
  StopState state;
  const StopInput holding{.reading = {.m_r = 150, .m_r_in_order = 150, .m_a = 1}};
  EXPECT_EQ(Judge(state, holding, start).rule, "test_r");
  EXPECT_EQ(state.action, HealthAction::kHold);
  // The state is a value: what was stored is what goes on.
  StopState restored = state;
  EXPECT_FALSE(Judge(restored, holding, start + absl::Minutes(10)).changed);
  EXPECT_FALSE(restored.reverting(start + absl::Minutes(30) - absl::Seconds(1)));
  EXPECT_TRUE(restored.reverting(start + absl::Minutes(30)));
}

TEST(TrapsTest, Trap16AResumedHoldNeedsATenfoldRise) {
  const absl::Time now = absl::UnixEpoch();
  StopState state;
  StopInput input{.reading = {.m_r = 150, .m_r_in_order = 150, .m_a = 20}};
  Judge(state, input, now);
  ResumeHold(state, input.reading, 0);
  EXPECT_EQ(Judge(state, input, now).rule, "test_r");  // it brakes
  EXPECT_EQ(state.action, HealthAction::kBrake);
  input.reading.m_r = input.reading.m_r_in_order = 900;
  Judge(state, input, now);
  EXPECT_EQ(state.action, HealthAction::kBrake);
  // Guard A: 200 is tenfold of what was seen, and above the level.
  input.reading.m_a = 201;
  EXPECT_EQ(Judge(state, input, now).rule, "guard_a");
  ResumeHold(state, input.reading, 0);
  // The halt stays at the proven level.
  input.reading.m_r = input.reading.m_r_in_order = 1000;
  Judge(state, input, now);
  EXPECT_EQ(state.action, HealthAction::kHalt);
  EXPECT_TRUE(state.reverting(now));
  ResumeHold(state, input.reading, 0);
  EXPECT_EQ(state.action, HealthAction::kHalt);
  ResumeHalt(state, 0);
  EXPECT_EQ(state, StopState{});
}

TEST(TrapsTest, Trap16ThreeHostsThatCannotActivateHold) {
  StopState state;
  StopInput input{.activation_failures = 2};
  EXPECT_FALSE(Judge(state, input, absl::UnixEpoch()).changed);
  input.activation_failures = 3;
  EXPECT_EQ(Judge(state, input, absl::UnixEpoch()).rule, "activation_failures");
  ResumeHold(state, input.reading, 3);
  EXPECT_FALSE(Judge(state, input, absl::UnixEpoch()).changed);
  input.activation_failures = 4;
  EXPECT_EQ(Judge(state, input, absl::UnixEpoch()).rule, "activation_failures");
}

TEST(TrapsTest, Trap17AllButSoakFollowsTheInterval) {
  const SpellTiming minute = SpellTiming::For(absl::Seconds(60), absl::ZeroDuration(), absl::Hours(4));
  EXPECT_EQ(minute.allowance, absl::Seconds(75));
  EXPECT_EQ(minute.maturity, absl::Seconds(225));
  EXPECT_EQ(minute.gap, absl::Seconds(300));
  const SpellTiming five = SpellTiming::For(absl::Seconds(300), absl::ZeroDuration(), absl::Hours(4));
  EXPECT_EQ(five.interval, 5 * minute.interval);
  EXPECT_EQ(five.allowance, 5 * minute.allowance);
  EXPECT_EQ(five.maturity, 5 * minute.maturity);
  EXPECT_EQ(five.gap, 5 * minute.gap);
  EXPECT_EQ(five.soak, minute.soak);
  const SpellTiming sensor = SpellTiming::For(absl::Seconds(60), absl::Minutes(10), absl::Hours(4));
  EXPECT_EQ(sensor.maturity, absl::Seconds(225) + absl::Minutes(10));
  EXPECT_EQ(sensor.gap, absl::Minutes(15));
}

}  // namespace
}  // namespace ringfence::policy
