// Rings that select by bucket, in the whole application: hosts that say the same are in different rings.
#include "gtest/gtest.h"
#include "ringfence/policy/bucket.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

class BucketPlanTest : public testing::Test {
 protected:
  static FleetHarness::Options Options() {
    FleetHarness::Options options;
    options.internal_tenant = "";
    return options;
  }
  bool Until(int64_t running, const policy::Release& release) {
    return fleet.RunUntil([&] { return fleet.Running(release.digest) >= running; }, absl::Hours(48));
  }
  FleetHarness fleet{Options()};

  static policy::Ring Bucket(const std::string& name, int from, int to) {
    policy::Ring ring = RingNamed(name);
    ring.selector = policy::Selector{{}, policy::HashBucket{from, to}};
    return ring;
  }
  static policy::Plan Halves(const std::string& salt) {
    policy::Plan plan = PlanOf("acme", {Bucket("one", 0, 5000), Bucket("two", 5000, 10'000)});
    plan.bucket_salt = salt;
    return plan;
  }
  void Begin(const policy::Plan& plan, int hosts) {
    for (int i = 0; i < hosts; ++i) fleet.AddHost("acme", {{"os", "win10"}});
    fleet.Start();
    fleet.Apply(plan);
  }
  std::string RingOfHost(int index) { return fleet.app().GetAgent(fleet.host(index).id)->ring; }
  int In(const std::string& ring) {
    int hosts = 0;
    for (size_t i = 0; i < fleet.hosts().size(); ++i)
      hosts += RingOfHost(static_cast<int>(i)) == ring ? 1 : 0;
    return hosts;
  }
};

TEST_F(BucketPlanTest, HostsThatSayTheSameAreCutByTheHashOfTheirIds) {
  const policy::Plan plan = PlanOf("acme", {Bucket("few", 0, 2000), Bucket("rest", 2000, 10'000)});
  Begin(plan, 100);
  const int few = In("few");
  EXPECT_GT(few, 8);
  EXPECT_LT(few, 35);
  EXPECT_EQ(In("rest"), 100 - few);
  for (int i = 0; i < 100; ++i) {
    const bool low = policy::BucketOf("", fleet.host(i).id) < 2000;
    EXPECT_EQ(RingOfHost(i), low ? "few" : "rest");
  }
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(1, release));
  for (int i = 0; i < 100; ++i) {
    if (fleet.host(i).running["content"] != release.digest) continue;
    EXPECT_EQ(RingOfHost(i), "few");
  }
  EXPECT_TRUE(Until(100, release));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(BucketPlanTest, AnotherPlanSortsThemAnewAndARestartForgetsNothing) {
  Begin(PlanOf("acme", {RingNamed("lab"),
                        [] {
                          policy::Ring all = RingNamed("all");
                          all.selector = policy::Selector();
                          return all;
                        }()}),
        60);
  EXPECT_EQ(In("all"), 60);
  const policy::Plan halves = Halves("s");
  const app::PreviewReply preview = fleet.app().PreviewPlan(halves);
  fleet.Apply(halves);
  const int one = In("one");
  ASSERT_EQ(preview.rings[0].ring, "one");
  EXPECT_EQ(preview.rings[0].hosts_then, one);
  EXPECT_EQ(preview.mix.size(), 1u) << "counted by what hosts report";
  EXPECT_GT(one, 15);
  EXPECT_EQ(In("two"), 60 - one);
  fleet.Restart();
  EXPECT_EQ(In("one"), one);
  fleet.Relabel(0, {{"os", "win11"}});
  fleet.RunFor(absl::Minutes(5));
  EXPECT_EQ(In("one"), one) << "labels change, buckets do not";
  EXPECT_EQ(fleet.app().GetAgent(fleet.host(0).id)->row.labels.pairs().size(), 1u) << "as it reported them";
  fleet.Apply(Halves("t"));
  int moved = 0;
  for (int i = 0; i < 60; ++i)
    moved += RingOfHost(i) == (policy::BucketOf("s", fleet.host(i).id) < 5000 ? "one" : "two") ? 0 : 1;
  EXPECT_GT(moved, 10) << "another salt";
  const policy::Release release = fleet.Publish();
  EXPECT_TRUE(Until(60, release));
  EXPECT_EQ(fleet.Violations(), "");
}

}  // namespace
}  // namespace ringfence::test
