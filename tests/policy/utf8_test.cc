#include "ringfence/base/utf8.h"

#include <gtest/gtest.h>

namespace ringfence {
namespace {

TEST(Utf8Test, FindsTheFirstByteThatCannotBeStored) {
  EXPECT_FALSE(FirstBadByte("").has_value());
  EXPECT_FALSE(FirstBadByte("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x90\xa6").has_value());
  EXPECT_EQ(FirstBadByte("ab\xff"), 2u);
  EXPECT_EQ(FirstBadByte("a\nb"), 1u);
  EXPECT_EQ(FirstBadByte("a\xe2\x82"), 1u);         // not all of it
  EXPECT_EQ(FirstBadByte("\xc0\xaf"), 0u);          // overlong
  EXPECT_EQ(FirstBadByte("\xed\xa0\x80"), 0u);      // a surrogate
  EXPECT_EQ(FirstBadByte("\xf4\x90\x80\x80"), 0u);  // above all characters
  EXPECT_EQ(FirstBadByte("\xc2\x85"), 0u);          // a C1 control
}

TEST(LegibleTest, CutsNoCharacterInTwo) {
  EXPECT_EQ(Legible("abc", 3), "abc");
  EXPECT_EQ(Legible("abcd", 3), "abc");
  EXPECT_EQ(Legible("ab\xc3\xbc", 3), "ab");
  EXPECT_EQ(Legible("a\xf0\x9f\x90\xa6", 4), "a");
  EXPECT_EQ(Legible("a\xf0\x9f\x90\xa6", 5), "a\xf0\x9f\x90\xa6");
}

TEST(LegibleTest, ReplacesWhatNobodyCanStore) {
  const std::string text = std::string("a\0b", 3) + "\x1b[2J\xff\xc3|\xc2\x85";
  EXPECT_EQ(Legible(text, 100), "a?b?[2J??|??");
  EXPECT_EQ(Legible("one\ntwo\t", 100), "one?two?");
  EXPECT_EQ(Legible("one\ntwo\t\r", 100, /*lines=*/true), "one\ntwo\t?");
  for (size_t most = 0; most < text.size() + 2; ++most) {
    const std::string legible = Legible(text, most);
    EXPECT_LE(legible.size(), most);
    EXPECT_FALSE(FirstBadByte(legible).has_value()) << most;
  }
}

}  // namespace
}  // namespace ringfence
