// Late joiners, sleepers, movers: what a host is told is today's verdict, for what it is today.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using app::DirectiveKind;
using policy::Reason;
using storage::Scope;

class MoversTest : public testing::Test {
 protected:
  MoversTest() : fleet(Calm()) {}
  // Weeks go by here.
  static FleetHarness::Options Calm() {
    FleetHarness::Options options;
    options.step = absl::Seconds(45);
    return options;
  }
  void Begin(int hosts, std::vector<policy::Ring> rings) {
    fleet.AddRing("vendor", rings[0].name, hosts);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", std::move(rings)));
  }
  bool Told(int host, DirectiveKind kind, const policy::Release& release) {
    for (const app::Directive& directive : fleet.host(host).directives) {
      if (directive.kind == kind && directive.digest == release.digest) return true;
    }
    return false;
  }
  Reason Asked(int host, const policy::Release& release) {
    const auto reply = fleet.AskLease(host, "content", release.digest);
    return !reply.ok() ? Reason::kNoRelease : reply->granted ? Reason::kNone : reply->reason;
  }
  bool Settles(const policy::Release& release, int64_t hosts) {
    return fleet.RunUntil([&] { return fleet.Running(release.digest) >= hosts; }, absl::Hours(48));
  }
  FleetHarness fleet;
};

TEST_F(MoversTest, AHostThatSleptForThreeWeeksIsToldOfTodaysReleaseAlone) {
  Begin(12, {RingNamed("dogfood")});
  const policy::Release then = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.host(11).staged.contains(then.digest); }, absl::Hours(2)));
  fleet.host(11).away = true;  // staged, and perhaps told to ask: then the lid closes
  const bool had_it = fleet.host(11).activated_at.contains(then.digest);
  ASSERT_TRUE(Settles(then, had_it ? 12 : 11));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"", "content", then.serial, ""}).ok());
  const policy::Release today = fleet.Publish();
  ASSERT_TRUE(Settles(today, 11));
  fleet.RunFor(absl::Hours(24 * 21));
  fleet.WakeUp(11);
  fleet.RunFor(absl::Minutes(2));
  EXPECT_FALSE(Told(11, DirectiveKind::kPrefetch, then));
  EXPECT_FALSE(Told(11, DirectiveKind::kRequestLease, then));
  EXPECT_EQ(Asked(11, then), Reason::kHalted);
  EXPECT_TRUE(Settles(today, 12));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(MoversTest, AHostThatIsRelabelledIsJudgedAnewInTheSameAnswer) {
  Begin(8, {RingNamed("dogfood")});
  const policy::Release release = fleet.Publish();
  int mover = -1;
  ASSERT_TRUE(fleet.RunUntil(
      [&] {
        for (int i = 0; i < 8; ++i) {
          if (Told(i, DirectiveKind::kRequestLease, release) && Asked(i, release) != Reason::kNone) mover = i;
        }
        return mover >= 0;
      },
      absl::Hours(2)));
  fleet.Relabel(mover, {{"ring", "nowhere"}, {"os", "win10"}});
  fleet.host(mover).send_labels = true;
  fleet.CheckInNow(mover);
  EXPECT_THAT(fleet.host(mover).directives, testing::IsEmpty());
  EXPECT_EQ(Asked(mover, release), Reason::kNoRing);
  fleet.Relabel(mover, {{"ring", "dogfood"}, {"os", "win10"}});
  fleet.host(mover).send_labels = true;
  fleet.CheckInNow(mover);
  EXPECT_NE(Asked(mover, release), Reason::kNoRing);
}

TEST_F(MoversTest, APlanThatTurnsItsRingsRoundInTheMiddleLeavesNoHostBehind) {
  fleet.AddRing("vendor", "a", 8);
  Begin(8, {RingNamed("b"), RingNamed("a")});
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 2; }, absl::Hours(12)));
  fleet.Apply(PlanOf("vendor", {RingNamed("a"), RingNamed("b")}));
  ASSERT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("vendor", "a", release.digest) >= 2; }, absl::Hours(24)));
  fleet.Apply(PlanOf("vendor", {RingNamed("b"), RingNamed("a")}));
  EXPECT_TRUE(Settles(release, 16));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(MoversTest, TwoChannelsWhoseRingsWaitForEachOthersHostsDoNotLockThem) {
  fleet.AddRing("vendor", "a", 6);
  for (SimHost& host : fleet.hosts()) host.running["sensor"] = FleetHarness::Factory("sensor");
  policy::Ring first = RingNamed("a"), second = RingNamed("b");
  // Content goes a, then b; of the sensor, ring a lags behind b.
  policy::RingRule lags;
  lags.channel = "sensor";
  lags.lag = 1;
  first.channels = {lags};
  fleet.AddRing("vendor", "b", 6);
  fleet.Start();
  policy::Plan plan = PlanOf("vendor", {first, second});
  plan.channels.push_back(plan.channels[0]);
  plan.channels.back().channel = "sensor";
  fleet.Apply(plan);
  const policy::Release content = fleet.Publish("content"), sensor = fleet.Publish("sensor");
  EXPECT_TRUE(Settles(content, 12));
  EXPECT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("vendor", "b", sensor.digest) == 6; }, absl::Hours(48)));
  const policy::Release newer = fleet.Publish("sensor");
  EXPECT_TRUE(fleet.RunUntil(
      [&] {
        return fleet.RunningIn("vendor", "b", newer.digest) == 6 &&
               fleet.RunningIn("vendor", "a", sensor.digest) == 6;
      },
      absl::Hours(96)));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(MoversTest, TheFirstToTakeAReleaseAreOthersEachTime) {
  Begin(24, {RingNamed("dogfood")});
  std::map<size_t, int> first;
  constexpr int kReleases = 8;
  for (int i = 0; i < kReleases; ++i) {
    const policy::Release release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 3; }, absl::Hours(12)));
    for (size_t host = 0; host < fleet.hosts().size(); ++host) {
      if (fleet.hosts()[host].activated_at.contains(release.digest)) ++first[host];
    }
    ASSERT_TRUE(Settles(release, 24));
  }
  EXPECT_GT(first.size(), 10U) << "the same few hosts are the guinea pigs each time";
  for (const auto& [host, times] : first) EXPECT_LT(times, kReleases / 2 + 2) << "host " << host;
}

}  // namespace
}  // namespace ringfence::test
