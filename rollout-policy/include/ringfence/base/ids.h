// Identifiers as small value types. Text forms are lower case; parsing refuses everything else.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence {

// An agent's own UUIDv4, 16 raw bytes, network order.
struct AgentId {
  std::array<uint8_t, 16> bytes{};

  // "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", lower case. InvalidArgument otherwise.
  static absl::StatusOr<AgentId> Parse(absl::string_view text);
  // Exactly 16 raw bytes. InvalidArgument otherwise.
  static absl::StatusOr<AgentId> FromBytes(absl::string_view raw);
  std::string ToString() const;
  absl::string_view raw() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

  friend auto operator<=>(const AgentId&, const AgentId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const AgentId& id) {
    return H::combine(std::move(h), id.bytes);
  }
};

// A sha256, 32 raw bytes.
struct Digest {
  std::array<uint8_t, 32> bytes{};

  // 64 lower-case hex digits. InvalidArgument otherwise.
  static absl::StatusOr<Digest> Parse(absl::string_view hex);
  static absl::StatusOr<Digest> FromBytes(absl::string_view raw);
  std::string ToString() const;
  absl::string_view raw() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  bool IsZero() const { return *this == Digest{}; }

  friend auto operator<=>(const Digest&, const Digest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.bytes);
  }
};

// Tenants, channels, rings and local groups are slugs: [a-z0-9-]{1,63}.
bool IsSlug(absl::string_view text);

// Database-issued identifiers; 0 is none.
using RolloutId = int64_t;
using StageId = int64_t;
using DecisionId = int64_t;

}  // namespace ringfence
