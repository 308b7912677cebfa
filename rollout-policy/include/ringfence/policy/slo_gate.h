// The plan's SLO gates: absolute limits over all exposed hosts of a release, matured or not. health-analysis.md 8.
// The counting over windows and label values is the caller's; here is the judgement.
#pragma once

#include <cstdint>
#include <string>

#include "ringfence/policy/plan.h"

namespace ringfence::policy {

enum class GateKind : uint8_t { kCrash = 1, kSilence = 2, kDegraded = 3 };
const char* Name(GateKind kind);  // "crash", "silence", "degraded"

// Distinct exposed hosts with a bad event in the window, over all exposed hosts of the scope (frozen denominators:
// deleted and relabelled hosts stay in).
struct RateCounts {
  int64_t bad = 0;
  int64_t exposed = 0;
};
bool IsBreached(const RateGate& gate, const RateCounts& counts);

// Silence is judged against hosts without the release over the same window.
struct SilenceCounts {
  int64_t silent = 0;               // distinct exposed hosts that fell silent in the window
  int64_t exposed = 0;              // all exposed hosts of the scope
  double exposed_host_hours = 0;    // time exposed hosts of the scope were online and exposed in the window
  int64_t control_silent = 0;       // onsets of silence among hosts without the release in the window
  double control_host_hours = 0;    // their online time in the window
};

// Silent hosts that the controls' rate predicts for the exposed hosts' time: rate × exposed_host_hours, where the rate
// is (control_silent + 1) / control_host_hours, so that no control at all never looks like a perfect one.
// With no control time the prediction is infinite: the gate cannot judge (invariant 7 keeps the wave from passing).
double ExpectedSilent(const SilenceCounts& counts);

// At least min_count silent, an excess (silent - expected)/exposed above max_excess, and more than chance:
// ChanceOfSoMany below kChance. The last keeps six closed laptop lids of 44 from halting a good release.
bool IsBreached(const SilenceGate& gate, const SilenceCounts& counts);
inline constexpr double kChance = 1e-5;

// If hosts with and without the release fell silent at the same rate, each onset would be an exposed host's with
// probability p = exposed hours / all hours: P(Bin(silent + control_silent, p) >= silent). Exact however few the
// controls are: with a small control it asks for more. 1 when not above the expectation, or without control time.
double ChanceOfSoMany(const SilenceCounts& counts);

}  // namespace ringfence::policy
