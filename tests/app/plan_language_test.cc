// The words of a plan that pass or wait for a person, by their effect in production wiring; and the questions
// that people ask of it: preview and explain. The harness's time begins on Tuesday, 2023-11-14 22:13 UTC.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::Reason;
using policy::StageState;
using policy::Weekday;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::Time Utc(int day, int hour, int minute = 0) {
  return absl::FromCivil(absl::CivilMinute(2023, 11, day, hour, minute), absl::UTCTimeZone());
}

class PlanLanguageTest : public OneCustomerTest {
 protected:
  void RunTo(absl::Time time) { fleet.RunFor(time - fleet.now()); }
  policy::Eligibility Why(int host, uint64_t serial) {
    const auto reply = fleet.app().Explain(fleet.host(host).id, "content", serial);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? reply->eligibility : policy::Eligibility();
  }
  absl::StatusOr<storage::ConsentRow> Consent(bool approved, uint64_t serial, const std::string& ring = "") {
    storage::ConsentRow wanted;
    wanted.tenant = "acme";
    wanted.channel = "content";
    wanted.serial = serial;
    wanted.ring = ring;
    wanted.approved = approved;
    return fleet.app().Consent(fleet.Admin("acme"), wanted);
  }
};

// ---------------------------------------------------------------- windows

TEST_F(PlanLanguageTest, HostsAreLetInOnlyWithinAWindow) {
  policy::Ring ring = RingNamed("all");
  ring.windows = {{{Weekday::kWednesday}, 120, 300, "UTC"}};
  Begin(PlanOf("acme", {ring}), 30);
  const policy::Release release = fleet.Publish();
  RunTo(Utc(15, 1, 55));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_EQ(fleet.StateOf("acme", "all", 1), StageState::kWaiting);
  EXPECT_TRUE(fleet.host(0).staged.empty()) << "nor told to download";
  const policy::Eligibility why = Why(0, 1);
  EXPECT_EQ(why.reason, Reason::kWindow);
  EXPECT_EQ(why.next, Utc(15, 2));
  RunTo(Utc(15, 5));
  EXPECT_EQ(fleet.Running(release.digest), 30);
  for (const auto& [key, row] : fleet.watch().exposures()) {
    EXPECT_GE(row.exposed_at, Utc(15, 2));
    EXPECT_LT(row.exposed_at, Utc(15, 5));
  }
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, AWaveThatAWindowCutShortGoesOnInTheNextOneAndDoesNotPassUnasked) {
  policy::Ring ring = RingNamed("all", {0.5, 1});
  ring.windows = {{{}, 120, 135, "UTC"}};  // a quarter of an hour each night: too short for half of 200 hosts
  Begin(PlanOf("acme", {ring}), 200);
  const policy::Release release = fleet.Publish();
  RunTo(Utc(15, 2, 15));
  const size_t first_night = fleet.watch().exposures().size();
  ASSERT_GT(first_night, 0u);
  ASSERT_LT(first_night, 90u);
  RunTo(Utc(16, 2));
  EXPECT_EQ(fleet.watch().exposures().size(), first_night);
  EXPECT_EQ(fleet.StageOf("acme", "all", 1)->wave, 0);
  RunTo(Utc(16, 2, 3));
  EXPECT_EQ(fleet.StageOf("acme", "all", 1)->wave, 0) << "hosts have not had the time to ask";
  ASSERT_TRUE(Until(200, release, absl::Hours(24 * 30)));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, ALeaseDrawnInTheWindowIsNotCommittedAfterIt) {
  FleetHarness::Options options = CustomersOnly();
  options.late_commits = 1;  // leases wait for the next step
  FleetHarness late(options);
  policy::Ring ring = RingNamed("all");
  ring.windows = {{{}, 22 * 60 + 15, 23 * 60, "UTC"}};
  late.AddRing("acme", "all", 60);
  late.Start();
  late.Apply(PlanOf("acme", {ring}));
  late.Publish();
  late.RunFor(absl::Hours(12));
  EXPECT_GT(late.watch().exposures().size(), 0u);
  EXPECT_EQ(late.Violations(), "");  // the watch knows the window of each commit
}

// ---------------------------------------------------------------- freezes

TEST_F(PlanLanguageTest, AFreezeStopsAnOpenStageAndSaysWhoseItIs) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all", {0.2, 1})});
  plan.rings[0].soak = absl::Hours(1);
  Begin(plan, 30);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(3, release));
  plan.freezes = {{fleet.now(), Utc(16, 12), "Quarter's end", "Ann of Finance", {}}};
  fleet.Apply(plan);
  fleet.RunFor(absl::Minutes(2));
  const int64_t frozen_at = fleet.Running(release.digest);
  RunTo(Utc(16, 11, 59));
  EXPECT_EQ(fleet.Running(release.digest), frozen_at);
  EXPECT_EQ(fleet.StageOf("acme", "all", 1)->wave, 0) << "although its soak is long over";
  const policy::Eligibility why = Why(29, 1);
  EXPECT_EQ(why.reason, Reason::kFrozen);
  EXPECT_EQ(why.next, Utc(16, 12));
  for (const policy::GateAnswer& gate : why.gates) {
    if (gate.gate != Reason::kFrozen) continue;
    EXPECT_THAT(gate.detail, HasSubstr("Quarter's end (Ann of Finance)"));
  }
  ASSERT_TRUE(Until(30, release));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, AFreezeDoesNotKeepHostsFromGoingBack) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  Begin(plan, 20);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(10, release));
  plan.freezes = {{fleet.now(), fleet.now() + absl::Hours(100), "r", "o", {}}};
  fleet.Apply(plan);
  ASSERT_TRUE(fleet.app().RollBack(fleet.Sre(), {"", "content", 1, ""}).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 0; }, absl::Hours(2)));
}

TEST_F(PlanLanguageTest, AFreezeOfOneRingLeavesTheOthersAlone) {
  policy::Plan plan = PlanOf("acme", {RingNamed("lab"), RingNamed("theatres")});
  plan.freezes = {{Utc(14, 0), Utc(20, 0), "operations", "o", {{"theatres"}, {}}}};
  Begin(plan, 6);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(24));
  EXPECT_EQ(fleet.RunningIn("acme", "lab", release.digest), 6);
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 0);
  RunTo(Utc(21, 0));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 6);
}

// ---------------------------------------------------------------- approval

TEST_F(PlanLanguageTest, AReleaseWaitsUntilAPersonOfTheTenantApprovesIt) {
  policy::Ring theatres = RingNamed("theatres");
  theatres.approval = policy::Approval::kExplicit;
  Begin(PlanOf("acme", {RingNamed("lab"), theatres}), 6);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Until(6, release));
  fleet.RunFor(absl::Hours(48));
  EXPECT_EQ(fleet.RunningIn("acme", "theatres", release.digest), 0);
  EXPECT_EQ(Why(6, 1).reason, Reason::kApproval);
  const auto waiting = fleet.app().Approvals("acme");
  ASSERT_TRUE(waiting.ok());
  ASSERT_EQ(waiting->size(), 1u);
  EXPECT_EQ(waiting->front().row.ring, "theatres");
  EXPECT_FALSE(waiting->front().decided);

  ASSERT_TRUE(Consent(true, 1).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.RunningIn("acme", "theatres", release.digest) == 6; },
                             absl::Hours(24)));
  EXPECT_TRUE(fleet.app().Approvals("acme")->front().row.approved);
  EXPECT_TRUE(fleet.Decided("approve", "operator"));
  EXPECT_EQ(fleet.app().Audit({.tenant = "acme"})->front().act, "release.approve");
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, WhatWasApprovedIsKnownAfterARestart) {
  policy::Ring all = RingNamed("all");
  all.approval = policy::Approval::kExplicit;
  Begin(PlanOf("acme", {all}), 6);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(Consent(true, 1, "all").ok());
  fleet.Restart();
  EXPECT_TRUE(Until(6, release));
}

TEST_F(PlanLanguageTest, ADeniedReleaseIsPassedOverForTheNext) {
  policy::Ring all = RingNamed("all");
  all.approval = policy::Approval::kExplicit;
  Begin(PlanOf("acme", {all}), 6);
  const policy::Release first = fleet.Publish();
  fleet.RunFor(absl::Hours(1));
  ASSERT_TRUE(Consent(false, 1).ok());
  EXPECT_EQ(Why(0, 1).reason, Reason::kDenied);
  const policy::Release second = fleet.Publish();
  ASSERT_TRUE(Consent(true, 2).ok());
  ASSERT_TRUE(Until(6, second));
  EXPECT_EQ(fleet.Running(first.digest), 0);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, ADecisionIsFinalAndTheTenantsOwn) {
  policy::Ring all = RingNamed("all");
  all.approval = policy::Approval::kExplicit;
  Begin(PlanOf("acme", {all, RingNamed("rest")}), 2);
  fleet.Publish();
  storage::ConsentRow wanted;
  wanted.tenant = "acme";
  wanted.channel = "content";
  wanted.serial = 1;
  wanted.approved = true;
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().Consent(fleet.Sre(), wanted).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().Consent(fleet.Admin("bolt"), wanted).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Consent(true, 1, "rest").status())) << "that ring asks nobody";
  EXPECT_TRUE(absl::IsNotFound(Consent(true, 1, "nowhere").status()));
  EXPECT_TRUE(absl::IsNotFound(Consent(true, 9).status()));

  const app::Act act = fleet.Admin("acme");
  wanted.approved = false;
  ASSERT_TRUE(fleet.app().Consent(act, wanted).ok());
  EXPECT_TRUE(fleet.app().Consent(act, wanted).ok()) << "the same call again";
  EXPECT_TRUE(absl::IsFailedPrecondition(Consent(true, 1).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Consent(true, 1, "all").status()))
      << "a no for every ring is one for each";
}

// ---------------------------------------------------------------- barriers, deny lists, ranges

TEST_F(PlanLanguageTest, AHostThatSleptPastABarrierTakesItFirst) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  plan.channels[0].barriers = {"v2"};
  Begin(plan, 8);
  fleet.host(7).away = true;
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(Until(7, first));
  fleet.RunFor(absl::Hours(2));
  const policy::Release barrier = fleet.Publish();
  ASSERT_TRUE(Until(7, barrier));
  fleet.RunFor(absl::Hours(2));
  const policy::Release newest = fleet.Publish();
  ASSERT_TRUE(Until(7, newest));
  fleet.RunFor(absl::Hours(2));
  fleet.WakeUp(7);
  EXPECT_EQ(Why(7, 3).reason, Reason::kBarrier);
  ASSERT_TRUE(Until(8, newest));
  EXPECT_TRUE(fleet.host(7).activated_at.contains(barrier.digest));
  EXPECT_LT(fleet.host(7).activated_at[barrier.digest], fleet.host(7).activated_at[newest.digest]);
  EXPECT_FALSE(fleet.host(7).activated_at.contains(first.digest)) << "no barrier";
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, ADeniedReleaseStopsInTheMiddleAndItsSuccessorComes) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all", {0.2, 1})});
  plan.rings[0].soak = absl::Hours(2);
  Begin(plan, 30);
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(Until(3, first));
  plan.deny = {{first.digest, "", "", "bricked the lab", "Ann"}};
  fleet.Apply(plan);
  fleet.RunFor(absl::Minutes(1));
  const int64_t took = fleet.Running(first.digest);
  fleet.RunFor(absl::Hours(24));
  EXPECT_EQ(fleet.Running(first.digest), took);
  EXPECT_EQ(Why(29, 1).reason, Reason::kDenied);
  const policy::Release second = fleet.Publish();
  EXPECT_TRUE(Until(30, second));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, ANoThatComesLateFreesTheRingForTheNext) {
  policy::Plan plan = PlanOf("acme", {RingNamed("all", {0.2, 1})});
  plan.rings[0].soak = absl::Hours(2);
  Begin(plan, 30);
  const policy::Release first = fleet.Publish();
  ASSERT_TRUE(Until(3, first));
  plan.rings[0].approval = policy::Approval::kExplicit;
  fleet.Apply(plan);
  fleet.RunFor(absl::Hours(12));
  EXPECT_EQ(fleet.StateOf("acme", "all", 1), StageState::kOpen) << "it waits for a person";
  ASSERT_TRUE(Consent(false, 1).ok());
  const int64_t took = fleet.Running(first.digest);
  const policy::Release second = fleet.Publish();
  ASSERT_TRUE(Consent(true, 2).ok());
  EXPECT_TRUE(Until(30, second));
  EXPECT_LE(fleet.Running(first.digest), took);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(PlanLanguageTest, AnUrgentReleaseMovesFasterOnlyWhereThePlanAllowsIt) {
  policy::Plan plan = PlanOf("acme", {RingNamed("canary"), RingNamed("rest")});
  for (policy::Ring& ring : plan.rings) ring.windows = {{{Weekday::kSunday}, 120, 300, "UTC"}};
  plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {"canary"}, std::nullopt, std::nullopt, true};
  Begin(plan, 6);
  policy::Release urgent = fleet.NextRelease();
  urgent.urgent = true;
  const auto published = fleet.TryPublish(urgent);
  ASSERT_TRUE(published.ok());
  fleet.RunFor(absl::Hours(12));
  EXPECT_EQ(fleet.RunningIn("acme", "canary", published->digest), 6);
  EXPECT_EQ(fleet.RunningIn("acme", "rest", published->digest), 0);
  RunTo(Utc(19, 5));
  EXPECT_EQ(fleet.RunningIn("acme", "rest", published->digest), 6);
}

// ---------------------------------------------------------------- preview and explain

TEST_F(PlanLanguageTest, APreviewCountsTheHostsThatWouldMove) {
  policy::Plan plan = PlanOf("acme", {RingNamed("canary"), RingNamed("broad")});
  Begin(plan, 10);
  const policy::Release release = fleet.Publish();
  policy::Plan proposed = plan;
  proposed.rings[0].selector = policy::Selector{};  // everybody
  proposed.rings[1].windows = {{{Weekday::kSunday}, 120, 300, "UTC"}};
  proposed.channels[0].barriers = {"v77"};
  const app::PreviewReply preview = fleet.app().PreviewPlan(proposed);
  EXPECT_EQ(preview.revision, 1);
  EXPECT_EQ(preview.hosts, 20);
  ASSERT_EQ(preview.moves.size(), 1u);
  EXPECT_EQ(preview.moves[0].from, "broad");
  EXPECT_EQ(preview.moves[0].to, "canary");
  EXPECT_EQ(preview.moves[0].hosts, 10);
  ASSERT_EQ(preview.overlaps.size(), 1u);
  EXPECT_EQ(preview.overlaps[0].hosts, 10);
  ASSERT_EQ(preview.rings.size(), 2u);
  EXPECT_EQ(preview.rings[1].hosts_now, 10);
  EXPECT_EQ(preview.rings[1].hosts_then, 0);
  EXPECT_THAT(preview.warnings, Contains(HasSubstr("No host that is enrolled now would be in ring broad")));
  EXPECT_THAT(preview.warnings, Contains(HasSubstr("All 20 hosts would be in ring canary, the first")));
  EXPECT_THAT(preview.warnings,
              Contains(HasSubstr("barrier v77 of channel content is no published release")));
  ASSERT_EQ(preview.then.size(), 2u);
  EXPECT_EQ(preview.then[0].version, release.version);
  EXPECT_EQ(preview.then[0].reason, Reason::kNone);
  EXPECT_EQ(preview.then[1].reason, Reason::kEarlierRingNotPassed);

  proposed.rings.resize(1);
  proposed.rings[0].selector = plan.rings[0].selector;
  const app::PreviewReply stranded = fleet.app().PreviewPlan(proposed);
  ASSERT_EQ(stranded.moves.size(), 1u);
  EXPECT_EQ(stranded.moves[0].to, "");
  EXPECT_THAT(stranded.warnings, Contains(HasSubstr("10 of 20 hosts would be in no ring")));
  EXPECT_EQ(fleet.app().PlanHistory("acme")->size(), 1u) << "without effect";
}

TEST_F(PlanLanguageTest, APreviewOfAStrangersPlanKnowsNoHost) {
  Begin(PlanOf("acme", {RingNamed("all")}), 4);
  const app::PreviewReply preview = fleet.app().PreviewPlan(PlanOf("nobody", {RingNamed("all")}));
  EXPECT_EQ(preview.hosts, 0);
  EXPECT_EQ(preview.revision, 0);
  EXPECT_THAT(preview.moves, IsEmpty());
}

// Grouped answers are the sum of the single ones, whatever happens.
TEST_F(PlanLanguageTest, TheAnswerForAReleaseIsTheSumOfThoseForItsHosts) {
  policy::Plan plan = PlanOf("acme", {RingNamed("canary"), RingNamed("broad"), RingNamed("late", {1}, 1)});
  plan.channels[0].barriers = {"v2"};
  plan.rings[1].approval = policy::Approval::kExplicit;
  Begin(plan, 10);
  fleet.AddHost("acme", {{"os", "win10"}});  // no ring
  fleet.host(3).away = true;
  fleet.host(4).dead = true;
  for (int i = 0; i < 3; ++i) {
    fleet.Publish();
    fleet.RunFor(absl::Hours(5));
    if (i > 0) continue;
    ASSERT_TRUE(Consent(true, 1).ok());
  }
  ASSERT_TRUE(fleet.app().DeleteAgent(fleet.Admin("acme"), fleet.host(12).id).ok());
  for (uint64_t serial = 1; serial <= 3; ++serial) {
    std::map<std::pair<std::string, Reason>, int64_t> one_by_one, grouped;
    int64_t hosts = 0;
    for (const SimHost& host : fleet.hosts()) {
      const auto reply = fleet.app().Explain(host.id, "content", serial);
      ASSERT_TRUE(reply.ok());
      if (reply->agent.row.deleted) continue;
      ++hosts;
      ++one_by_one[{reply->agent.ring, reply->eligibility.reason}];
    }
    const auto reply = fleet.app().ExplainRelease("acme", "content", serial);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->hosts, hosts);
    for (const app::ReasonGroup& group : reply->groups) {
      grouped[{group.ring, group.reason}] += group.hosts;
      EXPECT_LE(group.examples.size(), 3u);
      EXPECT_FALSE(group.examples.empty());
      for (const AgentId& agent : group.examples) {
        EXPECT_EQ(fleet.app().Explain(agent, "content", serial)->eligibility.reason, group.reason);
      }
    }
    EXPECT_EQ(grouped, one_by_one) << "serial " << serial;
  }
  EXPECT_TRUE(absl::IsNotFound(fleet.app().ExplainRelease("acme", "content", 9).status()));
  EXPECT_EQ(fleet.app().ExplainRelease("nobody", "content", 1)->hosts, 0);
}

}  // namespace
}  // namespace ringfence::test
