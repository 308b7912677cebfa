// How many documents a YAML stream has, asked before anything else reads it.
#pragma once

#include <string>

namespace ringfence::content {

// 0, 1, or 2 for more: the documents of a stream. For a stray bracket behind the first document the answer is
// 2 as well: yaml-cpp 0.7 finds empty documents there without end, and its LoadAll collects them until memory
// is full. Throws YAML::Exception for what is not YAML.
int CountDocuments(const std::string& text);

}  // namespace ringfence::content
