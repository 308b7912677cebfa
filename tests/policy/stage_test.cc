#include "ringfence/policy/stage.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/policy/builders.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

using ::testing::HasSubstr;
using S = StageState;
using E = StageEvent;

constexpr S kStates[] = {S::kWaiting, S::kOpen,   S::kPaused,     S::kHeld,    S::kHalted,
                         S::kPassed,  S::kVacant, S::kSuperseded, S::kRecalled};
constexpr E kEvents[] = {E::kOpen, E::kFindVacant, E::kPassRing,  E::kPause, E::kHold,
                         E::kHalt, E::kResume,     E::kSupersede, E::kRecall};

// Written down a second time, row by row, so that a change of the table is made on purpose.
const std::map<S, std::map<E, S>> kMoves = {
    {S::kWaiting,
     {{E::kOpen, S::kOpen},
      {E::kFindVacant, S::kVacant},
      {E::kHalt, S::kHalted},
      {E::kSupersede, S::kSuperseded},
      {E::kRecall, S::kRecalled}}},
    {S::kOpen,
     {{E::kPassRing, S::kPassed},
      {E::kFindVacant, S::kVacant},
      {E::kPause, S::kPaused},
      {E::kHold, S::kHeld},
      {E::kHalt, S::kHalted},
      {E::kRecall, S::kRecalled}}},
    {S::kPaused,
     {{E::kResume, S::kOpen}, {E::kHold, S::kHeld}, {E::kHalt, S::kHalted}, {E::kRecall, S::kRecalled}}},
    {S::kHeld, {{E::kResume, S::kOpen}, {E::kHalt, S::kHalted}, {E::kRecall, S::kRecalled}}},
    {S::kHalted, {{E::kResume, S::kOpen}, {E::kSupersede, S::kSuperseded}, {E::kRecall, S::kRecalled}}},
    {S::kPassed, {{E::kHalt, S::kHalted}, {E::kSupersede, S::kSuperseded}, {E::kRecall, S::kRecalled}}},
    {S::kVacant, {{E::kHalt, S::kHalted}, {E::kSupersede, S::kSuperseded}, {E::kRecall, S::kRecalled}}},
    {S::kSuperseded, {}},
    {S::kRecalled, {}},
};

TEST(StageTest, EveryPairIsTheMoveOfTheTableOrIsRefusedByName) {
  for (const S from : kStates) {
    for (const E event : kEvents) {
      SCOPED_TRACE(absl::StrCat(Name(from), " + ", Name(event)));
      const absl::StatusOr<S> to = Next(from, event);
      const auto& row = kMoves.at(from);
      if (const auto move = row.find(event); move != row.end()) {
        ASSERT_TRUE(to.ok());
        EXPECT_EQ(*to, move->second);
      } else {
        EXPECT_EQ(to.status().code(), absl::StatusCode::kFailedPrecondition);
        EXPECT_THAT(std::string(to.status().message()), HasSubstr(Name(from)));
        EXPECT_THAT(std::string(to.status().message()), HasSubstr(Name(event)));
      }
    }
  }
}

TEST(StageTest, ATableRowIsThereOnceAndSaysWhy) {
  std::map<std::pair<S, E>, int> seen;
  for (const Transition& move : Transitions()) {
    EXPECT_EQ(++(seen[{move.from, move.event}]), 1) << Name(move.from) << " " << Name(move.event);
    EXPECT_GT(std::string(move.why).size(), 5u);
  }
}

TEST(StageTest, AnUnknownStateOrEventMovesNothing) {
  EXPECT_FALSE(Next(static_cast<S>(0), E::kOpen).ok());
  EXPECT_FALSE(Next(S::kWaiting, static_cast<E>(0)).ok());
  EXPECT_FALSE(Next(static_cast<S>(77), static_cast<E>(88)).ok());
}

// A stage finishes its release before its ring takes another: only a safety stop or the end of the work frees
// it.
TEST(StageTest, AStageAtWorkIsNeverSuperseded) {
  for (const S state : {S::kOpen, S::kPaused, S::kHeld})
    EXPECT_FALSE(Next(state, E::kSupersede).ok()) << Name(state);
}

TEST(StageTest, EveryStageThatIsNotOverCanBeHaltedOrIsHalted) {
  for (const S state : kStates) {
    if (IsTerminal(state) || state == S::kHalted) continue;
    EXPECT_EQ(Next(state, E::kHalt).value(), S::kHalted) << Name(state);
  }
}

TEST(StageTest, EveryStageThatIsNotOverCanBeRecalledAndNothingLeavesAnEnd) {
  for (const S state : kStates) {
    EXPECT_EQ(Next(state, E::kRecall).ok(), !IsTerminal(state)) << Name(state);
  }
}

TEST(StageTest, OnlyTwoPersonsResumeAHaltAndThenItPassesAgain) {
  for (const E event : kEvents) {
    const absl::StatusOr<S> to = Next(S::kHalted, event);
    if (to.ok() && !IsTerminal(*to)) {
      EXPECT_EQ(event, E::kResume);
      EXPECT_EQ(*to, S::kOpen);
    }
  }
}

TEST(StageTest, CountsAsPassedOnlyWhatLaterRingsMayRestOn) {
  for (const S state : kStates) EXPECT_EQ(CountsAsPassed(state), state == S::kPassed || state == S::kVacant);
}

TEST(StageTest, GivesLeasesOnlyWhenOpenOrThrough) {
  for (const S state : kStates) {
    EXPECT_EQ(GivesLeases(state), state == S::kOpen || state == S::kPassed || state == S::kVacant)
        << Name(state);
  }
}

TEST(StageTest, NamesAreReadBackAndNothingElseIs) {
  for (const S state : kStates) EXPECT_EQ(ParseStageState(Name(state)).value(), state);
  for (const std::string bad : {"", "Open", "open ", "unknown", "done"}) {
    EXPECT_EQ(ParseStageState(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

// Invariants 2 and 3 on the table alone: whatever happens, in whatever order, a stage passes only out of an
// open one or as vacant, a halt is left only by a resume, a newer release or a recall, and an end is an end.
TEST(StageTest, RandomWalksNeverLeaveTheTable) {
  std::mt19937_64 random(test::Seed(20240719));
  for (int walk = 0; walk < 5'000; ++walk) {
    S state = S::kWaiting;
    bool was_open = false;
    for (int step = 0; step < 40; ++step) {
      const E event = kEvents[Pick(random, 0, std::size(kEvents) - 1)];
      const absl::StatusOr<S> to = Next(state, event);
      if (!to.ok()) continue;
      ASSERT_FALSE(IsTerminal(state));
      if (*to == S::kPassed) {
        ASSERT_EQ(state, S::kOpen);
        ASSERT_TRUE(was_open);
      }
      if (state == S::kHalted) {
        ASSERT_TRUE(event == E::kResume || event == E::kSupersede || event == E::kRecall);
      }
      state = *to;
      was_open = was_open || state == S::kOpen;
    }
  }
}

// docs/stages.md holds the diagram; RINGFENCE_UPDATE=1 writes it anew from the table.
TEST(StageTest, TheDocumentShowsTheTableAndASentenceForEachState) {
  const std::string path = "docs/stages.md";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string open = "```mermaid\n";
  const size_t begin = text.find(open);
  ASSERT_NE(begin, std::string::npos) << path << " has no mermaid block";
  const size_t end = text.find("```", begin + open.size());
  ASSERT_NE(end, std::string::npos);
  if (std::getenv("RINGFENCE_UPDATE") != nullptr) {
    text.replace(begin + open.size(), end - begin - open.size(), Diagram());
    std::ofstream(path) << text;
    return;
  }
  EXPECT_EQ(text.substr(begin + open.size(), end - begin - open.size()), Diagram())
      << "run this test with RINGFENCE_UPDATE=1 to write " << path << " anew";
  for (const S state : kStates)
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat("\n- **", Name(state), "**"))) << Name(state);
}

}  // namespace
}  // namespace ringfence::policy
