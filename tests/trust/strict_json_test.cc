#include "ringfence/trust/strict_json.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace ringfence::trust {
namespace {

std::string WhyNot(const std::string& text) {
  const auto parsed = ParseStrictJson(text, 1000);
  return parsed.ok() ? "accepted" : std::string(parsed.status().message());
}

TEST(StrictJsonTest, ReadsWhatHasOneMeaning) {
  const auto parsed =
      ParseStrictJson(R"( {"a":[1,-2,true,null,"é\u00e9"],"b":{"a":9007199254740992}} )", 1000);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->at("a").at(4), "éé");
  EXPECT_EQ(parsed->at("b").at("a"), kMaxJsonInteger);
}

TEST(StrictJsonTest, RefusesAKeyTwice) {
  EXPECT_THAT(WhyNot(R"({"a":1,"b":2,"a":1})"), ::testing::HasSubstr("a key that its object has already"));
  EXPECT_THAT(WhyNot(R"({"a":1,"\u0061":1})"), ::testing::HasSubstr("a key that its object has already"));
  EXPECT_EQ(WhyNot(R"({"a":{"a":1},"b":[{"a":1},{"a":1}]})"), "accepted");
}

TEST(StrictJsonTest, RefusesNumbersThatReadersRoundDifferently) {
  for (const char* number : {"1.0", "1e3", "-0.5", "9007199254740993", "-9007199254740993",
                             "18446744073709551616", "99999999999999999999999999"}) {
    EXPECT_NE(WhyNot(number), "accepted") << number;
  }
}

TEST(StrictJsonTest, RefusesZeroBytesAndWhatIsNoUtf8) {
  EXPECT_THAT(WhyNot(R"(["\u0000"])"), ::testing::HasSubstr("zero byte"));
  EXPECT_THAT(WhyNot(R"({"\u0000":1})"), ::testing::HasSubstr("zero byte"));
  EXPECT_NE(WhyNot("[\"\xff\"]"), "accepted");
  EXPECT_NE(WhyNot("[\"\xed\xa0\x80\"]"), "accepted");
  EXPECT_NE(WhyNot(R"(["\ud800"])"), "accepted");
}

TEST(StrictJsonTest, RefusesDepthTailsCommentsAndNothing) {
  EXPECT_EQ(WhyNot(std::string(16, '[') + std::string(16, ']')), "accepted");
  EXPECT_THAT(WhyNot(std::string(17, '[') + std::string(17, ']')),
              ::testing::HasSubstr("more than 16 levels"));
  for (const char* text : {"", " ", "{} {}", "{}x", "[1,]", "// c\n1", "NaN", "{'a':1}", "[1", "\"a"}) {
    EXPECT_NE(WhyNot(text), "accepted") << text;
  }
  EXPECT_EQ(ParseStrictJson("[1]", 2).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace ringfence::trust
