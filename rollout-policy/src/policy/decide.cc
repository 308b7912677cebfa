#include "ringfence/policy/decide.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/ppm.h"

namespace ringfence::policy {
namespace {

// A rule answers when it decides, and says nothing when the next rule shall be asked.
using Answer = std::optional<StageDecision>;

StageDecision Stay(const char* rule, std::string why, absl::Time revisit_at = absl::InfiniteFuture()) {
  return {Step::kNone, rule, std::move(why), revisit_at};
}

StageDecision Move(Step step, const char* rule, std::string why) {
  return {step, rule, std::move(why)};
}

// Counts come from outside and may be anything: sums and products are taken wide.
using Wide = __int128;

// Label values that a sentence names.
constexpr size_t kMostNamed = 8;

std::string OfWaves(const StageView& view) {
  return absl::StrCat("Wave ", view.wave + int64_t{1}, " of ", view.waves);
}

Answer Braked(const StageView& view) {
  if (!view.braked) return std::nullopt;
  return Stay("braked", "A pause, hold or halt in its scope is on.");
}

Answer Blind(const StageView& view) {
  if (!view.blind) return std::nullopt;
  return Stay("blind", "The server cannot tell silence from its own deafness, or cannot write.");
}

Answer GateTripped(const StageView& view) {
  if (!view.gate_tripped) return std::nullopt;
  return Stay("gate_tripped", "An SLO gate of the plan stands breached.");
}

// Written so that a figure that is not a number is not quiet either.
Answer EvidenceNotQuiet(const StageView& view, absl::Time now) {
  if (view.m_r < kQuiet) return std::nullopt;
  const absl::Duration long_enough = kInconclusiveSoaks * view.soak;
  if (!(view.m_r < kBrakeAt)) {
    return Stay(
        "evidence_not_quiet",
        absl::StrFormat("The combined evidence of harm is %.3g, wanted below %.3g.", view.m_r, kQuiet));
  }
  if (view.soaked >= long_enough) return std::nullopt;
  return Stay(
      "inconclusive",
      absl::StrFormat("The combined evidence of harm is %.3g: neither quiet (below %.3g) nor braking (%.3g); "
                      "the wave has soaked %s of the %s that this asks for.",
                      view.m_r, kQuiet, kBrakeAt, absl::FormatDuration(view.soaked),
                      absl::FormatDuration(long_enough)),
      now + (long_enough - view.soaked));
}

Answer Overdue(const StageView& view) {
  if (view.overdue == 0) return std::nullopt;
  return Stay("overdue",
              absl::StrCat(view.overdue, " exposed hosts are past their deadline without an outcome."));
}

// The soak goes on meanwhile: hosts that took it run it, and are judged.
Answer Closed(const StageView& view) {
  if (view.closed == Reason::kNone) return std::nullopt;
  return Stay(Name(view.closed), Sentence(view.closed), view.closed_until);
}

Answer Soak(const StageView& view, absl::Time now) {
  if (view.soaked >= view.soak) return std::nullopt;
  return Stay("soak",
              absl::StrCat(OfWaves(view), " has soaked ",
                           absl::FormatDuration(absl::Trunc(view.soaked, absl::Seconds(1))), " of ",
                           absl::FormatDuration(view.soak), "."),
              now + (view.soak - view.soaked));
}

// " No earlier ring has proven it on hosts with kernel=20, os=xp and 3 more."
std::string NotRepresented(const StageView& view) {
  if (view.uncovered.empty()) return "";
  const size_t named = std::min(view.uncovered.size(), kMostNamed);
  const absl::Span<const std::string> first(view.uncovered.data(), named);
  return absl::StrCat(
      " No earlier ring has proven it on hosts with ", absl::StrJoin(first, ", "),
      named < view.uncovered.size() ? absl::StrCat(" and ", view.uncovered.size() - named, " more.") : ".");
}

Answer UncoveredHold(const StageView& view) {
  if (!view.uncovered_hold || view.uncovered.empty()) return std::nullopt;
  return Stay(Name(Reason::kUncoveredCohorts), absl::StrCat("The plan holds for it:", NotRepresented(view)));
}

// Every host left while the wave soaked, and none had taken it: there is nobody to prove anything.
Answer Deserted(const StageView& view) {
  if (view.members > 0 || view.exposed > 0) return std::nullopt;
  return Move(Step::kFindVacant, "vacant", "No host of the ring is left, and none was exposed.");
}

Answer WaveNotFull(const StageView& view) {
  if (view.exposed >= view.cap) return std::nullopt;
  const Ppm stragglers(std::lround(kStragglerShare * Ppm::kWhole));
  const Wide asked = Wide{view.wave_exposed} + view.askers_left;
  if (Wide{view.askers_left} * Ppm::kWhole <= asked * stragglers.value) return std::nullopt;
  return Stay("wave_not_full",
              absl::StrCat(OfWaves(view), " has let in ", view.exposed, " of at most ", view.cap,
                           " hosts, and ", view.askers_left, " that asked still wait."));
}

// A wave that let nobody in (all who ask were let in before it) rests on the proof of the whole stage.
Answer HalfConfirmed(const StageView& view) {
  const bool own = view.wave_exposed > 0;
  const int64_t let_in = own ? view.wave_exposed : view.exposed;
  const int64_t confirmed = own ? std::min(view.wave_confirmed, view.confirmed) : view.confirmed;
  if (confirmed >= 1 && Wide{confirmed} * 2 >= let_in) return std::nullopt;
  return Stay("half_confirmed",
              absl::StrCat(confirmed, " of ", let_in, " hosts that the ", own ? "wave" : "stage",
                           " let in are confirmed, wanted at least half and at least one."));
}

StageDecision Passes(const StageView& view) {
  const std::string why =
      absl::StrFormat("%s: soaked %s, %d exposed, %d confirmed, none overdue, evidence %.3g.", OfWaves(view),
                      absl::FormatDuration(absl::Trunc(view.soaked, absl::Seconds(1))), view.exposed,
                      view.confirmed, view.m_r);
  // A plan that lost waves meanwhile leaves the index past its end: that wave is the last one too.
  if (int64_t{view.wave} + 1 < view.waves) return Move(Step::kNextWave, "wave_passed", why);
  const std::string tiny = OfTinyRing(view.members);
  return Move(Step::kPassRing, "ring_passed", tiny.empty() ? why : absl::StrCat(why, " ", tiny, "."));
}

StageDecision DecideWaiting(const StageView& view) {
  for (const auto rule : {&Braked, &Blind, &GateTripped}) {
    if (Answer answer = rule(view)) return *answer;
  }
  if (view.members > 0) {
    if (Answer answer = Closed(view)) return *answer;
    if (Answer answer = UncoveredHold(view)) return *answer;
  } else {
    return Move(Step::kFindVacant, "vacant", "No host of the ring is targeted and covered by the release.");
  }
  return Move(Step::kOpen, "waiting_opens",
              absl::StrCat("Nothing keeps the first of ", view.waves, " waves closed; the ring has ",
                           view.members, " hosts.", NotRepresented(view)));
}

StageDecision DecideOpen(const StageView& view, absl::Time now) {
  for (const auto rule : {&Braked, &Blind, &GateTripped, &Overdue}) {
    if (Answer answer = rule(view)) return *answer;
  }
  for (const auto rule : {&Soak, &EvidenceNotQuiet}) {
    if (Answer answer = rule(view, now)) return *answer;
  }
  for (const auto rule : {&Deserted, &Closed, &WaveNotFull, &HalfConfirmed}) {
    if (Answer answer = rule(view)) return *answer;
  }
  return Passes(view);
}

}  // namespace

std::string OfTinyRing(int64_t members) {
  if (members <= 0 || members > kTinyRing) return "";
  return absl::StrCat(members, members == 1 ? " host" : " hosts",
                      ": this ring alone certifies nothing; the release as a whole and the gates decide");
}

StageDecision Decide(const StageView& view, absl::Time now) {
  switch (view.state) {
    case StageState::kWaiting:
      return DecideWaiting(view);
    case StageState::kOpen:
      return DecideOpen(view, now);
    case StageState::kPaused:
      return Stay("paused", "An operator paused the stage.");
    case StageState::kHeld:
      return Stay("held", "The server stopped the stage and waits for a person.");
    case StageState::kHalted:
      return Stay("halted",
                  "The stage was halted for safety and waits for two persons, or for a newer release.");
    case StageState::kPassed:
    case StageState::kVacant:
    case StageState::kSuperseded:
    case StageState::kRecalled:
      return Stay("settled", absl::StrCat("The stage is ", Name(view.state), "."));
  }
  return Stay("unknown_state", "The stage is in a state that this server does not know.");
}

}  // namespace ringfence::policy
