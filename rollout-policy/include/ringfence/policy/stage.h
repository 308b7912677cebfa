// The life of a stage: one ring of one tenant working on one release. The table in stage.cc is the only place
// where a move is legal; everything else asks it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace ringfence::policy {

enum class StageState : uint8_t {
  // The ring chose the release; something (age, a brake, another stage) keeps its first wave closed.
  kWaiting = 1,
  kOpen = 2,        // a wave is open: hosts that ask may be drawn
  kPaused = 3,      // an operator stopped it; soak stands still, health is still judged
  kHeld = 4,        // the server stopped it and asks a person; never releases itself
  kHalted = 5,      // safety stop; terminal but for two persons, or until the ring takes a newer release
  kPassed = 6,      // every wave passed; late joiners are still let in
  kVacant = 7,      // no host matched when it opened: counts as passed, with a warning
  kSuperseded = 8,  // the ring works on a newer release now
  kRecalled = 9,    // the release was withdrawn for good
};

enum class StageEvent : uint8_t {
  kOpen = 1,        // the first wave opens
  kFindVacant = 2,  // the ring has no member, and nobody was exposed
  kPassRing = 3,    // the last wave passed
  kPause = 4,
  kHold = 5,
  kHalt = 6,
  kResume = 7,  // the last brake on it was released
  kSupersede = 8,
  kRecall = 9,
};

struct Transition {
  StageState from;
  StageEvent event;
  StageState to;
  const char* why;  // one clause for the diagram
};

absl::Span<const Transition> Transitions();

// The state after `event`. FailedPrecondition, naming both, when the table has no such move.
absl::StatusOr<StageState> Next(StageState from, StageEvent event);

// Superseded and recalled stages never move again.
bool IsTerminal(StageState state);
// Does the ring count as passed for the rings after it? A superseded stage counts too if it had passed
// before, which only its record can tell.
bool CountsAsPassed(StageState state);
// May hosts be drawn (if no brake says otherwise)? Open, passed and vacant.
bool GivesLeases(StageState state);

const char* Name(StageState state);  // "waiting", "open", ...
const char* Name(StageEvent event);
// Parses Name's output; InvalidArgument otherwise.
absl::StatusOr<StageState> ParseStageState(absl::string_view name);

// The table as a Mermaid state diagram, for docs/stages.md; a test compares.
std::string Diagram();

}  // namespace ringfence::policy
