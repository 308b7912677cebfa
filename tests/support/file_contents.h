// A file as it is.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

namespace ringfence::test {

// Empty as well when there is none.
inline std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace ringfence::test
