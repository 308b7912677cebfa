#include "ringfence/policy/reason.h"

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace ringfence::policy {
namespace {

constexpr int kLast = static_cast<int>(kLastReason);

TEST(ReasonTest, EachHasAWordOfItsOwnAndASentence) {
  std::set<std::string> words;
  for (int i = 0; i <= kLast; ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::string word = Name(reason);
    EXPECT_TRUE(words.insert(word).second) << word;
    EXPECT_EQ(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << word;
    const std::string sentence = Sentence(reason);
    EXPECT_EQ(sentence.back(), '.') << word;
    EXPECT_GE(sentence.size(), 20u) << word;
  }
  EXPECT_EQ(words.count("unknown"), 0u);
}

TEST(ReasonTest, EachIsInTheTableThatPeopleRead) {
  std::ifstream file("docs/reasons.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  for (int i = 1; i <= kLast; ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::string row = "| `" + std::string(Name(reason)) + "` | " + Sentence(reason) + " |";
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
}

TEST(ReasonTest, AnUnknownOneIsSaidToBeUnknown) {
  EXPECT_STREQ(Name(static_cast<Reason>(kLast + 1)), "unknown");
  EXPECT_STREQ(Sentence(static_cast<Reason>(255)), "Unknown reason.");
}

}  // namespace
}  // namespace ringfence::policy
