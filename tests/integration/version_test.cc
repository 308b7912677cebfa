// Each program says what it is, without a server, a folder or a flag beside.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace ringfence::testing_support {
namespace {

// What the command prints on its standard output; its exit code.
std::pair<std::string, int> Printed(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {"", -1};
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text.push_back(static_cast<char>(c));
  const int status = ::pclose(pipe);
  return {text, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST(VersionTest, EachProgramPrintsItsNameAndTheVersionOfTheProject) {
  for (const char* program : {"ringfence", "ringfenced", "ringfence-agent"}) {
    const auto [text, code] = Printed(std::string(RINGFENCE_PROGRAMS "/") + program + " --version");
    EXPECT_EQ(text, std::string(program) + " " RINGFENCE_PROJECT_VERSION "\n");
    EXPECT_EQ(code, 0);
  }
}

}  // namespace
}  // namespace ringfence::testing_support
