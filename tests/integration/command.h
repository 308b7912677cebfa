// A program that is run to its end.
#pragma once

#include <string>

namespace ringfence::testing_support {

struct Printed {
  std::string text;  // its standard output
  int code = -1;     // of its exit
};

// `line` is for the shell.
Printed Run(const std::string& line);

}  // namespace ringfence::testing_support
