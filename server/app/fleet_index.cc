#include "server/app/fleet_index.h"

namespace ringfence::app {

void FleetIndex::Clear() {
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    shard.by_id.clear();
    shard.rows.clear();
    shard.heard_unexposed = 0;
  }
}

HostRef FleetIndex::Add(const AgentId& agent) {
  Shard& shard = ShardOf(agent);
  MutexLock lock(&shard.mutex);
  const auto [it, added] = shard.by_id.try_emplace(agent, static_cast<uint32_t>(shard.rows.size()));
  if (added) {
    shard.rows.emplace_back();
    shard.rows.back().agent = agent;
  }
  return RefOf(agent, it->second);
}

HostRef FleetIndex::Find(const AgentId& agent) {
  Shard& shard = ShardOf(agent);
  MutexLock lock(&shard.mutex);
  const auto it = shard.by_id.find(agent);
  return it == shard.by_id.end() ? kNoHost : RefOf(agent, it->second);
}

void FleetIndex::ForEach(absl::FunctionRef<void(HostRef, Row&)> visit) {
  for (int s = 0; s < kShards; ++s) {
    Shard& shard = shards_[s];
    MutexLock lock(&shard.mutex);
    for (uint32_t i = 0; i < shard.rows.size(); ++i) {
      visit(static_cast<HostRef>(s) << kIndexBits | i, shard.rows[i]);
    }
  }
}

void FleetIndex::VisitSome(uint64_t& cursor, int64_t count, absl::FunctionRef<void(HostRef, Row&)> visit) {
  for (int shards = 0; count > 0 && shards <= kShards; ++shards) {
    const uint64_t s = cursor >> 32;
    uint64_t i = cursor & 0xffffffff;
    Shard& shard = shards_[s];
    MutexLock lock(&shard.mutex);
    for (; i < shard.rows.size() && count > 0; ++i, --count) {
      visit(static_cast<HostRef>(s) << kIndexBits | static_cast<HostRef>(i), shard.rows[i]);
    }
    cursor = i < shard.rows.size() ? s << 32 | i : (s + 1) % kShards << 32;
  }
}

int64_t FleetIndex::TakeHeardUnexposed() {
  int64_t sum = 0;
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    sum += shard.heard_unexposed;
    shard.heard_unexposed = 0;
  }
  return sum;
}

int64_t FleetIndex::size() {
  int64_t sum = 0;
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    sum += static_cast<int64_t>(shard.rows.size());
  }
  return sum;
}

int64_t FleetIndex::MemoryBytes() {
  int64_t sum = 0;
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    sum += static_cast<int64_t>(shard.rows.capacity() * sizeof(Row));
    sum += static_cast<int64_t>(shard.by_id.capacity() *
                                (sizeof(std::pair<const AgentId, uint32_t>) + 1));  // slot and control byte
  }
  return sum;
}

}  // namespace ringfence::app
