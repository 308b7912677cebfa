#include "ringfence/agent/plan_guard.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/deny.h"
#include "ringfence/policy/pinned_plan.h"
#include "tests/plan/signing.h"
#include "tests/policy/builders.h"
#include "tests/support/memory_files.h"

namespace ringfence::agent {
namespace {

using plan::FirstOf;
using plan::KeysOf;
using plan::NextAfter;
using plan::SealApproval;
using plan::SealPlan;
using test::MemoryFiles;
using testing::HasSubstr;

// The pinned plan: ring "lab" takes everything, ring "rest" lags by one and lets a release be a day old.
class PlanGuardTest : public testing::Test {
 protected:
  PlanGuardTest() {
    policy::Plan plan = policy::MakePlan({policy::MakeRing("lab"), policy::MakeRing("rest", 1)});
    plan.rings[1].min_age = absl::Hours(24);
    chain.push_back(plan::Extend(nullptr, SealPlan(FirstOf(plan, KeysOf("a")), "a")).value());
  }
  void Start(bool with_plan = true) {
    guard = PlanGuard::Open({chain[0].sha256, "/state", {"/etc/plan.json"}}, &files, &clock);
    if (with_plan) guard->TakeIn({chain[0].envelope});
  }
  void Extend(const std::function<void(policy::Plan&)>& change) {
    plan::PlanStatement next = NextAfter(chain.back());
    change(next.plan);
    chain.push_back(plan::Extend(&chain.back(), SealPlan(next, "a")).value());
  }
  static Directive Offer(uint64_t serial) {
    Directive offer;
    offer.channel = "content";
    offer.serial = serial;
    offer.version = "7." + std::to_string(serial);
    offer.digest = DigestOf(serial);
    return offer;
  }
  static Digest DigestOf(uint64_t serial) {
    Digest digest;
    digest.bytes.fill(static_cast<uint8_t>(serial));
    return digest;
  }
  PlanGuard::Verdict Judge(uint64_t serial, const std::string& ring = "lab") {
    return guard->Judge(Offer(serial), AgentId(), policy::MakeLabels({{"ring", ring}}), Digest());
  }
  // What signed metadata lists, each published a day after the one before, the last one an hour ago.
  void List(const std::vector<uint64_t>& serials) {
    std::vector<ListedRelease> listed;
    for (size_t i = 0; i < serials.size(); ++i) {
      const auto age = absl::Hours(1) + absl::Hours(24) * static_cast<int64_t>(serials.size() - 1 - i);
      listed.push_back({serials[i], "7." + std::to_string(serials[i]), DigestOf(serials[i]), false,
                        clock.Now() - age, true});
    }
    guard->Knows("content", std::move(listed));
  }

  ManualClock clock{absl::FromUnixSeconds(1'700'000'000)};
  MemoryFiles files;
  std::vector<plan::SignedPlan> chain;
  std::unique_ptr<PlanGuard> guard;
  static plan::ApprovalStatement YesTo(uint64_t serial) {
    plan::ApprovalStatement said;
    said.seq = 1;
    said.tenant = "acme";
    said.approve = true;
    said.channel = "content";
    said.serial = serial;
    said.digests = {DigestOf(serial)};
    return said;
  }
};

TEST_F(PlanGuardTest, WithoutThePinnedPlanNothingIsTaken) {
  Start(/*with_plan=*/false);
  EXPECT_EQ(Judge(1).reason, "no_plan");
  EXPECT_TRUE(guard->FetchDue());
  EXPECT_THAT(guard->Describe(), HasSubstr("takes nothing"));
  guard->TakeIn({chain[0].envelope});
  EXPECT_TRUE(Judge(1).allowed);
  EXPECT_THAT(guard->Describe(), HasSubstr("signed by the customer: plan 1"));
}

TEST_F(PlanGuardTest, AnotherFirstPlanThanThePinnedOneIsAFork) {
  Start(/*with_plan=*/false);
  policy::Plan other = chain[0].statement.plan;
  other.rings[1].lag = 0;
  EXPECT_EQ(guard->TakeIn({SealPlan(FirstOf(other, KeysOf("x")), "x")}), 0);
  EXPECT_FALSE(Judge(1).allowed);
  const auto fork = guard->TakeFork();
  ASSERT_TRUE(fork.has_value());
  EXPECT_EQ(fork->reason, "plan_fork");
  EXPECT_FALSE(guard->TakeFork().has_value()) << "said once";
}

TEST_F(PlanGuardTest, ATighterPlanFollowsAndAForgedOneDoesNot) {
  Start();
  Extend([](policy::Plan& plan) { plan.channels[0].mode = policy::ChannelMode::kPaused; });
  plan::PlanStatement forged = NextAfter(chain[0]);
  forged.plan.rings[1].lag = 0;
  guard->TakeIn({SealPlan(forged, "x")});
  EXPECT_TRUE(Judge(1).allowed);
  EXPECT_FALSE(guard->TakeFork().has_value()) << "nobody signed it";
  guard->TakeIn({chain[1].envelope});
  EXPECT_EQ(Judge(1).reason, "channel_paused");
}

TEST_F(PlanGuardTest, AGapKeepsTheOldPlanAndIsSaid) {
  Start();
  Extend([](policy::Plan& plan) { plan.rings[1].lag = 0; });
  Extend([](policy::Plan&) {});
  guard->TakeIn({chain[2].envelope});
  EXPECT_EQ(guard->next_version(), 2u);
  EXPECT_TRUE(guard->TakeFork().has_value());
  guard->TakeIn({chain[1].envelope, chain[2].envelope});
  EXPECT_EQ(guard->next_version(), 4u);
}

TEST_F(PlanGuardTest, ARefusalIsAnIncidentOnlyOnceTheServerWasAskedForThePlan) {
  Start();
  guard->TakeIn({});
  Extend([](policy::Plan& plan) { plan.channels[0].mode = policy::ChannelMode::kPaused; });
  guard->TakeIn({chain[1].envelope});
  guard->TakeIn({});
  EXPECT_FALSE(guard->FetchDue());
  EXPECT_FALSE(Judge(1).report) << "a newer plan may allow it";
  EXPECT_TRUE(guard->FetchDue());
  guard->TakeIn({});
  EXPECT_TRUE(Judge(1).report);
  EXPECT_FALSE(Judge(1).report) << "once";
  Extend([](policy::Plan& plan) { plan.channels[0].mode = policy::ChannelMode::kFollow; });
  guard->TakeIn({chain[2].envelope});
  EXPECT_TRUE(Judge(1).allowed);
}

TEST_F(PlanGuardTest, LagAndAgeAreCountedInWhatSignedMetadataLists) {
  Start();
  List({1, 2});
  EXPECT_EQ(Judge(2, "rest").reason, "nothing_to_lag");
  EXPECT_TRUE(Judge(1, "rest").allowed) << "a day and an hour old, and one is newer";
  List({1, 2, 3});
  EXPECT_TRUE(Judge(2, "rest").allowed);
  Judge(9);  // the server speaks of a release that nobody listed
  EXPECT_EQ(Judge(3, "rest").reason, "nothing_to_lag");
}

TEST_F(PlanGuardTest, PastThePlansTimeNothingIsTakenUntilANewerOneComes) {
  Start();
  Extend([&](policy::Plan& plan) { plan.valid_until = clock.Now() + absl::Hours(1); });
  Extend([&](policy::Plan& plan) { plan.valid_until.reset(); });
  guard->TakeIn({chain[1].envelope});
  EXPECT_TRUE(Judge(1).allowed);
  clock.Advance(absl::Hours(1) + policy::kHostSlack);
  EXPECT_EQ(Judge(1).reason, "plan_expired");
  guard->TakeIn({chain[2].envelope});
  EXPECT_TRUE(Judge(1).allowed);
}

TEST_F(PlanGuardTest, ASignedYesShortensTheAgeWhereThePlanLetsItAndWhileItLasts) {
  Start();
  List({1, 2, 3});
  plan::ApprovalStatement said = YesTo(2);
  said.min_age = absl::Hours(1);
  said.not_after = clock.Now() + absl::Hours(2);
  Extend([](policy::Plan& plan) { plan.rings[1].min_age = absl::Hours(48); });
  Extend([](policy::Plan& plan) { plan.rings[1].hasten_to = absl::Hours(4); });
  guard->TakeIn({chain[1].envelope, SealApproval(said, "a")});
  EXPECT_EQ(Judge(2, "rest").reason, "min_age") << "the plan lets nothing be hastened";
  guard->TakeIn({chain[2].envelope});
  EXPECT_TRUE(Judge(2, "rest").allowed);
  clock.Advance(absl::Hours(2) + policy::kHostSlack);
  EXPECT_EQ(Judge(2, "rest").reason, "min_age") << "it has ended";
}

TEST_F(PlanGuardTest, AnOrderBackIsFollowedAsFarAsThePlanLetsAnOrderGo) {
  Start();
  List({1, 2, 3, 4});
  const auto back = [&](uint64_t from, uint64_t to) {
    return guard->JudgeOrderBack("content", DigestOf(from), DigestOf(to));
  };
  EXPECT_TRUE(back(4, 1).allowed) << "the plan says nothing of it";
  Extend([](policy::Plan& plan) { plan.rollback_depth = 2; });
  guard->TakeIn({chain[1].envelope});
  EXPECT_TRUE(back(4, 2).allowed);
  EXPECT_EQ(back(4, 1).reason, "rollback_depth");
  EXPECT_TRUE(back(4, 9).allowed) << "it cannot count what nobody listed";
  EXPECT_TRUE(back(9, 1).allowed);
  Judge(9);  // the server speaks of releases that nobody listed
  Judge(10);
  EXPECT_TRUE(back(4, 2).allowed) << "they make nothing farther";
  Extend([](policy::Plan& plan) { plan.rollback_depth = 0; });
  guard->TakeIn({chain[2].envelope});
  EXPECT_FALSE(back(4, 3).allowed);
  EXPECT_FALSE(back(9, 8).allowed) << "nobody is ever ordered back";
}

TEST_F(PlanGuardTest, AnOrderBackThatStillStandsAfterTheServerWasAskedForThePlanIsAnIncident) {
  Start();
  guard->TakeIn({});
  Extend([](policy::Plan& plan) { plan.rollback_depth = 0; });
  guard->TakeIn({chain[1].envelope});
  guard->TakeIn({});
  EXPECT_FALSE(guard->JudgeOrderBack("content", DigestOf(2), DigestOf(1)).report);
  EXPECT_TRUE(guard->FetchDue());
  guard->TakeIn({});
  EXPECT_TRUE(guard->JudgeOrderBack("content", DigestOf(2), DigestOf(1)).report);
  EXPECT_FALSE(guard->JudgeOrderBack("content", DigestOf(2), DigestOf(1)).report) << "once";
}

TEST_F(PlanGuardTest, WithoutMetadataAgesBeginWhenTheHostFirstHearsAndWaitingIsNoIncident) {
  Start();
  Judge(1, "rest");
  Judge(2, "rest");
  clock.Advance(absl::Hours(23));
  EXPECT_EQ(Judge(1, "rest").reason, "min_age");
  guard->TakeIn({});
  EXPECT_FALSE(Judge(1, "rest").report);
  Start(/*with_plan=*/false);  // a restart forgets neither the plan nor when it heard
  clock.Advance(absl::Hours(1));
  EXPECT_TRUE(Judge(1, "rest").allowed);
  Directive other = Offer(1);
  other.digest = DigestOf(77);
  EXPECT_EQ(guard->Judge(other, AgentId(), policy::MakeLabels({{"ring", "rest"}}), Digest()).reason,
            "min_age")
      << "other bytes under the same number are another release";
}

TEST_F(PlanGuardTest, ASetIsOneReleaseHoweverManyPlatformsItHas) {
  Start();
  const absl::Time old = clock.Now() - absl::Hours(48);
  guard->Knows("content", {{1, "7.1", DigestOf(1), false, old, true},
                           {2, "7.2", DigestOf(2), false, old, true},
                           {2, "7.2", DigestOf(12), false, old, false}});
  Extend([](policy::Plan& plan) { plan.rings[1].lag = 2; });
  guard->TakeIn({chain[1].envelope});
  EXPECT_EQ(Judge(1, "rest").reason, "nothing_to_lag");
  const std::string memory = files.files["/state/plan.json"];
  guard->Knows("content",
               {{2, "7.2", DigestOf(12), false, old, false}, {2, "7.2", DigestOf(2), false, old, true}});
  EXPECT_EQ(files.files["/state/plan.json"], memory) << "nothing new was heard";
}

TEST_F(PlanGuardTest, TheBytesOfAnotherPlatformOnTheDenyListBarTheSet) {
  Start();
  const absl::Time old = clock.Now() - absl::Hours(48);
  guard->Knows("content",
               {{2, "7.2", DigestOf(2), false, old, true}, {2, "7.2", DigestOf(12), false, old, false}});
  EXPECT_TRUE(Judge(2).allowed);
  Extend([](policy::Plan& plan) { plan.deny = {{DigestOf(12), "", "", "bricked the lab", "Ann"}}; });
  guard->TakeIn({chain[1].envelope});
  EXPECT_EQ(Judge(2).reason, "denied");
}

TEST_F(PlanGuardTest, TheNameOfASetOnTheDenyListBarsItOnTheHostToo) {
  Start();
  const absl::Time old = clock.Now() - absl::Hours(48);
  guard->Knows("content", {{2, "7.2", DigestOf(12), false, old, false, "content/content/b.fct"},
                           {2, "7.2", DigestOf(2), false, old, true, "content/content/a.fct"}});
  EXPECT_TRUE(Judge(2).allowed);
  std::vector<policy::Artifact> artifacts(2);
  artifacts[0].path = "content/content/a.fct";
  artifacts[0].digest = DigestOf(2);
  artifacts[1].path = "content/content/b.fct";
  artifacts[1].digest = DigestOf(12);
  Extend([&](policy::Plan& plan) {
    plan.deny = {{policy::DigestOfSet(artifacts), "", "", "bricked the lab", "Ann"}};
  });
  guard->TakeIn({chain[1].envelope});
  EXPECT_EQ(Judge(2).reason, "denied");
}

TEST_F(PlanGuardTest, APlatformThatMetadataDoesNotCoverIsRefused) {
  Start();
  guard->Knows("content", {{1, "7.1", DigestOf(1), false, clock.Now(), false}});
  EXPECT_EQ(Judge(1).reason, "not_qualified");
  Extend([](policy::Plan& plan) { plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly; });
  guard->TakeIn({chain[1].envelope});
  EXPECT_TRUE(Judge(1).allowed);
}

TEST_F(PlanGuardTest, AnApprovalCountsWhenItIsSignedAndANoStays) {
  Start();
  Extend([](policy::Plan& plan) { plan.rings[0].approval = policy::Approval::kExplicit; });
  guard->TakeIn({chain[1].envelope});
  EXPECT_EQ(Judge(1).reason, "approval");
  plan::ApprovalStatement said;
  said.seq = guard->next_seq();
  said.tenant = "acme";
  said.approve = true;
  said.channel = "content";
  said.serial = 1;
  said.digests = {DigestOf(1)};
  guard->TakeIn({SealApproval(said, "x")});
  EXPECT_FALSE(Judge(1).allowed);
  guard->TakeIn({SealApproval(said, "a")});
  EXPECT_TRUE(Judge(1).allowed);
  Directive other = Offer(1);  // under the same name
  other.digest = DigestOf(77);
  EXPECT_EQ(guard->Judge(other, AgentId(), policy::MakeLabels({{"ring", "lab"}}), Digest()).reason,
            "approval");
  said.seq = guard->next_seq();
  said.approve = false;
  said.digests.clear();                                     // whatever they are
  files.files["/etc/plan.json"] = SealApproval(said, "a");  // the server hides it
  guard->TakeIn({});
  EXPECT_EQ(Judge(1).reason, "denied");
  Start(/*with_plan=*/false);
  EXPECT_EQ(Judge(1).reason, "denied");
}

TEST_F(PlanGuardTest, AnApprovalEndsHereAtMostTwoMinutesAfterItEndsAtTheServer) {
  Start();
  Extend([](policy::Plan& plan) { plan.rings[0].approval = policy::Approval::kExplicit; });
  plan::ApprovalStatement said = YesTo(1);
  said.not_after = clock.Now() + absl::Hours(1);
  guard->TakeIn({chain[1].envelope, SealApproval(said, "a")});
  clock.Advance(absl::Minutes(61));
  EXPECT_TRUE(Judge(1).allowed) << "clocks differ";
  clock.Advance(absl::Minutes(1));
  EXPECT_EQ(Judge(1).reason, "approval");
}

TEST_F(PlanGuardTest, APlanThatTheServerHidesMayBePutThere) {
  Start();
  Extend([](policy::Plan& plan) { plan.channels[0].mode = policy::ChannelMode::kPaused; });
  files.files["/etc/plan.json"] = chain[1].envelope;
  guard->TakeIn({});
  EXPECT_EQ(Judge(1).reason, "channel_paused");
}

TEST_F(PlanGuardTest, ADamagedMemoryIsOneThatWasNeverThere) {
  Start();
  std::string& memory = files.files["/state/plan.json"];
  ASSERT_FALSE(memory.empty());
  for (const std::string& damaged : {memory.substr(0, memory.size() / 2), std::string("{}"), std::string()}) {
    files.files["/state/plan.json"] = damaged;
    Start(/*with_plan=*/false);
    EXPECT_EQ(guard->next_version(), 1u);
    EXPECT_FALSE(Judge(1).allowed);
  }
}

}  // namespace
}  // namespace ringfence::agent
