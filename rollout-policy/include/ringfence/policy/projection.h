// Who would get which release when, if all goes well: a plan run forward over the hosts of now. Pure; the
// server fills in what it knows, and a preview shows today's plan and the proposed one side by side.
//
// Every time is the earliest: no host falls ill, nobody pauses or publishes, and every host is awake and asks
// each check-in. Order of rings, lag, age, approval, windows, freezes, soak and the passing of waves follow
// the rules that the engine decides by; how fast a wave fills is the expectation of the draw.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/policy/host_eligibility.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/reason.h"
#include "ringfence/policy/release.h"
#include "ringfence/policy/stage.h"

namespace ringfence::policy {

// Hosts that say the same of themselves.
struct MixEntry {
  Labels labels;
  int64_t hosts = 0;
};

// How a ring stands with a release when the projection begins.
struct StageStanding {
  std::string ring;
  StageState state = StageState::kWaiting;
  int wave = 0;                  // index of the open wave
  absl::Time opened;             // of the open wave
  absl::Duration soaked;         // healthy time since then
  int64_t exposed = 0;           // hosts let in so far
  int64_t confirmed = 0;         // of those, proven healthy
  Reason brake = Reason::kNone;  // what stops it; nothing that time releases
};

struct RingConsent {
  std::string ring;
  Consent consent = Consent::kNone;
  std::optional<absl::Duration> hastened = std::nullopt;  // the age that an approval asks for
};

// A release of the channel, and what is known of it for this tenant.
struct ReleaseStanding {
  Release release;
  Reason brake = Reason::kNone;  // on it in every ring
  bool stopped = false;          // halted or recalled, for this tenant or for all
  // When the vendor's own fleet has passed it: InfinitePast where it has or there is none, InfiniteFuture
  // where nobody knows.
  absl::Time internal_passes = absl::InfinitePast();
  absl::Duration healthy_age;
  absl::Time ages_from = absl::InfiniteFuture();  // when it goes on growing older; InfiniteFuture: with the
                                                  // first host proven here
  std::vector<StageStanding> stages;
  std::vector<RingConsent> consents;  // of rings that ask a person, or let an approval shorten the age
};

struct ProjectionInput {
  const Plan* plan = nullptr;
  std::string channel;
  std::vector<MixEntry> mix;
  std::vector<ReleaseStanding> releases;  // in rising serial order
  bool first_of_internal = false;         // as ChooseRelease's
  absl::Time now;
  absl::Duration horizon = absl::Hours(24 * 90);
  absl::Duration checkin = absl::Minutes(1);    // h
  absl::Duration probation = absl::Minutes(4);  // from activation to proof
  absl::Duration step = absl::Seconds(15);      // between two looks of the server
};

// One wave of a ring, or the part of it that is still to come.
struct ProjectedWave {
  uint64_t serial = 0;
  std::string version;
  int wave = 0;       // index
  absl::Time opens;   // in the past: it is open already
  absl::Time passes;  // InfiniteFuture: not within the horizon
  int64_t hosts = 0;  // most hosts of the ring that run it by its end
};

// A span in which something keeps a ring from going on with a release.
struct ProjectedHold {
  uint64_t serial = 0;
  std::string version;
  Reason reason = Reason::kNone;
  absl::Time from;
  absl::Time until = absl::InfiniteFuture();  // not within the horizon, or not by time alone
  std::string detail;
};

struct ProjectedRing {
  std::string ring;
  int64_t hosts = 0;                 // of the mix
  std::vector<ProjectedWave> waves;  // in order of time
  std::vector<ProjectedHold> holds;  // in order of time
};

// Hosts of the mix that run a release, over time.
struct ExposurePoint {
  absl::Time at;
  int64_t hosts = 0;
};
struct ReleaseExposure {
  uint64_t serial = 0;
  std::string version;
  std::vector<ExposurePoint> points;  // rising; begins with those that run it now
};

struct Projection {
  std::string channel;
  std::vector<ProjectedRing> rings;       // in the plan's order
  std::vector<ReleaseExposure> exposure;  // of releases that some host takes
  // For a projection that rests on this one as the vendor's own: by the order of `releases`.
  std::vector<absl::Time> all_passed;    // every ring passed, at least one with hosts; InfiniteFuture: never
  std::vector<absl::Time> first_proven;  // InfiniteFuture: nobody
};

Projection Project(const ProjectionInput& input);

}  // namespace ringfence::policy
