// Every plan that a page shows or the demonstration applies is a file that the command reads.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"
#include "server/cli/plan_yaml.h"

namespace ringfence::cli {
namespace {

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ExamplePlansTest, ThoseOfTheDemonstrationAreWellFormed) {
  for (const char* tenant : {"vendor-internal", "city-hospital", "north-airline"}) {
    const std::string file = std::string("docs/demo/") + tenant + ".yaml";
    const auto parsed = ParsePlanYaml(Read(file));
    EXPECT_EQ(Render(file, parsed.faults), "");
    EXPECT_EQ(parsed.message.tenant(), tenant);
  }
}

TEST(ExamplePlansTest, ThoseOfThePagesAreWellFormed) {
  int plans = 0;
  for (const char* page : {"docs/plans.md", "docs/cli.md"}) {
    const std::string text = Read(page);
    for (size_t at = text.find("```yaml\ntenant:"); at != std::string::npos;
         at = text.find("```yaml\ntenant:", at + 1)) {
      const size_t start = at + 8;
      const std::string yaml = text.substr(start, text.find("```", start) - start);
      EXPECT_EQ(Render(page, ParsePlanYaml(yaml).faults), "");
      ++plans;
    }
  }
  EXPECT_GE(plans, 1);
}

}  // namespace
}  // namespace ringfence::cli
