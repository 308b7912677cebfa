// The simulated hosts, made from a scenario and a seed: who belongs to which tenant, cohort and ring, and
// what each runs. Dense arrays: a host is an index, a label set and a version are small numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/labels.h"
#include "server/simulate/scenario.h"
#include "server/storage/rows.h"

namespace ringfence::replay {

inline constexpr uint16_t kNoIndex = 0xffff;

// The two kinds of channel that a host runs something in, in the order of their names.
inline constexpr size_t kContentSlot = 0;
inline constexpr size_t kSensorSlot = 1;
inline constexpr size_t kSlots = 2;

struct Host {
  AgentId id;
  uint16_t tenant = 0;
  uint16_t cohort = 0;
  uint16_t ring = kNoIndex;                          // of the scenario's plan
  uint16_t labels = 0;                               // what it says of itself now
  uint16_t running[kSlots] = {kNoIndex, kNoIndex};   // versions
  uint16_t previous[kSlots] = {kNoIndex, kNoIndex};  // last-known-good
  uint16_t staged[kSlots] = {kNoIndex, kNoIndex};
  uint16_t activating = kNoIndex;  // a granted lease waits for its activation
  uint16_t fetching = kNoIndex;

  uint32_t boot = 0;
  uint32_t next_seq = 1;
  uint16_t checkin_generation = 0;  // raising one cancels the timers that carry it
  uint16_t version_generation = 0;
  uint16_t down_generation = 0;
  uint8_t failed_calls = 0;
  uint8_t fault = 0xff;  // the one that struck and is not healed

  bool powered = false;  // asleep otherwise
  bool down = false;     // dead by a fault, or rebooting
  bool cut_off = false;  // an outage between it and the server
  bool says_goodbye = false;
  bool last_shutdown_clean = true;
  bool send_labels = false;
  bool has_events = false;
  bool armed = false;  // runs a release whose fault has not struck yet
  bool ignores_reverts = false;
  float checkin_factor = 1;
};

struct Fleet {
  const Scenario* scenario = nullptr;
  std::vector<Host> hosts;

  struct LabelSet {
    policy::Labels labels;
    std::string hash;  // Labels::Hash16
  };
  std::vector<LabelSet> label_sets;

  // Finds or adds.
  uint16_t Intern(policy::Labels labels);
  // Does the selector match, with the pseudo-labels `tenant` and `ring`?
  bool Matches(const policy::Selector& selector, const Host& host) const;
  // How the host's tenant treats a channel slot.
  const ChannelPolicy& PolicyOf(const Host& host, size_t slot) const;
  const std::string& TenantOf(const Host& host) const { return scenario->fleet.tenants[host.tenant].name; }

 private:
  absl::flat_hash_map<std::string, uint16_t> by_hash_;
};

// `scale` multiplies the number of hosts. InvalidArgument when the labels are not legal ones.
absl::StatusOr<Fleet> MakeFleet(const Scenario& scenario, uint64_t seed, double scale);

// True if every pair of `labels` is among those of the host.
bool HasAll(const policy::Labels& host, const LabelPairs& labels);

// `total` split by shares, exactly, the largest remainders rounded up. Shares need not add up to 1.
std::vector<int64_t> Apportion(int64_t total, const std::vector<double>& shares);

}  // namespace ringfence::replay
