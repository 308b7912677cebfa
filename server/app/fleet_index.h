// Every host in memory, sharded by agent id: what a check-in that changes nothing touches, and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "ringfence/base/ids.h"
#include "ringfence/base/mutex.h"
#include "server/app/messages.h"

namespace ringfence::app {

// Names a host for the life of the process: shard above index.
using HostRef = uint32_t;
inline constexpr HostRef kNoHost = 0xffffffff;

// Nanoseconds on the fleet's clock: server time that stands still while the server is blind, so that its own
// deafness never looks like silence (invariant 13).
using FleetNanos = int64_t;
inline constexpr FleetNanos kNever = INT64_MAX;

// Directive lists are few and shared; a list lives as long as the process.
using DirectiveList = std::shared_ptr<const std::vector<Directive>>;

// One host. The fast path of a check-in reads and writes this alone.
struct Row {
  AgentId agent;
  Digest secret_hash;
  uint64_t state_hash = 0;  // of boot, labels, running, staged as last heard
  uint64_t boot_hash = 0;   // 0: not known
  FleetNanos last_seen = 0;
  FleetNanos counts_from = kNever;  // of the open spell: t0 + a, and then its silence window runs
  FleetNanos recheck_at = 0;  // the fast path ends here: a lock, a probation or a lease changes something
  const DirectiveList* directives = nullptr;
  uint32_t generation = 0;  // of the decisions that `directives` came from
  uint32_t label_set = 0;
  uint32_t running_set = 0;
  uint32_t enrolled_at = 0;  // unix seconds
  uint32_t spell = 0;        // index + 1 of the open spell; 0: none
  uint16_t heard = 0;        // check-ins since `counts_from`, as far as they can be counted
  bool silent = false;
  bool deleted = false;
  bool ever_exposed = false;
  bool goodbye = false;  // said at last_seen
};

// A check-in at `now` that is heard: silence and the gauge of missed check-ins go by this.
inline void Hear(Row& row, FleetNanos now) {
  row.last_seen = now;
  if (now > row.counts_from && row.heard < UINT16_MAX) ++row.heard;
}

class FleetIndex {
 public:
  static constexpr int kShards = 32;
  static constexpr int kIndexBits = 27;

  struct Shard {
    Mutex mutex;
    absl::flat_hash_map<AgentId, uint32_t> by_id ABSL_GUARDED_BY(mutex);
    std::vector<Row> rows ABSL_GUARDED_BY(mutex);
    int64_t heard_unexposed ABSL_GUARDED_BY(mutex) = 0;  // check-ins of never-exposed hosts since last asked
  };

  Shard& ShardOf(const AgentId& agent) { return shards_[agent.bytes[0] % kShards]; }
  Shard& ShardOf(HostRef host) { return shards_[host >> kIndexBits]; }
  static uint32_t IndexOf(HostRef host) { return host & ((1u << kIndexBits) - 1); }
  HostRef RefOf(const AgentId& agent, uint32_t index) const {
    return static_cast<HostRef>(agent.bytes[0] % kShards) << kIndexBits | index;
  }

  void Clear();
  // Adds a host, or returns the one there is.
  HostRef Add(const AgentId& agent);
  // kNoHost when unknown.
  HostRef Find(const AgentId& agent);
  // Runs `body` on the row under its shard's lock.
  template <typename Body>
  auto With(HostRef host, Body body) {
    Shard& shard = ShardOf(host);
    MutexLock lock(&shard.mutex);
    return body(shard.rows[IndexOf(host)]);
  }
  void ForEach(absl::FunctionRef<void(HostRef, Row&)> visit);
  // Visits the next `count` hosts in a circle; `cursor` starts at 0 and is the caller's to keep.
  void VisitSome(uint64_t& cursor, int64_t count, absl::FunctionRef<void(HostRef, Row&)> visit);
  // Check-ins of never-exposed hosts since the last call.
  int64_t TakeHeardUnexposed();
  int64_t size();
  // Bytes that the index itself holds, for the benchmark.
  int64_t MemoryBytes();

 private:
  std::array<Shard, kShards> shards_;
};

}  // namespace ringfence::app
