// The plan's SLO gates: absolute limits over all exposed hosts of a release, matured or not.
// health-analysis.md 8. The counting over windows and label values is the caller's; here is the judgement.
#pragma once

#include <cstdint>
#include <string>

#include "ringfence/policy/plan.h"

namespace ringfence::policy {

enum class GateKind : uint8_t { kCrash = 1, kSilence = 2, kDegraded = 3 };
const char* Name(GateKind kind);  // "crash", "silence", "degraded"

// Distinct exposed hosts with a bad event in the window, over all exposed hosts of the scope (frozen
// denominators: deleted and relabelled hosts stay in).
struct RateCounts {
  int64_t bad = 0;
  int64_t exposed = 0;
};
bool IsBreached(const RateGate& gate, const RateCounts& counts);

// Hosts that fell silent in one way, with and without the release.
struct Onsets {
  int64_t exposed = 0;  // distinct exposed hosts in the window
  int64_t control = 0;  // onsets among hosts without the release in the window
};

// Silence is judged against hosts without the release over the same window, and twice: every silence, which
// also sees an update that shuts hosts down politely, and the silences that no goodbye announced, which are
// few among healthy hosts and so tell a brick from closed laptops much earlier.
struct SilenceCounts {
  Onsets all{};
  Onsets unannounced{};
  int64_t exposed = 0;            // all exposed hosts of the scope
  double exposed_host_hours = 0;  // time exposed hosts of the scope were online and exposed in the window
  double control_host_hours = 0;  // online time of hosts without the release in the window
};

// Silent hosts that the controls' rate predicts for the exposed hosts' time: rate × exposed_host_hours, where
// the rate is (control onsets + 1) / control_host_hours, so that no control at all never looks like a perfect
// one. With no control time the prediction is infinite: the gate cannot judge (invariant 7 keeps the wave
// from passing).
double ExpectedSilent(const SilenceCounts& counts, const Onsets& onsets);

// If hosts with and without the release fell silent at the same rate, each onset would be an exposed host's
// with probability p = exposed hours / all hours: P(Bin(exposed + control onsets, p) >= exposed onsets).
// Exact however few the controls are: with a small control it asks for more. 1 when not above the
// expectation, or without control time.
double ChanceOfSoMany(const SilenceCounts& counts, const Onsets& onsets);

// By either way of counting: at least min_count silent, an excess (silent - expected)/exposed above
// max_excess, and more than chance: ChanceOfSoMany below kChance. The last keeps six closed laptop lids of 44
// from halting a good release.
bool IsBreached(const SilenceGate& gate, const SilenceCounts& counts);
inline constexpr double kChance = 1e-5;

// On the way there: fewer silent hosts than min_count may not stop a release for good, but they hold it until
// a person looks, when chance does not explain them. In a scope that is new to the release (fewer than
// kNovelHosts exposed) two are enough at 1e-3: there a fault shows first, and there are few such looks. Later
// it takes three at 1e-4.
bool IsSuspect(const SilenceGate& gate, const SilenceCounts& counts);
inline constexpr int64_t kNovelHosts = 20;
inline constexpr int64_t kNovelCount = 2;
inline constexpr double kNovelChance = 1e-3;
inline constexpr int64_t kSuspectCount = 3;
inline constexpr double kSuspectChance = 1e-4;

}  // namespace ringfence::policy
