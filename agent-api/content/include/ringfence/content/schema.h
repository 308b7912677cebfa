// What a sensor supplies to content: its registered interface. Content is counted against it at publish, at
// staging and at every load.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/content/format.h"

namespace ringfence::content {

// "7.11.0" as 7011000, so that versions compare as numbers and are readable in a dump. Minor and patch at
// most 999, major at most 4293.
struct SensorVersion {
  uint32_t number = 0;

  // InvalidArgument unless it is three plain numbers within these bounds, without leading zeros.
  static absl::StatusOr<SensorVersion> Parse(absl::string_view text);
  std::string ToString() const;
  // Could a text of Parse have given it?
  bool IsValid() const { return number < 4'294'000'000; }
  friend auto operator<=>(const SensorVersion&, const SensorVersion&) = default;
};

struct Field {
  std::string name;  // [a-z0-9_]{1,63}
  FieldType type = FieldType::kText;
  friend bool operator==(const Field&, const Field&) = default;
};

// One template type as one sensor version registered it: the inputs that its code really supplies, in order.
struct SensorSchema {
  SensorVersion sensor;
  uint32_t schema_id = 0;
  std::string name;  // for people
  std::vector<Field> fields;
  friend bool operator==(const SensorSchema&, const SensorSchema&) = default;
};

// Is the text a field's name?
bool IsFieldName(absl::string_view text);

}  // namespace ringfence::content
