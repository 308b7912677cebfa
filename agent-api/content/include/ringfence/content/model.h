// Content as plain values: what an author writes, what `build` turns into bytes and `show` reads back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/schema.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::content {

struct Condition {
  uint16_t field = 0;  // index into Content::fields
  Op op = Op::kPresent;
  std::string text;    // of the operations on text
  int64_t number = 0;  // of the operations on numbers
  friend bool operator==(const Condition&, const Condition&) = default;
};

struct Rule {
  std::string name;  // for people
  Action action = Action::kLog;
  std::vector<Condition> conditions;  // all of them must hold
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct Content {
  std::string channel;  // slug
  std::string version;
  uint64_t serial = 0;
  uint32_t schema_id = 0;
  SensorVersion sensor_min, sensor_max;  // both inclusive
  std::vector<Field> fields;
  std::vector<Rule> rules;
  friend bool operator==(const Content&, const Content&) = default;
};

// The file of this content, signed if there is a key; equal content and key give equal bytes. The result was
// accepted by Validate, against `sensors` if they are given: the builder has no opinion of its own about what
// is right. InvalidArgument with the validator's rejection, or for a value that has no place in the format.
absl::StatusOr<std::string> Build(const Content& content, const trust::SigningKey* key,
                                  std::optional<std::span<const SensorSchema>> sensors);

// What a file says.
Content Describe(const Layout& layout);

// How many conditions read each field's value; kPresent reads none. A field that no condition reads is one
// that no test of this content can have tried.
std::vector<uint32_t> ReadsPerField(const Content& content);

// "text", "number"; "log", "alert", "block"; "present", "equals", "prefix", "suffix", "contains", "glob",
// "is", "is_not", "below", "above": the words of source files.
absl::string_view Name(FieldType type);
absl::string_view Name(Action action);
absl::string_view Name(Op op);

}  // namespace ringfence::content
