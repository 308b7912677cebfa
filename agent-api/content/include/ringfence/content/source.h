// Content and schemas as people write them: YAML. docs/content-format.md shows both.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringfence/content/model.h"

namespace ringfence::content {

// A fault in a file, precise enough to mend it without asking.
struct SourceFault {
  int line = 0, column = 0;  // from 1; 0: the file as a whole
  std::string path;          // "rules[2].when[0].field"
  std::string what;          // "found pip, wanted one of pipe, pid"; printable
};

// "FILE:12:5: rules[2].when[0].field: found ...", a line each. At most kMaxFaults of them are ever found.
std::string Render(const std::string& file, const std::vector<SourceFault>& faults);

inline constexpr size_t kMaxSourceBytes = 8 << 20;
inline constexpr size_t kMaxFaults = 50;

template <typename Value>
struct Parsed {
  Value value;  // meaningful only without faults
  std::vector<SourceFault> faults;
};

// Never throws. The names in rules are resolved to indices; an unknown key, a key twice, a name that is no
// field, an operation on the wrong type are faults.
Parsed<Content> ParseSource(absl::string_view yaml);

// One schema per sensor version that the file lists.
Parsed<std::vector<SensorSchema>> ParseSchema(absl::string_view yaml);

// The way back: ParseSource of it gives the same content.
std::string ToSource(const Content& content);

}  // namespace ringfence::content
