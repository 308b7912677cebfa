// What happened to the hosts, written down as it happens. Every bound that is not marked "server record" is
// computed from this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ringfence/base/ids.h"
#include "server/simulate/scenario.h"
#include "server/simulate/virtual_time.h"

namespace ringfence::replay {

// One artifact that hosts may run: a published release, or what they ran before.
struct Version {
  size_t slot = 0;  // fleet.h
  std::string text;
  Digest digest;
  uint64_t serial = 0;
  int release = -1;      // index into Scenario::releases; -1: the version that hosts ran at the start
  bool harmful = false;  // the scenario's faults strike hosts that run it
};

struct PublishRecord {
  uint16_t version = 0;
  Micros at = 0;
  ArtifactForm form = ArtifactForm::kWellFormed;
  Evidence evidence = Evidence::kThisArtifact;
  bool accepted = false;
  std::string refusal;  // the class
  std::string message;
  std::vector<std::string> warnings;
};

struct Grant {
  Micros at = 0;
  uint32_t host = 0;
  uint16_t version = 0;
};

struct Activation {
  Micros at = 0;
  uint32_t host = 0;
  uint16_t version = 0;
};

struct Harm {
  Micros at = 0;
  uint32_t host = 0;
  uint16_t version = 0;
  uint8_t fault = 0;
  Micros healed_at = kNever;
};

struct RevertOrder {
  Micros at = 0;
  uint32_t host = 0;
};

// A host said that it is about to boot into what the release that it runs was not qualified on.
struct PendingNotice {
  Micros at = 0;
  Micros reboots_at = 0;
  uint32_t host = 0;
  uint32_t event = 0;
};

struct CoverageSample {
  Micros at = 0;
  uint16_t version = 0;
  int64_t eligible = 0;
  int64_t running = 0;
};

struct RestartRecord {
  Micros up_at = kNever;
  Micros served_at = kNever;  // 95 % of the hosts that could call have been answered again
};

struct Ledger {
  std::vector<Version> versions;
  std::vector<PublishRecord> publishes;
  std::vector<Grant> grants;  // offers
  std::vector<Activation> activations;
  std::vector<Harm> harms;
  std::vector<uint32_t> rescued;           // exposed, reverted before the fault struck
  std::vector<RevertOrder> revert_orders;  // the first order to each host and version
  std::vector<PendingNotice> pending_notices;
  std::vector<CoverageSample> coverage;
  std::vector<RestartRecord> restarts;
  std::vector<int64_t> requests_per_minute;
  Micros first_early_sign = kNever;  // of a fault that is on its way
  Micros first_halt_seen = kNever;
  Micros excluded_at = kNever;  // from here on coverage is of the hosts that are not excluded

  // Offers (prefetch counts) that must never happen; the first few as text.
  int64_t forbidden_offers = 0;     // acceptance.never_offered
  int64_t offers_outside_plan = 0;  // tenant paused or pinned elsewhere, not targeted, not qualified
  std::vector<std::string> forbidden_examples;

  int64_t checkins = 0;
  int64_t failed_checkins = 0;
  int64_t lease_requests = 0;
  int64_t server_errors = 0;
  std::string first_server_error;
};

}  // namespace ringfence::replay
