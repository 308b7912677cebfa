// Which hosts: every requirement must hold; a requirement holds if the host has one of its values.
#pragma once

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

// Without requirements it matches every host.
struct Selector {
  std::vector<Requirement> all_of;

  friend bool operator==(const Selector&, const Selector&) = default;
};

bool Matches(const Selector& selector, const Labels& labels);

// Appends faults: empty or over-long keys and values, no value, a key named twice, more than 32 requirements
// or 256 values in one. `path` is prefixed to each fault's path.
void Validate(const Selector& selector, const std::string& path, std::vector<Fault>& faults);

// "os in (win10, win11), sensor=7.11+"; "every host" for the empty one.
std::string ToString(const Selector& selector);

}  // namespace ringfence::policy
