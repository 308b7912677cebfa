// A release: immutable bytes with a version and a serial that strictly rises in its channel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/fault.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/selector.h"

namespace ringfence::policy {

// The bytes of a release for some of its platforms.
struct Artifact {
  std::string path;  // in the release repository
  Digest digest;     // sha256 of the bytes
  int64_t size_bytes = 0;
  std::vector<Selector> matrix;        // platforms it was qualified on; a host must match one
  std::vector<Digest> qualifications;  // the evidence that it was proven by

  friend bool operator==(const Artifact&, const Artifact&) = default;
};

struct Release {
  std::string channel;  // slug
  ChannelKind kind = ChannelKind::kContent;
  uint64_t serial = 0;           // from 1
  std::string version;           // 1 to 128 bytes of UTF-8
  Digest digest;                 // of the one artifact: sha256 of its bytes; of a set: its own name
  int64_t size_bytes = 0;        // of the largest artifact
  Selector targets;              // hosts it is meant for
  std::vector<Selector> matrix;  // platforms it was qualified on; a host must match one
  bool urgent = false;
  absl::Time published_at;
  // Of a release that its signed listing and its evidence prove: one for each platform or several, at least
  // one. Empty: taken on its publisher's word, its bytes are those of `digest`.
  std::vector<Artifact> artifacts = {};

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

// Which bytes a host with these labels gets: the first artifact that covers it. Absent: none does.
struct ArtifactBytes {
  Digest digest;
  int64_t size_bytes = 0;
};
std::optional<ArtifactBytes> BytesFor(const Release& release, const Labels& labels);
// The bytes with this digest, if they are the release's, for whatever platform.
std::optional<ArtifactBytes> BytesNamed(const Release& release, const Digest& digest);
// Are these the release's bytes, for whatever platform?
bool Holds(const Release& release, const Digest& digest);

// A host's place in the order for a release: the first eight bytes, big-endian, of
// sha256(release digest ‖ agent id), both raw. Uniform, stable for a release, another for the next.
uint64_t PlaceOf(const Digest& release, const AgentId& agent);

}  // namespace ringfence::policy
