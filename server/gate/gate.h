// The publish gate: may these bytes become a release? Pure: bytes and keys in, a typed refusal out. The
// server asks before it stores anything. Serial and known-bad bytes are the engine's to judge, which knows
// the channel's history. docs/publishing.md has the gates in their order; repository.h has those of releases
// that people signed, this file what is asked of all bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringfence/content/schema.h"
#include "ringfence/policy/release.h"
#include "ringfence/trust/ed25519.h"
#include "ringfence/trust/refusal.h"

namespace ringfence::gate {

// The inputs that a sensor registered, and what hosts with that sensor say in their label `sensor`. Empty, in
// simulations of fleets that say nothing: that label is not asked then.
struct RegisteredSensor {
  std::string label;
  content::SensorSchema schema;
};

// Whom the server believes: the keys of the release repository that begins with this root, and nobody else.
// Without any (a null pointer in AppOptions) releases are unsigned and unproven, and say so.
struct Trust {
  std::string root;  // root.json, given by another, trusted way; the bytes as they came
  std::vector<RegisteredSensor> sensors;
  // Of the role timestamp, which is online by design: the server signs again what is current. Null: people
  // do.
  std::shared_ptr<const trust::SigningKey> timestamp_key;
  bool throwaway = false;  // the root says so: keys of a demonstration or test
};

// Platforms times sensors that one artifact may stand for.
inline constexpr size_t kMaxTestedPairs = 1024;

// Empty, too large, or nothing but zeros, whatever the format. Absent: passed.
std::optional<trust::Refusal> JudgeBytes(absl::string_view bytes);

// What can be asked of a release that nobody signed. Views must outlive the call only.
struct Candidate {
  const policy::Release* release = nullptr;
  absl::string_view bytes;
};

struct Passed {
  bool is_fct1 = false;  // the content format was checked
  // What was not looked at though it could be, for the publisher.
  std::vector<std::string> warnings;
};

// In this order, the first that fails: JudgeBytes, the manifest's digest; of content whose bytes begin like
// FCT1 the format, and that file and manifest name the same release.
std::variant<Passed, trust::Refusal> Judge(const Candidate& candidate);

}  // namespace ringfence::gate
