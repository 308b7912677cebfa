// What a plan may say beyond rings and waves: ranges, barriers, deny lists, urgency, approval, its calendar.
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/choice.h"
#include "ringfence/policy/host_eligibility.h"
#include "ringfence/policy/plan.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

TEST(VersionTest, NumbersAreComparedAsNumbers) {
  const std::vector<std::string> rising = {"",        "7",    "7.9", "7.15", "7.15.1", "7.15.2",
                                           "7.15.10", "7.16", "10",  "a",    "b2",     "b10"};
  for (size_t i = 0; i < rising.size(); ++i) {
    for (size_t j = 0; j < rising.size(); ++j) {
      const int order = CompareVersions(rising[i], rising[j]);
      EXPECT_EQ((order > 0) - (order < 0), (i > j) - (i < j)) << rising[i] << " and " << rising[j];
    }
  }
  EXPECT_EQ(CompareVersions("7.15.01", "7-15-1"), 0);
  EXPECT_LT(CompareVersions("7.99999999999999999999998", "7.99999999999999999999999"), 0);
  EXPECT_LT(CompareVersions("7.15", "7.15-rc1"), 0) << "what goes on from it is the larger";
}

// ---- which release a ring takes

Choice ChooseOf(const Plan& plan, const std::vector<ReleaseProgress>& releases, int ring = 0) {
  return ChooseRelease(plan, ring, "content", releases, false, kNow);
}
std::vector<ReleaseProgress> Three() {
  return {Travelled(1, 0), Travelled(2, 0), Travelled(3, 0)};  // versions v1, v2, v3
}

TEST(RangeTest, WhatIsOutsideIsAsIfItWereNotThere) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.channels[0].below_version = "v3";
  EXPECT_EQ(ChooseOf(plan, Three()).serial, 2u);
  plan.rings[0].lag = 1;
  EXPECT_EQ(ChooseOf(plan, Three()).serial, 1u) << "N-1 of what is in the range";
  plan.rings[0].lag = 0;
  plan.channels[0].from_version = "v2";
  plan.channels[0].below_version = "";
  EXPECT_EQ(ChooseOf(plan, {Travelled(1, 0)}).reason, Reason::kVersionRange);
}

TEST(DenyTest, ADeniedReleaseIsNeitherTakenNorCounted) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.deny = {{std::nullopt, "content", "v3", "r", "o"}};
  EXPECT_EQ(ChooseOf(plan, Three()).serial, 2u);
  std::vector<ReleaseProgress> releases = Three();
  releases[1].digest.bytes.fill(9);
  plan.deny.push_back({releases[1].digest, "", "", "r", "o"});
  EXPECT_EQ(ChooseOf(plan, releases).serial, 1u);
  plan.deny.push_back({std::nullopt, "content", "v1", "r", "o"});
  EXPECT_EQ(ChooseOf(plan, releases).reason, Reason::kDenied);
}

// A customer who saw the bytes of one platform fail knows their sha256 and no other.
TEST(DenyTest, TheBytesOfOnePlatformBarTheWholeSet) {
  Plan plan = MakePlan({MakeRing("all")});
  Digest denied;
  denied.bytes.fill(9);
  plan.deny = {{denied, "", "", "r", "o"}};
  std::vector<ReleaseProgress> releases = Three();
  releases[2].artifacts = {Digest{}, denied};
  EXPECT_EQ(ChooseOf(plan, releases).serial, 2u);

  Release release = MakeRelease();
  plan.rings[0].selector = Selector();
  const auto why = [&] {
    return LastingReason(plan, MakeLabels({{"platform", "windows"}, {"os", "win11"}}), release);
  };
  EXPECT_EQ(why(), Reason::kNone);
  release.artifacts.resize(2);
  EXPECT_EQ(why(), Reason::kNone);
  release.artifacts[1].digest = denied;
  EXPECT_EQ(why(), Reason::kDenied);
}

TEST(DenyTest, WhatAPersonDeniedForTheRingDoesNotBlockItsSuccessor) {
  const Plan plan = MakePlan({MakeRing("all")});
  std::vector<ReleaseProgress> releases = Three();
  releases[2].denied = true;
  EXPECT_EQ(ChooseOf(plan, releases).serial, 2u);
}

TEST(BarrierTest, TheRingTakesItFirstAndThenWhatIsNewer) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.channels[0].barriers = {"v2"};
  std::vector<ReleaseProgress> releases = Three();
  EXPECT_EQ(ChooseOf(plan, releases).serial, 2u);
  releases[1].ring_passed = {true};
  EXPECT_EQ(ChooseOf(plan, releases).serial, 3u);
}

TEST(BarrierTest, ARingThatWentPastItLongAgoIsNotHeldBack) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.channels[0].barriers = {"v1"};
  std::vector<ReleaseProgress> releases = Three();
  releases[1].ring_passed = {true};
  EXPECT_EQ(ChooseOf(plan, releases).serial, 3u);
}

TEST(BarrierTest, AStoppedOneHoldsEverythingBehindIt) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.channels[0].barriers = {"v2"};
  std::vector<ReleaseProgress> releases = Three();
  releases[1].stopped = true;
  EXPECT_EQ(ChooseOf(plan, releases).serial, 1u);
  releases.erase(releases.begin());
  EXPECT_EQ(ChooseOf(plan, releases).serial, std::nullopt);
  EXPECT_EQ(ChooseOf(plan, releases).reason, Reason::kBarrier);
}

TEST(BarrierTest, AHostTakesTheFirstThatItHasNotReached) {
  ChannelRule rule = MakeRule("content");
  rule.barriers = {"b", "d"};
  const std::vector<Milestone> published = {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}, {5, "e"}};
  EXPECT_EQ(BarrierBefore(rule, published, 0, 5)->version, "b");
  EXPECT_EQ(BarrierBefore(rule, published, 2, 5)->version, "d");
  EXPECT_EQ(BarrierBefore(rule, published, 3, 5)->version, "d");
  EXPECT_EQ(BarrierBefore(rule, published, 4, 5), nullptr);
  EXPECT_EQ(BarrierBefore(rule, published, 2, 4), nullptr) << "the barrier itself may be taken";
  EXPECT_EQ(BarrierBefore(MakeRule("content"), published, 0, 5), nullptr);
}

// ---- what a ring says of one channel

TEST(RingRuleTest, HoldsInItsChannelOnly) {
  Plan plan = MakePlan({MakeRing("late", 1)});
  plan.channels.push_back(MakeRule("sensor"));
  plan.rings[0].min_age = absl::Hours(1);
  plan.rings[0].windows = {{{}, 0, 60, ""}};
  RingRule rule;
  rule.channel = "sensor";
  rule.lag = 0;
  rule.min_age = absl::Hours(9);
  rule.approval = Approval::kExplicit;
  rule.windows = {{{}, 60, 120, ""}};
  plan.rings[0].channels = {rule};
  const Ring& ring = plan.rings[0];
  EXPECT_EQ(EffectiveLag(ring, plan.channels[0]), 1);
  EXPECT_EQ(EffectiveLag(ring, plan.channels[1]), 0);
  EXPECT_EQ(EffectiveMinAge(plan, ring, "content", false), absl::Hours(1));
  EXPECT_EQ(EffectiveMinAge(plan, ring, "sensor", false), absl::Hours(9));
  EXPECT_EQ(EffectiveApproval(plan, ring, "content"), Approval::kAuto);
  EXPECT_EQ(EffectiveApproval(plan, ring, "sensor"), Approval::kExplicit);
  EXPECT_EQ(CalendarOf(plan, ring, "content", false).windows[0].from, 0);
  EXPECT_EQ(CalendarOf(plan, ring, "sensor", false).windows[0].from, 60);
}

// ---- what a channel says in every ring

TEST(ChannelRuleTest, AsksInEveryRingThatDoesNotSayOtherwise) {
  Plan plan = MakePlan({MakeRing("lab"), MakeRing("rest")});
  plan.channels.push_back(MakeRule("sensor"));
  plan.channels[1].approval = Approval::kExplicit;
  plan.channels[1].min_age = absl::Hours(24);
  plan.rings[1].min_age = absl::Hours(48);
  RingRule rule;
  rule.channel = "sensor";
  rule.approval = Approval::kAuto;
  rule.min_age = absl::ZeroDuration();
  EXPECT_EQ(EffectiveApproval(plan, plan.rings[0], "sensor"), Approval::kExplicit);
  EXPECT_EQ(EffectiveApproval(plan, plan.rings[0], "content"), Approval::kAuto);
  EXPECT_EQ(EffectiveMinAge(plan, plan.rings[0], "sensor", false), absl::Hours(24));
  EXPECT_EQ(EffectiveMinAge(plan, plan.rings[0], "content", false), absl::ZeroDuration());
  EXPECT_EQ(EffectiveMinAge(plan, plan.rings[1], "sensor", false), absl::Hours(48))
      << "the larger of the two";
  plan.rings[0].channels = {rule};
  EXPECT_EQ(EffectiveApproval(plan, plan.rings[0], "sensor"), Approval::kAuto);
  EXPECT_EQ(EffectiveMinAge(plan, plan.rings[0], "sensor", false), absl::ZeroDuration());
  EXPECT_EQ(EffectiveApproval(plan, plan.rings[1], "sensor"), Approval::kExplicit);
  plan.channels[1].approval = Approval::kAuto;
  plan.rings[1].approval = Approval::kExplicit;
  EXPECT_EQ(EffectiveApproval(plan, plan.rings[1], "sensor"), Approval::kExplicit)
      << "a channel that asks nobody leaves it to the rings";
}

TEST(ChannelRuleTest, ItsApproversAreThoseOfRingsThatNameNone) {
  Plan plan = MakePlan({MakeRing("lab"), MakeRing("rest")});
  plan.channels[0].approval = Approval::kExplicit;
  plan.channels[0].approvers = {"ann", "role:sre"};
  plan.rings[1].approvers = {"ben"};
  EXPECT_TRUE(MayApprove(plan, plan.rings[0], "content", "ann", "tenant-admin"));
  EXPECT_TRUE(MayApprove(plan, plan.rings[0], "content", "eve", "sre"));
  EXPECT_FALSE(MayApprove(plan, plan.rings[0], "content", "ben", "tenant-admin"));
  EXPECT_TRUE(MayApprove(plan, plan.rings[1], "content", "ben", "tenant-admin"));
  EXPECT_FALSE(MayApprove(plan, plan.rings[1], "content", "ann", "tenant-admin"));
  EXPECT_TRUE(MayApprove(plan, plan.rings[0], "sensor", "anybody", "tenant-admin"));
}

// ---- the plan's own time

TEST(ValidityTest, FromItsEndOnNobodyIsLetInAndNobodyKnowsTheTimeIsTheSame) {
  Plan plan = MakePlan({MakeRing("all")});
  const Release release = MakeRelease();
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kNone, absl::InfiniteFuture()), Reason::kNone);
  plan.valid_until = kNow;
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kNone, kNow - absl::Nanoseconds(1)), Reason::kNone);
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kNone, kNow), Reason::kPlanExpired);
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kNone, absl::InfinitePast()), Reason::kPlanExpired);
}

TEST(ValidityTest, AnUrgentAndApprovedReleaseWaitsToo) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.valid_until = kNow;
  plan.rings[0].approval = Approval::kExplicit;
  plan.urgent = Urgent{UrgentMode::kAllow, {}, absl::ZeroDuration(), absl::ZeroDuration(), true};
  Release release = MakeRelease();
  release.urgent = true;
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kApproved, kNow), Reason::kPlanExpired);
}

// ---- urgency

TEST(UrgentTest, MovesFasterOnlyWhereTheTenantSaidSo) {
  Plan plan = MakePlan({MakeRing("canary"), MakeRing("broad")});
  for (Ring& ring : plan.rings) {
    ring.min_age = absl::Hours(24);
    ring.soak = absl::Hours(6);
    ring.windows = {{{}, 0, 60, ""}};
  }
  plan.urgent = Urgent{UrgentMode::kAllow, {"canary"}, absl::Hours(1), absl::Minutes(10), true};
  const auto age = [&](int ring, bool urgent) {
    return EffectiveMinAge(plan, plan.rings[static_cast<size_t>(ring)], "content", urgent);
  };
  EXPECT_EQ(age(0, true), absl::Hours(1));
  EXPECT_EQ(age(0, false), absl::Hours(24));
  EXPECT_EQ(age(1, true), absl::Hours(24));
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], true), absl::Minutes(10));
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[1], true), absl::Hours(6));
  EXPECT_TRUE(CalendarOf(plan, plan.rings[0], "content", true).windows.empty());
  EXPECT_EQ(CalendarOf(plan, plan.rings[0], "content", false).windows.size(), 1u);
  EXPECT_EQ(CalendarOf(plan, plan.rings[1], "content", true).windows.size(), 1u);
}

TEST(UrgentTest, ItsFloorsNeverSlowAReleaseDown) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.rings[0].min_age = absl::Minutes(30);
  plan.urgent = Urgent{UrgentMode::kAllow, {}, absl::Hours(4), absl::Hours(40), false};
  EXPECT_EQ(EffectiveMinAge(plan, plan.rings[0], "content", true), absl::Minutes(30));
  EXPECT_EQ(EffectiveSoak(plan, plan.rings[0], true), absl::Hours(1));
}

TEST(UrgentTest, AFreezeHoldsForItToo) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.urgent = Urgent{UrgentMode::kAllow, {}, std::nullopt, std::nullopt, true};
  plan.freezes = {{kNow, kNow + absl::Hours(1), "r", "o", {}}};
  Release release = MakeRelease();
  release.urgent = true;
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kNone, kNow), Reason::kFrozen);
}

// ---- eligibility

Labels Host() {
  return MakeLabels({{"ring", "all"}, {"platform", "windows"}, {"os", "win11"}});
}

TEST(PassingReasonTest, ConsentComesBeforeTheCalendar) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.rings[0].approval = Approval::kExplicit;
  plan.freezes = {{kNow, kNow + absl::Hours(1), "r", "o", {}}};
  const Release release = MakeRelease();
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kNone, kNow), Reason::kApproval);
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kDenied, kNow), Reason::kDenied);
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kApproved, kNow), Reason::kFrozen);
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kApproved, kNow + absl::Hours(1)), Reason::kNone);
  plan.rings[0].approval = Approval::kAuto;
  EXPECT_EQ(PassingReason(plan, 0, release, Consent::kDenied, kNow + absl::Hours(1)), Reason::kNone)
      << "nobody was asked";
}

TEST(GateTest, AClosedWindowNamesTheMinuteInWhichAllOfTheCalendarOpens) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.rings[0].windows = {{{Weekday::kSaturday}, 120, 360, "UTC"}};
  Moment moment;
  moment.now = absl::FromCivil(absl::CivilHour(2026, 11, 20, 12), absl::UTCTimeZone());
  const Eligibility answer = Evaluate(plan, Host(), MakeRelease(), moment);
  EXPECT_EQ(answer.reason, Reason::kWindow);
  EXPECT_EQ(answer.next, absl::FromCivil(absl::CivilHour(2026, 11, 21, 2), absl::UTCTimeZone()));
  for (const GateAnswer& gate : answer.gates) {
    if (gate.gate == Reason::kWindow) {
      EXPECT_EQ(gate.opens_by, "time");
      EXPECT_EQ(gate.detail, "sat 02:00-06:00 UTC");
    }
  }
}

TEST(GateTest, WhatAPersonHasToOpenSaysSo) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.rings[0].approval = Approval::kExplicit;
  Moment moment;
  moment.now = kNow;
  Eligibility answer = Evaluate(plan, Host(), MakeRelease(), moment);
  EXPECT_EQ(answer.reason, Reason::kApproval);
  EXPECT_EQ(answer.next, absl::InfiniteFuture());
  moment.consent = Consent::kDenied;
  EXPECT_EQ(Evaluate(plan, Host(), MakeRelease(), moment).reason, Reason::kDenied);
  moment.consent = Consent::kApproved;
  EXPECT_TRUE(Evaluate(plan, Host(), MakeRelease(), moment).eligible());
  moment.barrier = "7.5";
  answer = Evaluate(plan, Host(), MakeRelease(), moment);
  EXPECT_EQ(answer.reason, Reason::kBarrier);
  plan.deny = {{std::nullopt, "content", "7.7", "bricked the lab", "Ann"}};
  answer = Evaluate(plan, Host(), MakeRelease(), moment);
  EXPECT_EQ(answer.reason, Reason::kDenied);
}

// ---- validation

std::vector<std::string> After(const std::function<void(Plan&)>& spoil) {
  Plan plan = MakePlan({MakeRing("canary"), MakeRing("broad", 1)});
  plan.zone = "Europe/Berlin";
  plan.freezes = {{kNow, kNow + absl::Hours(1), "r", "o", {{"canary"}, {"content"}}}};
  plan.blackouts = {{"12-24", "", "r", "o", {}}};
  plan.deny = {{std::nullopt, "content", "7.1", "r", "o"}};
  plan.rings[0].windows = {{{Weekday::kSunday}, 0, 1440, ""}};
  plan.urgent = Urgent{UrgentMode::kAllow, {"canary"}, absl::Hours(1), absl::Minutes(9), true};
  spoil(plan);
  std::vector<std::string> paths;
  for (const Fault& fault : Validate(plan)) {
    paths.push_back(fault.path);
    EXPECT_FALSE(fault.found.empty()) << fault.path;
    EXPECT_FALSE(fault.wanted.empty()) << fault.path;
  }
  return paths;
}

TEST(PlanLanguageValidationTest, TheWholeLanguageIsLegal) {
  EXPECT_THAT(After([](Plan&) {}), IsEmpty());
}

TEST(PlanLanguageValidationTest, EveryFaultIsNamedAtOnceWithItsPlace) {
  EXPECT_THAT(
      After([](Plan& p) {
        p.zone = "Berlin";
        p.rings[0].windows = {{{Weekday::kSunday, Weekday::kSunday}, 1440, 0, "Mars/Olympus"},
                              {{static_cast<Weekday>(9)}, 60, 70, ""}};
        p.rings[1].approval = static_cast<Approval>(7);
        p.rings[1].channels = {{"nowhere", 3, -absl::Hours(1), static_cast<Approval>(0), {}}};
        p.freezes[0] = {kNow, kNow, "", std::string(200, 'o'), {{"nobody", "canary", "canary"}, {"x"}}};
        p.blackouts[0] = {"13-01", "Here", "r", "o", {}};
        p.deny = {{Digest{}, "content", "", "r", "o"}, {std::nullopt, "x", "", "", ""}};
        p.urgent = Urgent{static_cast<UrgentMode>(0), {"who"}, -absl::Hours(1), absl::Hours(9999), true};
      }),
      ElementsAre("zone", "rings[0].windows[0].days[1]", "rings[0].windows[0].from", "rings[0].windows[0].to",
                  "rings[0].windows[0].zone", "rings[0].windows[1].days[0]", "rings[0].windows[1].to",
                  "rings[1].approval", "rings[1].channels[0].channel", "rings[1].channels[0].lag",
                  "rings[1].channels[0].min_age", "rings[1].channels[0].approval", "freezes[0].to",
                  "freezes[0].reason", "freezes[0].owner", "freezes[0].rings[0]", "freezes[0].rings[2]",
                  "freezes[0].channels[0]", "blackouts[0].date", "blackouts[0].zone", "deny[0]",
                  "deny[1].channel", "deny[1].version", "deny[1].reason", "deny[1].owner", "urgent.mode",
                  "urgent.rings[0]", "urgent.min_age", "urgent.soak"));
}

TEST(PlanLanguageValidationTest, ARangeHasAnInsideAndBelongsToFollow) {
  EXPECT_THAT(After([](Plan& p) { p.channels[0].from_version = p.channels[0].below_version = "7.1"; }),
              ElementsAre("channels[0].below"));
  EXPECT_THAT(After([](Plan& p) {
                p.channels[0].mode = ChannelMode::kPaused;
                p.channels[0].from_version = "7.1";
                p.channels[0].below_version = "7.2";
                p.channels[0].barriers = {"", "a", "a"};
              }),
              ElementsAre("channels[0].from", "channels[0].below", "channels[0].barriers[0]",
                          "channels[0].barriers[2]"));
}

TEST(PlanLanguageValidationTest, NotifyMeansThatNothingIsFaster) {
  EXPECT_THAT(After([](Plan& p) {
                p.urgent->mode = UrgentMode::kNotify;
                p.urgent_soak_factor = Ppm(500'000);
              }),
              ElementsAre("urgent.rings", "urgent.min_age", "urgent.soak", "urgent.outside_windows",
                          "urgent_soak_factor"));
}

TEST(PlanLanguageValidationTest, AFreezeNeedsATimeThatCanBeStored) {
  EXPECT_THAT(After([](Plan& p) { p.freezes[0].from = absl::InfinitePast(); }),
              ElementsAre("freezes[0].from"));
  EXPECT_THAT(After([](Plan& p) { p.freezes[0].to = absl::InfiniteFuture(); }), ElementsAre("freezes[0].to"));
}

// ---- warnings

TEST(PlanLanguageWarningsTest, AFreezeThatIsOver) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.freezes = {{kNow - absl::Hours(2), kNow - absl::Hours(1), "Easter", "o", {}}};
  EXPECT_THAT(Warnings(plan, kNow), Contains(HasSubstr("Easter")));
  EXPECT_THAT(Warnings(plan, kNow - absl::Hours(1) - absl::Seconds(1)),
              testing::Not(Contains(HasSubstr("Easter"))));
}

TEST(PlanLanguageWarningsTest, WindowsThatMakeEveryWaveWait) {
  Plan plan = MakePlan({MakeRing("all")});  // three waves of one hour
  plan.rings[0].windows = {{{Weekday::kSaturday}, 120, 180, "UTC"}};
  EXPECT_THAT(Warnings(plan, kNow), Contains(HasSubstr("its 3 waves need at least 21 days")));
  plan.rings[0].windows[0].to = 360;
  EXPECT_THAT(Warnings(plan, kNow), testing::Not(Contains(HasSubstr("waves need"))));
}

TEST(PlanLanguageWarningsTest, APinOrABarrierThatIsDenied) {
  Plan plan = MakePlan({MakeRing("all")});
  plan.channels = {PinTo("content", "7.1"), MakeRule("sensor")};
  plan.channels[1].barriers = {"7.2"};
  plan.deny = {{std::nullopt, "content", "7.1", "r", "o"}, {std::nullopt, "sensor", "7.2", "r", "o"}};
  EXPECT_THAT(Warnings(plan), Contains(HasSubstr("pinned to 7.1, which the deny list bars")));
  EXPECT_THAT(Warnings(plan), Contains(HasSubstr("is a barrier and denied")));
}

}  // namespace
}  // namespace ringfence::policy
