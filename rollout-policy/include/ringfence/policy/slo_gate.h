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

// Crashes beside those of hosts without the release over the same time.
struct CrashCounts {
  RateCounts rate;                // distinct exposed hosts that crashed in that time, of all exposed hosts
  int64_t control = 0;            // crashes of hosts without the release
  double exposed_host_hours = 0;  // time exposed hosts of the scope were online and exposed
  double control_host_hours = 0;  // online time of hosts without the release
  int64_t control_lately = 0;     // of `control` and its hours, those of the last kLately
  double control_host_hours_lately = 0;
  int64_t scopes = 1;   // the release, and every label value that the plan judges on its own
  int64_t windows = 1;  // as of SilenceCounts
};
inline constexpr absl::Duration kLately = absl::Minutes(15);

// Crashed hosts that the controls' rate predicts, as ExpectedSilent does; infinite without control time.
double ExpectedCrashes(const CrashCounts& counts);

// If hosts with and without the release crashed at the same rate, the chance that so many of the crashes are
// exposed hosts': P(Bin(crashed + control, exposed hours / all hours) >= crashed). Where two or more controls
// crashed lately, at least what their rate, and half as much again, lets expect of the exposed hosts' hours:
// a storm that strikes everybody is no sign. Each crashed host counts for kLately at least, so that one that
// was away for long is no miracle on its return. 1 without control time.
double ChanceOfSoMany(const CrashCounts& counts);

// On the way to a breach: fewer than min_count crashes may not stop a release for good, but when their share
// is above max_rate and chance does not explain them they hold it until a person looks. A crash is rare where
// a closed laptop is not, so that one that follows the release within minutes may be enough. "Chance" is
// spent: half of kCrashHoldChance on the release's own counts, half on those of its label values in equal
// parts, of each part 2^-k on the look at the k-th crashed host, and less in every window (SpentIn).
bool IsSuspect(const RateGate& gate, const CrashCounts& counts, bool of_release);
inline constexpr double kCrashHoldChance = 2e-3;

// Hosts that fell silent in one way, with and without the release.
struct Onsets {
  int64_t exposed = 0;   // distinct exposed hosts in the window
  int64_t control = 0;   // onsets among hosts without the release in the window
  double explained = 0;  // of `exposed`, those that an outage explains: ExplainedShare, summed
};

// One part of the fleet (a tenant, a ring, hosts with one label value) in the same few minutes: how many of
// its hosts fell silent, of those that were heard when the minutes began.
struct BulkSilence {
  int64_t exposed_fell = 0;
  int64_t exposed_heard = 0;
  int64_t control_fell = 0;
  int64_t control_heard = 0;
  double usual = 0;  // controls of this part that the usual rate lets fall silent in these minutes
};

// The share of the exposed hosts' silences that an outage explains: a line that is cut takes hosts with and
// without the release alike, all at once, which no rate over an hour foretells. 0 while fewer than
// kBulkHosts controls fell silent, or not more than usual (chance kBulkChance or above): bricks alone
// explain nothing. 1 when the exposed hosts fell no more often than the controls, as far as one can tell
// (chance kAlikeChance or above); otherwise as many as the controls' share foretells.
double ExplainedShare(const BulkSilence& bulk);

// The exposed hosts that fell silent, at least two, may be the first of an outage whose controls follow:
// they fell no more often than the controls, as far as one can tell.
bool MayBeOutage(const BulkSilence& bulk);
inline constexpr int64_t kBulkHosts = 2;
inline constexpr double kBulkChance = 1e-3;
inline constexpr double kAlikeChance = 0.01;

// Silence is judged against hosts without the release over the same window, and twice: every silence, which
// also sees an update that shuts hosts down politely, and the silences that no goodbye announced, which are
// few among healthy hosts and so tell a brick from closed laptops much earlier.
struct SilenceCounts {
  Onsets all{};
  Onsets unannounced{};
  int64_t exposed = 0;            // all exposed hosts of the scope
  double exposed_host_hours = 0;  // time exposed hosts of the scope were online and exposed in the window
  double control_host_hours = 0;  // online time of hosts without the release in the window
  int64_t windows = 1;  // since the first host of the scope was exposed, the one that goes on included
};

// A gate looks again and again, for as long as a release is watched, and each new window is another chance to
// see what is only chance. So the j-th may use 2/(j·(j + 1)) of a level: 1, 1/3, 1/6, ..., twice the level in
// all.
double SpentIn(int64_t windows);

// Silent hosts that the controls' rate predicts for the exposed hosts' time: rate × exposed_host_hours, where
// the rate is (control onsets + 1) / control_host_hours, so that no control at all never looks like a perfect
// one. To it come the explained ones. With no control time the prediction is infinite: the gate cannot judge
// (invariant 7 keeps the wave from passing).
double ExpectedSilent(const SilenceCounts& counts, const Onsets& onsets);

// If hosts with and without the release fell silent at the same rate, each onset would be an exposed host's
// with probability p = exposed hours / all hours: P(Bin(exposed + control onsets, p) >= exposed onsets),
// without the exposed onsets that are explained. Exact however few the controls are: with a small control it
// asks for more. 1 when not above the expectation, or without control time.
double ChanceOfSoMany(const SilenceCounts& counts, const Onsets& onsets);

// By either way of counting: at least min_count silent that no outage explains, an excess (silent -
// expected)/exposed above max_excess, and more than chance: ChanceOfSoMany below kChance. The last keeps six
// closed laptop lids of 44 from halting a good release.
bool IsBreached(const SilenceGate& gate, const SilenceCounts& counts);
inline constexpr double kChance = 1e-5;

// On the way there: fewer silent hosts than min_count may not stop a release for good, but they hold it until
// a person looks, when chance does not explain them. In a scope that is new to the release (fewer than
// kNovelHosts exposed) two are enough at 1e-3: there a fault shows first. Later it takes three at 1e-4. Both
// times SpentIn, but never below kChance, at which min_count halts.
bool IsSuspect(const SilenceGate& gate, const SilenceCounts& counts);
inline constexpr int64_t kNovelHosts = 20;
inline constexpr int64_t kNovelCount = 2;
inline constexpr double kNovelChance = 1e-3;
inline constexpr int64_t kSuspectCount = 3;
inline constexpr double kSuspectChance = 1e-4;

}  // namespace ringfence::policy
