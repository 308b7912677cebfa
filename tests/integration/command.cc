#include "tests/integration/command.h"

#include <sys/wait.h>

#include <cstdio>

namespace ringfence::testing_support {

Printed Run(const std::string& line) {
  Printed printed;
  std::FILE* pipe = ::popen(line.c_str(), "r");
  if (pipe == nullptr) return printed;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) printed.text.push_back(static_cast<char>(c));
  const int status = ::pclose(pipe);
  printed.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return printed;
}

}  // namespace ringfence::testing_support
