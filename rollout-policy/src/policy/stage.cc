#include "ringfence/policy/stage.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "text.h"

namespace ringfence::policy {
namespace {

using S = StageState;
using E = StageEvent;

// Every legal move. What is not here is refused. Three absences are on purpose:
// - open, paused and held stages are never superseded: a stage finishes its release before its ring takes
// another;
// - a held stage cannot be paused: that would turn a hold, which asks a person, into a pause, which does not;
// - a waiting, passed or vacant stage is neither paused nor held: those brakes bar its leases without moving
// it.
constexpr Transition kTable[] = {
    {S::kWaiting, E::kOpen, S::kOpen, "nothing keeps the first wave closed"},
    {S::kWaiting, E::kFindVacant, S::kVacant, "no host of the ring can take it"},
    {S::kWaiting, E::kHalt, S::kHalted, "safety stop before any host took it"},
    {S::kWaiting, E::kSupersede, S::kSuperseded, "a newer release came before the first wave"},
    {S::kWaiting, E::kRecall, S::kRecalled, "withdrawn for good"},

    {S::kOpen, E::kPassRing, S::kPassed, "the last wave passed"},
    {S::kOpen, E::kFindVacant, S::kVacant, "its hosts left before any took it"},
    {S::kOpen, E::kPause, S::kPaused, "an operator stopped it"},
    {S::kOpen, E::kHold, S::kHeld, "the server asks a person"},
    {S::kOpen, E::kHalt, S::kHalted, "safety stop"},
    {S::kOpen, E::kRecall, S::kRecalled, "withdrawn for good"},

    {S::kPaused, E::kResume, S::kOpen, "the last brake was released"},
    {S::kPaused, E::kHold, S::kHeld, "health is judged while it stands"},
    {S::kPaused, E::kHalt, S::kHalted, "safety stop"},
    {S::kPaused, E::kRecall, S::kRecalled, "withdrawn for good"},

    {S::kHeld, E::kResume, S::kOpen, "a person looked and let it go on"},
    {S::kHeld, E::kHalt, S::kHalted, "the evidence got worse, or a person stopped it"},
    {S::kHeld, E::kRecall, S::kRecalled, "withdrawn for good"},

    {S::kHalted, E::kResume, S::kOpen, "two persons let it go on, it must pass again"},
    {S::kHalted, E::kSupersede, S::kSuperseded, "the ring takes a newer release"},
    {S::kHalted, E::kRecall, S::kRecalled, "withdrawn for good"},

    {S::kPassed, E::kHalt, S::kHalted, "harm that shows late"},
    {S::kPassed, E::kSupersede, S::kSuperseded, "the ring takes a newer release"},
    {S::kPassed, E::kRecall, S::kRecalled, "withdrawn for good"},

    {S::kVacant, E::kHalt, S::kHalted, "harm elsewhere"},
    {S::kVacant, E::kSupersede, S::kSuperseded, "the ring takes a newer release"},
    {S::kVacant, E::kRecall, S::kRecalled, "withdrawn for good"},
};

constexpr std::array kStates = {S::kWaiting, S::kOpen,   S::kPaused,     S::kHeld,    S::kHalted,
                                S::kPassed,  S::kVacant, S::kSuperseded, S::kRecalled};

}  // namespace

absl::Span<const Transition> Transitions() {
  return kTable;
}

absl::StatusOr<StageState> Next(StageState from, StageEvent event) {
  for (const Transition& move : kTable) {
    if (move.from == from && move.event == event) return move.to;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("a stage that is ", Name(from), " has no move for the event ", Name(event)));
}

bool IsTerminal(StageState state) {
  return state == S::kSuperseded || state == S::kRecalled;
}

bool CountsAsPassed(StageState state) {
  return state == S::kPassed || state == S::kVacant;
}

bool GivesLeases(StageState state) {
  return state == S::kOpen || CountsAsPassed(state);
}

const char* Name(StageState state) {
  switch (state) {
    case S::kWaiting:
      return "waiting";
    case S::kOpen:
      return "open";
    case S::kPaused:
      return "paused";
    case S::kHeld:
      return "held";
    case S::kHalted:
      return "halted";
    case S::kPassed:
      return "passed";
    case S::kVacant:
      return "vacant";
    case S::kSuperseded:
      return "superseded";
    case S::kRecalled:
      return "recalled";
  }
  return "unknown";
}

const char* Name(StageEvent event) {
  switch (event) {
    case E::kOpen:
      return "open";
    case E::kFindVacant:
      return "find_vacant";
    case E::kPassRing:
      return "pass_ring";
    case E::kPause:
      return "pause";
    case E::kHold:
      return "hold";
    case E::kHalt:
      return "halt";
    case E::kResume:
      return "resume";
    case E::kSupersede:
      return "supersede";
    case E::kRecall:
      return "recall";
  }
  return "unknown";
}

absl::StatusOr<StageState> ParseStageState(absl::string_view name) {
  for (const StageState state : kStates) {
    if (name == Name(state)) return state;
  }
  return absl::InvalidArgumentError(absl::StrCat("stage state: found ", Quoted(name),
                                                 ", wanted waiting, open, paused, "
                                                 "held, halted, passed, vacant, superseded or recalled"));
}

std::string Diagram() {
  std::string out = "stateDiagram-v2\n    [*] --> waiting\n";
  for (const Transition& move : kTable) {
    absl::StrAppend(&out, "    ", Name(move.from), " --> ", Name(move.to), ": ", Name(move.event), " (",
                    move.why, ")\n");
  }
  for (const StageState state : kStates) {
    if (IsTerminal(state)) absl::StrAppend(&out, "    ", Name(state), " --> [*]\n");
  }
  return out;
}

}  // namespace ringfence::policy
