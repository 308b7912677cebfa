// What one stage does next. Pure: equal arguments give equal decisions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/policy/reason.h"
#include "ringfence/policy/stage.h"

namespace ringfence::policy {

// Everything the decision depends on, taken at one instant.
struct StageView {
  StageState state = StageState::kWaiting;
  bool braked = false;  // any brake in its scope is on: paused, held or halted
  bool blind = false;   // the server cannot tell silence from its own deafness, or cannot write
  int wave = 0;         // index of the open wave
  int waves = 1;
  int64_t members = 0;         // hosts of the ring that the release targets and covers
  int64_t cap = 0;             // most hosts exposed in the ring by the end of this wave
  int64_t exposed = 0;         // hosts exposed in this stage and not `unused`, over all waves
  int64_t wave_exposed = 0;    // of those, let in by the open wave
  int64_t wave_confirmed = 0;  // of those, confirmed and not taken back
  int64_t confirmed = 0;       // over all waves
  int64_t overdue = 0;         // exposures past their deadline without an outcome
  int64_t askers_left = 0;     // hosts that asked during the wave and may be drawn, but were not let in
  absl::Duration soaked;       // healthy time since the wave opened
  absl::Duration soak;         // what the plan wants
  double m_r = 1.0;            // the combined evidence of test R for the release
  bool gate_tripped = false;   // an SLO gate of the plan stands breached
  // The plan lets nobody in now, or has not long enough for hosts to ask: kFrozen, kBlackout, kWindow,
  // kApproval or kDenied. No wave opens or passes then: nobody asked because nobody might.
  Reason closed = Reason::kNone;
  absl::Time closed_until = absl::InfiniteFuture();
  // Waiting only: label values of the ring's hosts ("kernel=20") that no earlier ring has proven the release
  // on, the most frequent first. The decision that opens the ring names them, or, where the plan holds for
  // them, they keep it closed.
  std::vector<std::string> uncovered = {};
  bool uncovered_hold = false;
};

enum class Step : uint8_t {
  kNone = 0,        // nothing to do before revisit_at or an event
  kOpen = 1,        // open the first wave
  kFindVacant = 2,  // no member, nobody exposed: the ring counts as passed
  kNextWave = 3,
  kPassRing = 4,
};

struct StageDecision {
  Step step = Step::kNone;
  // Which rule decided, a stable word for audit and metrics: "soak", "wave_not_full", "half_confirmed",
  // "overdue", "evidence_not_quiet", "inconclusive", "gate_tripped", "braked", "blind", "vacant",
  // "uncovered_cohorts", "waiting_opens", "wave_passed", "ring_passed", the word of `closed`, ...
  std::string rule;
  std::string why;  // one sentence with the figures
  absl::Time revisit_at = absl::InfiniteFuture();
};

// Hosts still asking may be at most this share of those that asked when a wave passes. The draw lets in at
// most a fifth of the askers each round, so the last few wait geometrically long; they go on being drawn
// after the wave has passed.
inline constexpr double kStragglerShare = 0.10;

// A wave passes while m_r is below kQuiet. From there to the brake (10) the evidence is inconclusive: one
// closed laptop among few treated hosts gets there, and in a full wave nothing can take it back, because no
// coin falls any more. Such a wave passes after kInconclusiveSoaks times its soak; the evidence stays in m_r
// and counts in the waves that follow.
inline constexpr double kQuiet = 2.0;
inline constexpr int kInconclusiveSoaks = 2;

// A ring of at most so many hosts can tell next to nothing: n healthy hosts and none bad say that the rate of
// bricks is below about 3/n. It passes like any other, and its pages and decisions say so.
inline constexpr int64_t kTinyRing = 20;
// "5 hosts: this ring alone certifies nothing; ..."; empty for rings that are larger, or have nobody.
std::string OfTinyRing(int64_t members);

// A wave passes when: soak over; full, or every host that asked was let in but for kStragglerShare; at
// least half of the hosts the wave let in, and at least one, confirmed (a wave that found nobody left to let
// in relies on the stage's); none overdue; evidence quiet, or inconclusive for kInconclusiveSoaks; no gate
// tripped; the plan lets hosts in now.
StageDecision Decide(const StageView& view, absl::Time now);

}  // namespace ringfence::policy
