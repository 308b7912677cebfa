// An incident replayed against a plan on a customer's own mix of hosts: how many it would have harmed, and
// how many a push to everyone. The server's own code decides, in memory, under a virtual clock.
//
// What is modelled: the plan's rings, waves, soaks, windows, ages and gates; the exposure budget, the
// statistical evidence, halt and rollback; hosts that sleep, crash for unrelated reasons and reboot. What is
// not: the checks at publication (the release passed them all, as it did then, and was qualified
// everywhere), the vendor's own fleet (it noticed nothing), other customers, people (nobody approves, pauses
// or resumes), networks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/projection.h"
#include "server/simulate/incident.h"

namespace ringfence::replay {

struct TimeMachineInput {
  policy::Plan plan;  // legal
  std::vector<policy::MixEntry> mix;
  Incident incident;
  std::optional<policy::Selector> affects;  // instead of the incident's own words for its hosts
  std::vector<uint64_t> seeds = {1, 2, 3};
  int64_t most_hosts = 2000;  // larger fleets are simulated at this size, in the same mix
  Micros horizon = 7 * kDay;
};

struct TimeMachineRun {
  uint64_t seed = 0;
  int64_t exposed = 0, harmed = 0;
  // With the plan only.
  std::optional<absl::Duration> first_exposure, stopped_after;  // since publication
  std::string stopped_by;                                       // the rule of the first halt or hold
  std::string last_ring;   // the last in the plan's order in which a host was exposed
  bool everybody = false;  // every host that may ever take it did
};

struct TimeMachineReply {
  int64_t hosts = 0;  // of the mix
  int64_t simulated = 0;
  int64_t affected = 0;    // of the mix: hosts that the incident hits when they take it
  policy::Selector meant;  // whom; every host of nobody when `affected` is 0
  std::vector<TimeMachineRun> with_plan, everyone;  // by seed; empty when nobody is affected
};

// Same input, same reply. InvalidArgument: an empty mix, or labels that are none. A run of a day of a
// thousand hosts takes about a second.
absl::StatusOr<TimeMachineReply> RunTimeMachine(const TimeMachineInput& input);

// The middle one of the counts, and the least and the most.
struct Spread {
  int64_t least = 0, median = 0, most = 0;
};
Spread SpreadOf(std::vector<int64_t> counts);  // not empty

}  // namespace ringfence::replay
