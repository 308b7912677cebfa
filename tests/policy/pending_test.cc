#include "ringfence/policy/pending.h"

#include "gtest/gtest.h"

namespace ringfence::policy {
namespace {

Labels Make(std::vector<Labels::Pair> pairs) {
  return Labels::Make(std::move(pairs)).value();
}

Release TestedOn(std::vector<std::string> kernels) {
  Release release;
  release.matrix = {{{{"os", {"debian12"}}, {"kernel", std::move(kernels)}}}, {{{"os", {"rhel9"}}}}};
  return release;
}

TEST(PendingTest, WhatIsPendingTakesThePlaceOfWhatIs) {
  const Labels labels = Make({{"os", "debian12"}, {"kernel", "18"}, {"pending.kernel", "20"}});
  EXPECT_EQ(OncePending(labels), Make({{"os", "debian12"}, {"kernel", "20"}}));
  const Labels nothing = Make({{"os", "debian12"}, {"pending.", "20"}});
  EXPECT_EQ(OncePending(nothing), nothing);
}

TEST(PendingTest, TheValueThatTakesTheHostOutOfTheMatrixIsNamed) {
  const Release release = TestedOn({"18", "19"});
  EXPECT_EQ(AboutToLeave(release, Make({{"os", "debian12"}, {"kernel", "18"}})), "");
  EXPECT_EQ(AboutToLeave(release, Make({{"os", "debian12"}, {"kernel", "18"}, {"pending.kernel", "19"}})),
            "");
  EXPECT_EQ(
      AboutToLeave(
          release,
          Make({{"os", "debian12"}, {"kernel", "18"}, {"pending.locale", "de"}, {"pending.kernel", "20"}})),
      "kernel=20");
  EXPECT_EQ(AboutToLeave(release, Make({{"os", "rhel9"}, {"kernel", "5"}, {"pending.kernel", "6"}})), "")
      << "its platform does not ask for a kernel";
}

TEST(PendingTest, WhoIsOutOfTheMatrixAlreadyIsNotAboutToLeaveIt) {
  EXPECT_EQ(
      AboutToLeave(TestedOn({"18"}), Make({{"os", "debian12"}, {"kernel", "20"}, {"pending.kernel", "21"}})),
      "");
}

TEST(PendingTest, AHostIsQualifiedOnlyIfItStaysSo) {
  const Release release = TestedOn({"18"});
  EXPECT_TRUE(IsQualified(release, Make({{"os", "debian12"}, {"kernel", "18"}})));
  EXPECT_FALSE(IsQualified(release, Make({{"os", "debian12"}, {"kernel", "18"}, {"pending.kernel", "20"}})));
  // Nor is one that will be covered, before it is.
  EXPECT_FALSE(IsQualified(release, Make({{"os", "debian12"}, {"kernel", "17"}, {"pending.kernel", "18"}})));
}

}  // namespace
}  // namespace ringfence::policy
