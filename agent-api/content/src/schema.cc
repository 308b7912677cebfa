#include "ringfence/content/schema.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ringfence::content {

absl::StatusOr<SensorVersion> SensorVersion::Parse(absl::string_view text) {
  constexpr uint32_t kMost[] = {4293, 999, 999};
  constexpr uint32_t kUnit[] = {1'000'000, 1'000, 1};
  const std::vector<absl::string_view> parts = absl::StrSplit(text.substr(0, 20), '.');
  SensorVersion version;
  bool valid = text.size() <= 20 && parts.size() == 3;
  for (size_t i = 0; valid && i < 3; ++i) {
    uint32_t part = 0;
    // The way back gives the same text: no sign, no blank, no leading zero.
    valid = absl::SimpleAtoi(parts[i], &part) && part <= kMost[i] && absl::StrCat(part) == parts[i];
    version.number += part * kUnit[i];
  }
  if (!valid) {
    return absl::InvalidArgumentError(
        "wanted a sensor version such as 7.11.0: three numbers, the last two at most 999");
  }
  return version;
}

std::string SensorVersion::ToString() const {
  return absl::StrCat(number / 1'000'000, ".", number / 1'000 % 1'000, ".", number % 1'000);
}

bool IsFieldName(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxFieldNameBytes &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

}  // namespace ringfence::content
