#include "ringfence/policy/selector.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> FaultsOf(const Selector& selector) {
  std::vector<Fault> faults;
  Validate(selector, "targets", faults);
  std::vector<std::string> lines;
  for (const Fault& fault : faults) lines.push_back(ToString(fault));
  return lines;
}

TEST(SelectorTest, WithoutRequirementsMatchesEveryHost) {
  EXPECT_TRUE(Matches(Selector{}, Labels()));
  EXPECT_TRUE(Matches(Selector{}, MakeLabels({{"os", "win11"}})));
}

TEST(SelectorTest, NeedsEveryRequirementAndOneValueOfEach) {
  const Selector selector{{{"os", {"win10", "win11"}}, {"sensor", {"7.11"}}}};
  EXPECT_TRUE(Matches(selector, MakeLabels({{"os", "win10"}, {"sensor", "7.11"}})));
  EXPECT_TRUE(Matches(selector, MakeLabels({{"os", "win11"}, {"sensor", "7.11"}})));
  EXPECT_FALSE(Matches(selector, MakeLabels({{"os", "win11"}, {"sensor", "7.10"}})));
  EXPECT_FALSE(Matches(selector, MakeLabels({{"os", "win11"}})));
  EXPECT_FALSE(Matches(selector, Labels()));
}

TEST(SelectorTest, OneCommonMemberOfAListLabelIsEnough) {
  const Labels host = MakeLabels({{"coinstalled", "av"}, {"coinstalled", "dlp"}, {"coinstalled", "vpn"}});
  EXPECT_TRUE(Matches(Having("coinstalled", {"backup", "dlp"}), host));
  EXPECT_FALSE(Matches(Having("coinstalled", {"backup", "dl"}), host));
}

TEST(SelectorTest, WithoutAValueMatchesNoHost) {
  EXPECT_FALSE(Matches(Having("os", {}), MakeLabels({{"os", ""}})));
}

TEST(SelectorTest, ReadsLikeASentence) {
  EXPECT_EQ(ToString(Selector{}), "every host");
  EXPECT_EQ(ToString(Selector{{{"os", {"win10", "win11"}}, {"sensor", {"7.11+"}}}}),
            "os in (win10, win11), sensor=7.11+");
}

TEST(SelectorTest, ALegalOneHasNoFault) {
  EXPECT_THAT(FaultsOf(Selector{}), IsEmpty());
  EXPECT_THAT(FaultsOf(Having(std::string(64, 'k'), {std::string(256, 'v')})), IsEmpty());
}

TEST(SelectorTest, EveryFaultIsNamedAtOnceWithItsPath) {
  EXPECT_THAT(
      FaultsOf(Selector{{{"", {"x"}},
                         {std::string(65, 'k'), {"x"}},
                         {"os", {}},
                         {"os", {"", std::string(257, 'v'), "\xff"}}}}),
      ElementsAre("targets.all_of[0].key: found 0 bytes, wanted 1 to 64 bytes",
                  "targets.all_of[1].key: found 65 bytes, wanted 1 to 64 bytes",
                  "targets.all_of[2].any_of: found 0 values, wanted 1 to 256 values",
                  "targets.all_of[3].key: found \"os\", wanted a key that is named once",
                  "targets.all_of[3].any_of[0]: found 0 bytes, wanted 1 to 256 bytes",
                  "targets.all_of[3].any_of[1]: found 257 bytes, wanted 1 to 256 bytes",
                  "targets.all_of[3].any_of[2]: found \"\\xff\", wanted UTF-8 without control characters"));
}

TEST(SelectorTest, IsBounded) {
  Selector selector;
  for (int i = 0; i < 33; ++i) selector.all_of.push_back({"key" + std::to_string(i), {"x"}});
  EXPECT_THAT(FaultsOf(selector), ElementsAre("targets.all_of: found 33 requirements, wanted at most 32"));
  EXPECT_THAT(FaultsOf(Having("os", std::vector<std::string>(257, "x"))),
              ElementsAre("targets.all_of[0].any_of: found 257 values, wanted 1 to 256 values"));
}

}  // namespace
}  // namespace ringfence::policy
