// Which hosts: every requirement must hold; a requirement holds if the host has one of its values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ringfence/policy/fault.h"
#include "ringfence/policy/labels.h"

namespace ringfence::policy {

struct Requirement {
  std::string key;
  // At least one. Of the key `platform` a value that ends in "+" also means later versions of its last part:
  // "windows/x86_64/10.0.22631+".
  std::vector<std::string> any_of;

  friend bool operator==(const Requirement&, const Requirement&) = default;
};

// A share of all hosts, by a hash of their ids: those whose bucket (bucket.h), 0 to 9999, is from `from` on
// and below `to`.
struct HashBucket {
  int from = 0;
  int to = 0;  // at most kBuckets

  friend bool operator==(const HashBucket&, const HashBucket&) = default;
};

inline constexpr int kBuckets = 10'000;

// Without requirements it matches every host.
struct Selector {
  std::vector<Requirement> all_of;
  std::optional<HashBucket> bucket{};  // in rings only

  friend bool operator==(const Selector&, const Selector&) = default;
};

// With a bucket: `labels` are those that LabelsFor (bucket.h) gave.
bool Matches(const Selector& selector, const Labels& labels);

// Appends faults: empty or over-long keys and values, no value, a key named twice, more than 32 requirements
// or 256 values in one. `path` is prefixed to each fault's path.
void Validate(const Selector& selector, const std::string& path, std::vector<Fault>& faults);

// "os in (win10, win11), sensor=7.11+"; "every host" for the empty one.
std::string ToString(const Selector& selector);

}  // namespace ringfence::policy
