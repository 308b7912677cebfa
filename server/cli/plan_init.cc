// ringfence plan init: a plan to start from, explained line by line. Needs no server.
#include <ostream>

#include "absl/strings/str_replace.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"

namespace ringfence::cli {
namespace {

constexpr char kStarter[] = R"yaml(# The update plan of TENANT. docs/plans.md explains every field.
#   ringfence plan validate plan.yaml      every fault and warning
#   ringfence plan preview plan.yaml       what it does to the hosts of today
#   ringfence plan apply plan.yaml -m WHY
# yaml-language-server: $schema=plan.schema.json     (an editor's: the path of docs/plan.schema.json)
tenant: TENANT
zone: Europe/Berlin            # of windows and blackout dates
channels:                      # a channel without a rule is never offered
- {channel: content, mode: follow}
- {channel: sensor, mode: follow}
rings:                         # in order; a host belongs to the first whose selector matches
- name: canary
  selector: {site: [lab, it]}  # every label must match, with any of the values
  waves: [10%, 50%, 100%]
  soak: 1h                     # least healthy time in each wave
- name: everyone
  selector: {}                 # every host that no ring above has taken
  waves: [5%, 25%, 100%]
  soak: 4h
  min_age: 24h                 # healthy time of the release elsewhere
  channels:                    # what is different in one channel
  - channel: sensor
    lag: 1                     # N-1
    # approval: explicit       # waits for `ringfence release approve`
    windows:                   # longer than a soak, or a wave needs a night more
    - {from: "20:00", to: "06:00"}
gates:
  crash:    {max_rate: 1%, min_count: 3, window: 6h}
  silence:  {missed_checkins: 3, max_excess: 5%, min_count: 5, window: 1h}
  degraded: {max_rate: 2%, min_count: 5, window: 6h}
  cohort_keys: [os]
  on_breach: halt_and_revert
# freezes:
# - {from: 2026-12-18, to: 2027-01-04, reason: Christmas, owner: Head of IT, rings: [everyone]}
# blackouts:
# - {date: 12-24, reason: Christmas Eve, owner: Head of IT}
)yaml";

}  // namespace

int PlanInit(Context& context, const PlanTenantOptions& options) {
  context.out() << absl::StrReplaceAll(kStarter, {{"TENANT", options.tenant}});
  return kOk;
}

}  // namespace ringfence::cli
