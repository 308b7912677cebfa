// What a host says of itself: os, kernel, sensor, coinstalled, ... A key may appear with several values
// (coinstalled).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace ringfence::policy {

// An immutable set of (key, value) pairs, sorted by key then value, without repeats.
class Labels {
 public:
  using Pair = std::pair<std::string, std::string>;
  static constexpr size_t kMaxPairs = 32;
  static constexpr size_t kMaxKeyBytes = 64;
  static constexpr size_t kMaxValueBytes = 256;

  Labels() = default;
  // Sorts and removes repeats. InvalidArgument, naming the pair, when there are more than kMaxPairs, a key is
  // empty or too long, a value too long, or either is not UTF-8 or holds a control character.
  static absl::StatusOr<Labels> Make(std::vector<Pair> pairs);

  bool Has(absl::string_view key, absl::string_view value) const;
  // The pairs with this key; empty if there is none.
  absl::Span<const Pair> WithKey(absl::string_view key) const;
  const std::vector<Pair>& pairs() const { return pairs_; }

  // The same with pairs that are derived, not reported (bucket.h). Keys that begin with kDerived are theirs:
  // what a host reports under one is dropped. They do not count for kMaxPairs.
  Labels WithDerived(std::vector<Pair> derived) const;
  static constexpr char kDerived = '@';

  // First 16 bytes of sha256 over the sorted pairs, each string length-prefixed: what an agent sends when its
  // labels did not change. Raw bytes.
  std::string Hash16() const;

  friend bool operator==(const Labels&, const Labels&) = default;

 private:
  std::vector<Pair> pairs_;
};

}  // namespace ringfence::policy
