#include "ringfence/policy/bucket.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/release.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

AgentId Agent(uint32_t number) {
  AgentId id;
  for (size_t i = 0; i < 4; ++i) id.bytes[i] = static_cast<uint8_t>(number >> (8 * i));
  return id;
}

Ring Bucketed(const std::string& name, int from, int to) {
  Ring ring;
  ring.name = name;
  ring.selector.bucket = HashBucket{from, to};
  return ring;
}

TEST(BucketTest, GoldenVectors) {
  AgentId counting, ones;
  for (size_t i = 0; i < 16; ++i) {
    counting.bytes[i] = static_cast<uint8_t>(i);
    ones.bytes[i] = 0xff;
  }
  EXPECT_EQ(BucketOf("", counting), 5030);
  EXPECT_EQ(BucketOf("", ones), 7956);
  EXPECT_EQ(BucketOf("spring", counting), 7225);
  EXPECT_EQ(BucketOf("spring", ones), 7064);
}

TEST(BucketTest, CutsAFleetIntoItsSharesAndEachHostIntoOne) {
  Plan plan;
  plan.bucket_salt = "x";
  plan.rings = {Bucketed("a", 0, 500), Bucketed("b", 500, 3000), Bucketed("c", 3000, 10'000)};
  std::map<int, int> hosts;
  for (uint32_t i = 0; i < 20'000; ++i) {
    const Labels labels = LabelsFor(plan, Labels(), Agent(i));
    EXPECT_EQ(labels.WithKey(kBucketKey).size(), 1u);
    ++hosts[RingOf(plan, labels).value()];
  }
  EXPECT_NEAR(hosts[0], 1000, 120);
  EXPECT_NEAR(hosts[1], 5000, 250);
  EXPECT_NEAR(hosts[2], 14'000, 300);
}

TEST(BucketTest, AnotherSaltCutsTheFleetAnotherWayAndLabelsMustMatchToo) {
  Plan plan;
  plan.bucket_salt = "one";
  plan.rings = {Bucketed("a", 0, 5000)};
  plan.rings[0].selector.all_of = {{"site", {"lab"}}};
  Plan other = plan;
  other.bucket_salt = "two";
  const Labels lab = MakeLabels({{"site", "lab"}});
  int both = 0, first = 0;
  for (uint32_t i = 0; i < 4000; ++i) {
    const bool a = RingOf(plan, LabelsFor(plan, lab, Agent(i))).has_value();
    first += a ? 1 : 0;
    both += a && RingOf(other, LabelsFor(other, lab, Agent(i))).has_value() ? 1 : 0;
    EXPECT_FALSE(Matches(plan.rings[0].selector, LabelsFor(plan, Labels(), Agent(i))));
  }
  EXPECT_NEAR(first, 2000, 150);
  EXPECT_NEAR(both, 1000, 150);
}

TEST(BucketTest, AHostCannotReportItselfIntoABucket) {
  Plan plan;
  plan.rings = {Bucketed("a", 0, 1)};
  const Labels claims = MakeLabels({{kBucketKey, NameOf(*plan.rings[0].selector.bucket)}, {"os", "x"}});
  const Labels labels = LabelsFor(plan, claims, Agent(1));
  EXPECT_FALSE(RingOf(plan, labels).has_value());
  EXPECT_TRUE(labels.Has("os", "x"));
}

TEST(BucketTest, ARangeMustRiseAndReleasesHaveNone) {
  std::vector<Fault> faults;
  Validate(Selector{{}, HashBucket{5000, 4000}}, "s", faults);
  Validate(Selector{{}, HashBucket{10'000, 10'001}}, "t", faults);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].path, "s.bucket.to");
  EXPECT_EQ(faults[1].path, "t.bucket.from");
  Release release;
  release.targets.bucket = HashBucket{0, 1};
  release.matrix = {release.targets};
  std::vector<std::string> paths;
  for (const Fault& fault : Validate(release)) paths.push_back(fault.path);
  EXPECT_THAT(paths, testing::IsSupersetOf({"targets.bucket", "matrix[0].bucket"}));
}

}  // namespace
}  // namespace ringfence::policy
