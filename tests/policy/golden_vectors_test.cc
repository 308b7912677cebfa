// Golden vectors come from an independent implementation of the same equations. `ringfence-judge` runs the
// same check.
#include "rollout-policy/tools/golden_vectors.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringfence::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string ReadVectors() {
  std::ifstream in("tests/data/health/vectors.json");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// `text` with the first occurrence of `from` replaced; `from` must occur.
std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(GoldenVectorsTest, EverySectionAgrees) {
  const auto report = CheckGoldenVectors(ReadVectors());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->failed, IsEmpty());
  EXPECT_GE(report->checks, 387);
}

TEST(GoldenVectorsTest, AValueThatDiffersInTheEighthDigitIsNamed) {
  const auto report = CheckGoldenVectors(Replaced(ReadVectors(), "0.7657295455458893", "0.7657295555458893"));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->failed, ElementsAre(StartsWith("prf[0]: ")));
  EXPECT_FALSE(report->passed());
}

TEST(GoldenVectorsTest, ASectionThatIsMissingUnknownOrMisshapenFails) {
  const auto renamed = CheckGoldenVectors(Replaced(ReadVectors(), "\"8_merge\"", "\"9_merge\""));
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_THAT(renamed->failed, ElementsAre("traps/8_merge: absent", "traps/9_merge: not known"));

  const auto misshapen = CheckGoldenVectors(Replaced(ReadVectors(), "\"forecast\"", "\"guess\""));
  ASSERT_TRUE(misshapen.ok()) << misshapen.status();
  EXPECT_THAT(misshapen->failed, ElementsAre(HasSubstr("forecast")));
}

TEST(GoldenVectorsTest, WhatIsNoJsonObjectIsAnInvalidArgument) {
  for (const char* text : {"", "{", "[]", "null"}) {
    EXPECT_EQ(CheckGoldenVectors(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(GoldenVectorsTest, TheReportIsOneJsonObject) {
  EXPECT_EQ(ToJson({.checks = 3, .failed = {}}),
            "{\n \"checks\": 3,\n \"failed\": [],\n \"passed\": true\n}\n");
  // Nothing checked is not passed.
  EXPECT_FALSE(VectorReport{}.passed());
}

}  // namespace
}  // namespace ringfence::tools
