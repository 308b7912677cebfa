// Whose yes a ring takes.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::Reason;
using testing::HasSubstr;

class ApproversTest : public testing::Test {
 protected:
  static FleetHarness::Options Options() {
    FleetHarness::Options options;
    options.internal_tenant = "";
    return options;
  }
  void Begin(const policy::Plan& plan, int hosts) {
    for (const policy::Ring& ring : plan.rings) fleet.AddRing("acme", ring.name, hosts);
    fleet.Start();
    fleet.Apply(plan);
  }
  bool Until(int64_t running, const policy::Release& release) {
    return fleet.RunUntil([&] { return fleet.Running(release.digest) >= running; }, absl::Hours(24));
  }
  absl::Status Say(const std::string& person, bool approved, const std::string& ring) {
    storage::ConsentRow wanted;
    wanted.tenant = "acme";
    wanted.channel = "content";
    wanted.serial = 1;
    wanted.ring = ring;
    wanted.approved = approved;
    app::Act act = fleet.Admin("acme");
    act.actor.person = person;
    return fleet.app().Consent(act, wanted).status();
  }
  Reason Why(int host) {
    return fleet.app().Explain(fleet.host(host).id, "content", 1).value().eligibility.reason;
  }
  FleetHarness fleet{Options()};
};

TEST_F(ApproversTest, ARingTakesTheYesOfItsApproversAlone) {
  policy::Ring lab = RingNamed("lab"), theatres = RingNamed("theatres");
  lab.approval = theatres.approval = policy::Approval::kExplicit;
  theatres.approvers = {"ben", "role:sre"};
  Begin(PlanOf("acme", {lab, theatres}), 2);
  const policy::Release release = fleet.Publish();
  EXPECT_TRUE(absl::IsPermissionDenied(Say("ana", true, "theatres")));
  EXPECT_THAT(std::string(Say("ana", true, "").message()),
              HasSubstr("ring theatres asks ben or role:sre, not ana"));
  EXPECT_TRUE(Say("ana", true, "lab").ok()) << "that ring takes any admin's word";
  ASSERT_TRUE(Until(2, release));
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 0);
  EXPECT_EQ(Why(2), Reason::kApproval);
  EXPECT_TRUE(Say("ben", true, "theatres").ok());
  EXPECT_TRUE(Until(4, release));
}

TEST_F(ApproversTest, ARoleMayBeAsked) {
  policy::Ring all = RingNamed("all");
  all.approval = policy::Approval::kExplicit;
  all.approvers = {"role:tenant-admin"};
  Begin(PlanOf("acme", {all}), 2);
  fleet.Publish();
  EXPECT_TRUE(Say("anybody", true, "all").ok());
}

TEST_F(ApproversTest, AnyAdminMaySayNoWhereOthersSayYes) {
  policy::Ring all = RingNamed("all");
  all.approval = policy::Approval::kExplicit;
  all.approvers = {"ben"};
  Begin(PlanOf("acme", {all}), 2);
  fleet.Publish();
  EXPECT_TRUE(absl::IsPermissionDenied(Say("ana", true, "")));
  EXPECT_TRUE(Say("ana", false, "").ok());
  EXPECT_EQ(Why(0), Reason::kDenied);
}

TEST_F(ApproversTest, AreNamedWhereSomebodyIsAskedAndOnceEach) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  plan.rings[0].approvers = {"ben", "ben", ""};
  std::vector<std::string> paths;
  for (const policy::Fault& fault : policy::Validate(plan)) paths.push_back(fault.path);
  EXPECT_THAT(paths, testing::UnorderedElementsAre("rings[0].approvers[1]", "rings[0].approvers[2]",
                                                   "rings[0].approvers"));
}

TEST_F(ApproversTest, AChannelAsksInEveryRingAndItsApproversAreThoseOfRingsThatNameNone) {
  policy::Plan plan = PlanOf("acme", {RingNamed("lab"), RingNamed("rest")});
  plan.channels[0].approval = policy::Approval::kExplicit;
  plan.channels[0].approvers = {"ann"};
  plan.rings[1].approvers = {"ben"};
  Begin(plan, 2);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_EQ(Why(0), Reason::kApproval);
  EXPECT_THAT(std::string(Say("ben", true, "lab").message()), HasSubstr("ring lab asks ann, not ben"));
  EXPECT_TRUE(Say("ann", true, "lab").ok());
  ASSERT_TRUE(Until(2, release));
  fleet.RunFor(absl::Hours(2));
  EXPECT_EQ(fleet.RunningIn("acme", "rest", release.digest), 0);
  EXPECT_TRUE(Say("ben", true, "rest").ok());
  EXPECT_TRUE(Until(4, release));
  EXPECT_EQ(fleet.Violations(), "");
}

}  // namespace
}  // namespace ringfence::test
