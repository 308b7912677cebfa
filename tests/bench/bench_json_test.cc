// A tiny run of the benchmarks: every figure can be taken, and programs can read it.
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace ringfence::bench {
namespace {

// What the program prints with these arguments; its exit code must be `code`.
std::string Output(const std::string& arguments, int code) {
  FILE* pipe = popen((std::string(RINGFENCE_BENCH) + " " + arguments).c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string text;
  char buffer[4096];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) text.append(buffer, got);
  const int status = pclose(pipe);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, code) << text;
  return text;
}

TEST(BenchJsonTest, EachFigureStandsBesideItsFloorOfTheSameRun) {
  const std::string text = Output("--json --tiny", 0);
  const nlohmann::json figures = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(figures.is_array()) << text;
  std::string names;
  for (const nlohmann::json& figure : figures) {
    names += figure.at("name").get<std::string>() + " ";
    const double value = figure.at("value").get<double>();
    const double floor = figure.at("floor").get<double>();
    EXPECT_GT(value, 0) << figure;
    EXPECT_GT(floor, 0) << figure;
    EXPECT_NEAR(figure.at("ratio").get<double>(), value / floor, 0.001 * value / floor) << figure;
    EXPECT_FALSE(figure.at("unit").get<std::string>().empty());
    EXPECT_FALSE(figure.at("note").get<std::string>().empty());
    // A figure with a target says whether it was met, one without says neither.
    EXPECT_EQ(figure.at("target").is_string(), figure.at("met").is_boolean()) << figure;
  }
  EXPECT_EQ(names, "index cells evidence checkin forwarded exposures halt ");
}

TEST(BenchJsonTest, WrongArgumentsAreRefused) {
  for (const char* arguments : {"--only nothing", "--seconds 0", "--seconds x", "--only", "extra"}) {
    EXPECT_NE(Output(std::string(arguments) + " 2>&1", 2).find("usage:"), std::string::npos) << arguments;
  }
}

}  // namespace
}  // namespace ringfence::bench
