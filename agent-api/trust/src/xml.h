// The little XML that result files are made of: elements and attributes. Text between elements is skipped.
// What an entity bomb or an outside reference needs (DOCTYPE, entities of one's own) is refused.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::trust {

struct XmlElement {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::vector<XmlElement> children;
};

inline constexpr int kMaxXmlDepth = 32;

// One document. InvalidArgument names the line. Memory in proportion to `text`.
absl::StatusOr<XmlElement> ParseXml(absl::string_view text);

}  // namespace ringfence::trust
