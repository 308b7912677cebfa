#include "ringfence/policy/decide.h"

#include <cmath>
#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringfence::policy {
namespace {

using ::testing::HasSubstr;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'721'361'600);

// The first of three waves: all ten hosts that it may let in are in and proven, its soak is over.
StageView ReadyToPass() {
  StageView view;
  view.state = StageState::kOpen;
  view.wave = 0;
  view.waves = 3;
  view.members = 100;
  view.cap = 10;
  view.exposed = view.wave_exposed = 10;
  view.confirmed = view.wave_confirmed = 10;
  view.askers_left = 50;
  view.soaked = view.soak = absl::Hours(1);
  return view;
}

StageDecision After(const std::function<void(StageView&)>& change) {
  StageView view = ReadyToPass();
  change(view);
  return Decide(view, kNow);
}

void ExpectStays(const std::string& rule, const std::function<void(StageView&)>& change) {
  const StageDecision decision = After(change);
  EXPECT_EQ(decision.step, Step::kNone) << rule;
  EXPECT_EQ(decision.rule, rule);
  EXPECT_FALSE(decision.why.empty());
}

TEST(DecideTest, OpensAWaitingStageThatNothingKeepsClosed) {
  const StageDecision decision = After([](StageView& v) { v.state = StageState::kWaiting; });
  EXPECT_EQ(decision.step, Step::kOpen);
  EXPECT_EQ(decision.rule, "waiting_opens");
}

TEST(DecideTest, KeepsAWaitingStageClosedUnderABrakeABreachOrInTheDark) {
  ExpectStays("braked", [](StageView& v) { v.state = StageState::kWaiting, v.braked = true; });
  ExpectStays("blind", [](StageView& v) { v.state = StageState::kWaiting, v.blind = true; });
  ExpectStays("gate_tripped", [](StageView& v) { v.state = StageState::kWaiting, v.gate_tripped = true; });
  ExpectStays("blind", [](StageView& v) { v.state = StageState::kWaiting, v.blind = true, v.members = 0; });
}

TEST(DecideTest, ARingWithoutAHostIsVacant) {
  const StageDecision decision = After([](StageView& v) { v.state = StageState::kWaiting, v.members = 0; });
  EXPECT_EQ(decision.step, Step::kFindVacant);
  EXPECT_EQ(decision.rule, "vacant");
}

TEST(DecideTest, ARingWhoseHostsAllLeftBeforeAnyWasExposedIsVacantAfterItsSoak) {
  const auto deserted = [](StageView& v) {
    v.members = v.exposed = v.wave_exposed = v.confirmed = v.wave_confirmed = v.askers_left = v.cap = 0;
  };
  EXPECT_EQ(After(deserted).step, Step::kFindVacant);
  ExpectStays("soak", [&](StageView& v) { deserted(v), v.soaked = absl::Minutes(59); });
}

TEST(DecideTest, AProvenWaveOpensTheNextAndTheLastOnePassesTheRing) {
  EXPECT_EQ(After([](StageView&) {}).step, Step::kNextWave);
  EXPECT_EQ(After([](StageView& v) { v.wave = 1; }).step, Step::kNextWave);
  const StageDecision last = After([](StageView& v) { v.wave = 2; });
  EXPECT_EQ(last.step, Step::kPassRing);
  EXPECT_EQ(last.rule, "ring_passed");
  EXPECT_EQ(last.why, "Wave 3 of 3: soaked 1h, 10 exposed, 10 confirmed, none overdue, evidence 1.");
}

// A plan that lost waves while the stage was open.
TEST(DecideTest, AWaveBeyondTheLastIsTheLast) {
  EXPECT_EQ(After([](StageView& v) { v.wave = 5; }).step, Step::kPassRing);
}

TEST(DecideTest, WaitsForTheSoakAndSaysWhenItEnds) {
  const StageDecision decision = After([](StageView& v) { v.soaked = absl::Minutes(45); });
  EXPECT_EQ(decision.step, Step::kNone);
  EXPECT_EQ(decision.rule, "soak");
  EXPECT_EQ(decision.revisit_at, kNow + absl::Minutes(15));
  EXPECT_EQ(decision.why, "Wave 1 of 3 has soaked 45m of 1h.");
}

TEST(DecideTest, EachKindOfBadNewsStopsItByItsOwnRule) {
  ExpectStays("braked", [](StageView& v) { v.braked = true; });
  ExpectStays("blind", [](StageView& v) { v.blind = true; });
  ExpectStays("gate_tripped", [](StageView& v) { v.gate_tripped = true; });
  ExpectStays("inconclusive", [](StageView& v) { v.m_r = 2.0; });
  ExpectStays("evidence_not_quiet", [](StageView& v) { v.m_r = 10.0; });
  ExpectStays("evidence_not_quiet", [](StageView& v) { v.m_r = std::nan(""); });
  ExpectStays("overdue", [](StageView& v) { v.overdue = 1; });
  ExpectStays("wave_not_full", [](StageView& v) { v.exposed = 9; });
  ExpectStays("half_confirmed", [](StageView& v) { v.confirmed = v.wave_confirmed = 4; });
}

// In a full wave no coin falls any more, so a single closed laptop could block a good release for ever.
TEST(DecideTest, InconclusiveEvidenceBelowTheBrakePassesAfterTwiceTheSoak) {
  const auto soaked = [](double m_r, absl::Duration time) {
    return After([&](StageView& v) {
      v.m_r = m_r;
      v.soaked = time;
    });
  };
  EXPECT_EQ(soaked(9.9, absl::Hours(2)).step, Step::kNextWave);
  EXPECT_EQ(soaked(9.9, absl::Minutes(119)).rule, "inconclusive");
  EXPECT_EQ(soaked(9.9, absl::Minutes(119)).revisit_at, kNow + absl::Minutes(1));
  EXPECT_EQ(soaked(10.0, absl::Hours(1000)).rule, "evidence_not_quiet");
  EXPECT_EQ(soaked(std::nan(""), absl::Hours(1000)).rule, "evidence_not_quiet");
}

TEST(DecideTest, WhatOnlyAnEventCanChangeIsNotRevisitedByTime) {
  EXPECT_EQ(After([](StageView& v) { v.overdue = 1; }).revisit_at, absl::InfiniteFuture());
  EXPECT_EQ(After([](StageView& v) { v.exposed = 9; }).revisit_at, absl::InfiniteFuture());
}

TEST(DecideTest, HalfOfTheWaveIsEnough) {
  EXPECT_EQ(After([](StageView& v) { v.confirmed = v.wave_confirmed = 5; }).step, Step::kNextWave);
  EXPECT_EQ(
      After([](StageView& v) { v.wave_exposed = v.exposed = 11, v.confirmed = v.wave_confirmed = 5; }).rule,
      "half_confirmed");
}

// Earlier waves do not vouch for this one.
TEST(DecideTest, AWaveWhoseHostsAllFailedIsNotSavedByTheWavesBefore) {
  ExpectStays("half_confirmed", [](StageView& v) {
    v.wave = 1;
    v.cap = v.exposed = 50;
    v.wave_exposed = 10;
    v.confirmed = 40;
    v.wave_confirmed = 0;
  });
}

// A bricked first canary, long ago, every deadline settled: nothing will ever open the gate.
TEST(DecideTest, ARingWhoseHostsAllFailedNeverPasses) {
  for (const int wave : {0, 1, 2}) {
    for (const int64_t hosts : {1, 4, 10, 1000}) {
      ExpectStays("half_confirmed", [&](StageView& v) {
        v.wave = wave;
        v.cap = v.exposed = v.wave_exposed = hosts;
        v.confirmed = v.wave_confirmed = 0;
        v.overdue = v.askers_left = 0;
        v.soaked = absl::Hours(24 * 365);
      });
    }
  }
}

// Invariant 7: a ring in which nobody asked proved nothing, however long it soaked.
TEST(DecideTest, ARingInWhichNobodyWasLetInNeverPasses) {
  ExpectStays("half_confirmed", [](StageView& v) {
    v.exposed = v.wave_exposed = v.confirmed = v.wave_confirmed = v.askers_left = 0;
    v.soaked = absl::InfiniteDuration();
  });
}

TEST(DecideTest, OfflineHostsDoNotHoldAWave) {
  // Seven of ten are in, and nobody else asks.
  EXPECT_EQ(After([](StageView& v) {
              v.exposed = v.wave_exposed = v.confirmed = v.wave_confirmed = 7;
              v.askers_left = 0;
            }).step,
            Step::kNextWave);
}

TEST(DecideTest, AFewStragglersDoNotHoldAWaveAndMoreDo) {
  const auto waiting = [](int64_t let_in, int64_t left) {
    return After([&](StageView& v) {
      v.cap = 1000;
      v.exposed = v.wave_exposed = v.confirmed = v.wave_confirmed = let_in;
      v.askers_left = left;
    });
  };
  EXPECT_EQ(waiting(90, 10).step, Step::kNextWave);  // exactly a tenth of those that asked
  EXPECT_EQ(waiting(89, 10).rule, "wave_not_full");
  EXPECT_EQ(waiting(90, 11).rule, "wave_not_full");
  EXPECT_EQ(waiting(9, 1).step, Step::kNextWave);
  EXPECT_EQ(waiting(8, 1).rule, "wave_not_full");
  EXPECT_THAT(waiting(8, 1).why, HasSubstr("8 of at most 1000 hosts, and 1 that asked still wait"));
}

TEST(DecideTest, AWaveThatFoundNobodyLeftRestsOnTheProofOfTheStage) {
  const auto nobody_left = [](int64_t confirmed) {
    return After([&](StageView& v) {
      v.wave = 2;
      v.cap = 100;
      v.exposed = 70;
      v.confirmed = confirmed;
      v.wave_exposed = v.wave_confirmed = v.askers_left = 0;
    });
  };
  EXPECT_EQ(nobody_left(70).step, Step::kPassRing);
  EXPECT_EQ(nobody_left(35).step, Step::kPassRing);
  EXPECT_EQ(nobody_left(34).rule, "half_confirmed");
}

TEST(DecideTest, DoesNothingInAStageThatIsStoppedOrOver) {
  ExpectStays("paused", [](StageView& v) { v.state = StageState::kPaused; });
  ExpectStays("held", [](StageView& v) { v.state = StageState::kHeld; });
  ExpectStays("halted", [](StageView& v) { v.state = StageState::kHalted; });
  for (const StageState over :
       {StageState::kPassed, StageState::kVacant, StageState::kSuperseded, StageState::kRecalled}) {
    ExpectStays("settled", [&](StageView& v) { v.state = over; });
  }
  ExpectStays("unknown_state", [](StageView& v) { v.state = static_cast<StageState>(0); });
}

TEST(DecideTest, ARingThatOpensNamesWhatNoEarlierRingHasProven) {
  StageView view;
  view.members = 100;
  EXPECT_THAT(Decide(view, kNow).why, testing::Not(HasSubstr("No earlier ring")));
  view.uncovered = {"os=debian12", "os=xp"};
  const StageDecision decision = Decide(view, kNow);
  EXPECT_EQ(decision.step, Step::kOpen);
  EXPECT_THAT(decision.why, HasSubstr("No earlier ring has proven it on hosts with os=debian12, os=xp."));
  for (int i = 0; i < 10; ++i) view.uncovered.push_back("kernel=" + std::to_string(i));
  EXPECT_THAT(Decide(view, kNow).why, HasSubstr("kernel=5 and 4 more."));
}

TEST(DecideTest, ARingWhosePlanHoldsStaysClosedUntilItsKindsOfHostsAreProven) {
  StageView view;
  view.members = 100;
  view.uncovered = {"os=xp"};
  view.uncovered_hold = true;
  const StageDecision decision = Decide(view, kNow);
  EXPECT_EQ(decision.step, Step::kNone);
  EXPECT_EQ(decision.rule, "uncovered_cohorts");
  EXPECT_THAT(decision.why, HasSubstr("No earlier ring has proven it on hosts with os=xp."));
  view.uncovered.clear();
  EXPECT_EQ(Decide(view, kNow).step, Step::kOpen);
  view.uncovered = {"os=xp"};
  view.members = 0;
  EXPECT_EQ(Decide(view, kNow).step, Step::kFindVacant) << "nobody is there to be harmed";
}

TEST(DecideTest, TheDecisionOnARingOfAFewHostsSaysThatItAloneCertifiesNothing) {
  for (const int64_t members : {1, 5, 20}) {
    StageView view;
    view.state = StageState::kOpen;
    view.members = view.cap = view.exposed = view.wave_exposed = view.wave_confirmed = view.confirmed =
        members;
    const StageDecision decision = Decide(view, kNow);
    EXPECT_EQ(decision.step, Step::kPassRing);
    EXPECT_THAT(decision.why, HasSubstr("this ring alone certifies nothing"));
    view.members = 21;
    EXPECT_THAT(Decide(view, kNow).why, testing::Not(HasSubstr("certifies nothing")));
  }
}

}  // namespace
}  // namespace ringfence::policy
