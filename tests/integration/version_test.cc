// Each program says what it is, without a server, a folder or a flag beside.
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/command.h"

namespace ringfence::testing_support {
namespace {

TEST(VersionTest, EachProgramPrintsItsNameAndTheVersionOfTheProject) {
  for (const char* program : {"ringfence", "ringfenced", "ringfence-agent"}) {
    const Printed printed =
        testing_support::Run(std::string(RINGFENCE_PROGRAMS "/") + program + " --version");
    EXPECT_EQ(printed.text, std::string(program) + " " RINGFENCE_PROJECT_VERSION "\n");
    EXPECT_EQ(printed.code, 0);
  }
}

}  // namespace
}  // namespace ringfence::testing_support
