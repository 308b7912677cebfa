// Makes metadata: what a repository's people sign. Nothing here reads a file or a clock; every function gives
// the bytes of a document without signatures, except AddSignature.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::tuf {

// The member of a root that marks keys which protect nothing.
inline constexpr char kThrowawayMark[] = "x-ringfence-throwaway";

struct RolePlan {
  std::vector<trust::PublicKey> keys;  // each once
  int threshold = 1;                   // 1 to the number of keys
};

struct DelegationPlan {
  std::string name;
  RolePlan role;
  std::vector<std::string> paths;
};

struct ListedTarget {
  std::string path;
  uint64_t length = 0;
  Digest sha256;
  std::string custom;  // JSON; empty: none
};

// Key ids are sha256 of the raw key. InvalidArgument for a role of the four that is missing, or a threshold
// that its keys cannot meet.
absl::StatusOr<std::string> MakeRoot(int64_t version, absl::Time expires,
                                     const std::map<std::string, RolePlan>& roles, bool throwaway);

// What changes against `base`, the document before it; empty: the first. All of the delegations are replaced
// if they are given, and all of them are terminating.
struct TargetsChange {
  std::optional<std::vector<DelegationPlan>> delegations;
  std::vector<ListedTarget> add;  // replaces what is listed under the same path
};
absl::StatusOr<std::string> MakeTargets(absl::string_view base, int64_t version, absl::Time expires,
                                        const TargetsChange& change);

// The bytes of every targets role by its name.
absl::StatusOr<std::string> MakeSnapshot(int64_t version, absl::Time expires,
                                         const std::map<std::string, std::string>& targets);
absl::StatusOr<std::string> MakeTimestamp(int64_t version, absl::Time expires, absl::string_view snapshot);

// `document`, with a signature of `key` in place of an earlier one of the same key. InvalidArgument if it is
// no document.
absl::StatusOr<std::string> AddSignature(absl::string_view document, const trust::SigningKey& key);

}  // namespace ringfence::tuf
