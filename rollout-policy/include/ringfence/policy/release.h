// A release: immutable bytes with a version and a serial that strictly rises in its channel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/fault.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/selector.h"

namespace ringfence::policy {

struct Release {
  std::string channel;  // slug
  ChannelKind kind = ChannelKind::kContent;
  uint64_t serial = 0;  // from 1
  std::string version;  // 1 to 128 bytes of UTF-8
  Digest digest;        // sha256 of the bytes
  int64_t size_bytes = 0;
  Selector targets;              // hosts it is meant for
  std::vector<Selector> matrix;  // platforms it was qualified on; a host must match one
  bool urgent = false;
  absl::Time published_at;

  friend bool operator==(const Release&, const Release&) = default;
};

inline constexpr int64_t kMaxArtifactBytes = 64 << 20;

// Every fault at once: slug, serial, version, digest, size, targets, an empty or oversized (256) matrix.
std::vector<Fault> Validate(const Release& release);

// May hosts with these labels ever run it: targeted, and covered by the matrix as they are and as they are
// about to be (pending.h)?
bool IsTargeted(const Release& release, const Labels& labels);
bool IsQualified(const Release& release, const Labels& labels);
// By the matrix as they are.
bool IsCovered(const Release& release, const Labels& labels);

// A host's place in the order for a release: the first eight bytes, big-endian, of
// sha256(release digest ‖ agent id), both raw. Uniform, stable for a release, another for the next.
uint64_t PlaceOf(const Digest& release, const AgentId& agent);

}  // namespace ringfence::policy
