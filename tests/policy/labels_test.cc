#include "ringfence/policy/labels.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringfence::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Refusal(std::vector<Labels::Pair> pairs) {
  const absl::StatusOr<Labels> labels = Labels::Make(std::move(pairs));
  EXPECT_EQ(labels.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(labels.status().message());
}

std::vector<Labels::Pair> Numbered(size_t count) {
  std::vector<Labels::Pair> pairs;
  for (size_t i = 0; i < count; ++i) pairs.emplace_back("key", std::to_string(i));
  return pairs;
}

TEST(LabelsTest, AreSortedAndWithoutRepeats) {
  const Labels labels =
      Labels::Make({{"os", "win11"}, {"coinstalled", "vpn"}, {"os", "win11"}, {"coinstalled", "dlp"}})
          .value();
  EXPECT_THAT(labels.pairs(),
              ElementsAre(Pair("coinstalled", "dlp"), Pair("coinstalled", "vpn"), Pair("os", "win11")));
}

TEST(LabelsTest, HoldSeveralValuesOfOneKey) {
  const Labels labels =
      Labels::Make({{"a", "1"}, {"coinstalled", "dlp"}, {"coinstalled", "vpn"}, {"d", "1"}}).value();
  EXPECT_TRUE(labels.Has("coinstalled", "dlp"));
  EXPECT_TRUE(labels.Has("coinstalled", "vpn"));
  EXPECT_FALSE(labels.Has("coinstalled", "av"));
  EXPECT_THAT(labels.WithKey("coinstalled"),
              ElementsAre(Pair("coinstalled", "dlp"), Pair("coinstalled", "vpn")));
  EXPECT_THAT(labels.WithKey("coinstalle"), IsEmpty());
  EXPECT_THAT(labels.WithKey("coinstalledx"), IsEmpty());
  EXPECT_THAT(Labels().WithKey("os"), IsEmpty());
}

TEST(LabelsTest, AreAtMostThirtyTwoAfterRepeatsAreGone) {
  std::vector<Labels::Pair> pairs = Numbered(32);
  pairs.emplace_back("key", "0");
  EXPECT_TRUE(Labels::Make(pairs).ok());
  EXPECT_THAT(Refusal(Numbered(33)), HasSubstr("found 33 pairs, wanted at most 32"));
}

TEST(LabelsTest, RefuseAnEmptyOrOverlongKeyAndNameThePair) {
  EXPECT_THAT(Refusal({{"", "x"}}), HasSubstr("\"\"=\"x\", wanted a key of 1 to 64 bytes"));
  EXPECT_TRUE(Labels::Make({{std::string(64, 'k'), "x"}}).ok());
  EXPECT_THAT(Refusal({{std::string(65, 'k'), "x"}}), HasSubstr("wanted a key of 1 to 64 bytes"));
}

TEST(LabelsTest, AllowAnEmptyValueAndRefuseAnOverlongOne) {
  EXPECT_TRUE(Labels::Make({{"k", ""}}).ok());
  EXPECT_TRUE(Labels::Make({{"k", std::string(256, 'v')}}).ok());
  EXPECT_THAT(Refusal({{"k", std::string(257, 'v')}}), HasSubstr("a value of at most 256 bytes"));
}

TEST(LabelsTest, RefuseWhatIsNotPlainUtf8) {
  EXPECT_TRUE(Labels::Make({{"k", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"}}).ok());
  for (const std::string bad : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                                "\xf4\x90\x80\x80", "a\nb", "a\x7f", "\xc2\x85", "\xe2\x82"}) {
    EXPECT_THAT(Refusal({{"k", bad}}), HasSubstr("UTF-8 without control characters"))
        << absl::CHexEscape(bad);
    EXPECT_THAT(Refusal({{bad, "v"}}), HasSubstr("UTF-8 without control characters"))
        << absl::CHexEscape(bad);
  }
  EXPECT_THAT(Refusal({{"k", std::string("a\0b", 3)}}), HasSubstr("UTF-8 without control characters"));
}

// python3: sha256(b"".join(len32(k)+k+len32(v)+v for k, v in sorted(pairs)))[:16]
TEST(LabelsTest, HashIsThePublishedOne) {
  const Labels labels =
      Labels::Make({{"sensor", "7.11"}, {"os", "win11"}, {"coinstalled", "vpn"}, {"coinstalled", "dlp"}})
          .value();
  EXPECT_EQ(absl::BytesToHexString(labels.Hash16()), "8fe01e40dc2267b587b640f593773684");
  EXPECT_EQ(absl::BytesToHexString(Labels().Hash16()), "e3b0c44298fc1c149afbf4c8996fb924");
}

TEST(LabelsTest, HashKeepsKeyAndValueApart) {
  EXPECT_NE(Labels::Make({{"ab", "c"}})->Hash16(), Labels::Make({{"a", "bc"}})->Hash16());
}

}  // namespace
}  // namespace ringfence::policy
