#include "server/app/soak_watch.h"

#include <map>
#include <random>
#include <set>

#include "gtest/gtest.h"
#include "server/app/release_state.h"
#include "tests/support/seed.h"

namespace ringfence::app {
namespace {

constexpr FleetNanos kSecondNanos = 1'000'000'000;
constexpr FleetNanos kSoak = 3600 * kSecondNanos;
constexpr FleetNanos kGap = 300 * kSecondNanos;

// Hosts that are heard when the test says so, and what the watch told of them.
struct Watched {
  Watched() { watch.SetTiming(kSoak, kGap); }
  void Advance(FleetNanos now) {
    watch.Advance(now, {[&](HostRef host) { return heard[host]; }, [&](HostRef host) { ++gaps[host]; },
                        [&](HostRef host, Stage* waited_in) {
                          ++ended[host];
                          if (waited_in != nullptr) ++waited[host];
                        }});
  }
  SoakWatch watch;
  std::map<HostRef, FleetNanos> heard;
  std::map<HostRef, int> gaps, ended, waited;
};

TEST(SoakWatchTest, APhantomWaitsUntilItsSoakIsOverAndAnExposedHostDoesNot) {
  Stage stage;
  Watched hosts;
  hosts.watch.Open(1, true, &stage, 0);
  hosts.watch.Open(2, false, &stage, 0);
  EXPECT_EQ(hosts.watch.WaitsUntil(1), kSoak);
  EXPECT_EQ(hosts.watch.WaitsUntil(2), 0);
  EXPECT_EQ(hosts.watch.WaitingIn(&stage), 1);
  for (FleetNanos now = 0; now < kSoak; now += 60 * kSecondNanos) {
    hosts.heard[1] = hosts.heard[2] = now;
    hosts.Advance(now);
  }
  EXPECT_TRUE(hosts.ended.empty());
  hosts.heard[1] = hosts.heard[2] = kSoak;
  hosts.Advance(kSoak);
  EXPECT_EQ(hosts.ended[1], 1);
  EXPECT_EQ(hosts.waited[1], 1);
  EXPECT_EQ(hosts.waited[2], 0);
  EXPECT_EQ(hosts.watch.WaitingIn(&stage), 0);
  EXPECT_TRUE(hosts.gaps.empty());
}

TEST(SoakWatchTest, AHostIsMissedOnceAndOnlyIfTheGapIsWholeBeforeTheEnd) {
  Stage stage;
  Watched hosts;
  for (const HostRef host : {1u, 2u, 3u}) hosts.watch.Open(host, host == 1, &stage, 0);
  for (FleetNanos now = 0; now <= kSoak; now += 10 * kSecondNanos) {
    // 1 falls silent at once, 2 just early enough, 3 a little too late.
    if (now <= kSoak - kGap) hosts.heard[2] = now;
    if (now <= kSoak - kGap + 60 * kSecondNanos) hosts.heard[3] = now;
    hosts.Advance(now);
  }
  EXPECT_EQ(hosts.gaps[1], 1);
  EXPECT_EQ(hosts.gaps[2], 1);
  EXPECT_EQ(hosts.gaps.count(3), 0u);
  EXPECT_EQ(hosts.ended.size(), 3u);
}

TEST(SoakWatchTest, WhatIsOpenIsVoidAfterClear) {
  Stage stage;
  Watched hosts;
  hosts.watch.Open(1, true, &stage, 0);
  hosts.watch.Clear();
  EXPECT_EQ(hosts.watch.WaitsUntil(1), 0);
  EXPECT_EQ(hosts.watch.WaitingIn(&stage), 0);
  hosts.Advance(2 * kSoak);
  EXPECT_TRUE(hosts.gaps.empty());
  EXPECT_TRUE(hosts.ended.empty());
}

// Random draws and check-ins: each spell that is not replaced ends once, is missed at most once, and
// whether it is a phantom changes nothing of that.
TEST(SoakWatchTest, BothArmsAreWatchedAlike) {
  std::mt19937_64 random(test::Seed(3));
  for (int round = 0; round < 200; ++round) {
    Stage stage;
    Watched as_phantoms, as_exposed;
    std::map<HostRef, int> opened;
    FleetNanos now = 0;
    for (int step = 0; step < 200; ++step) {
      now += static_cast<FleetNanos>(random() % 120) * kSecondNanos;
      for (HostRef host = 0; host < 8; ++host) {
        if (random() % 3 == 0) as_phantoms.heard[host] = as_exposed.heard[host] = now;
        if (random() % 60 != 0 || as_phantoms.watch.WaitsUntil(host) != 0) continue;
        as_phantoms.heard[host] = as_exposed.heard[host] = now;
        ++opened[host];
        as_phantoms.watch.Open(host, true, &stage, now);
        as_exposed.watch.Open(host, false, &stage, now);
      }
      as_phantoms.Advance(now);
      as_exposed.Advance(now);
      ASSERT_EQ(as_phantoms.gaps, as_exposed.gaps);
      ASSERT_EQ(as_phantoms.ended, as_exposed.ended);
    }
    as_phantoms.Advance(now + 2 * kSoak);
    ASSERT_EQ(as_phantoms.ended, opened);
    for (const auto& [host, gaps] : as_phantoms.gaps) ASSERT_LE(gaps, opened[host]);
    ASSERT_EQ(as_phantoms.watch.WaitingIn(&stage), 0);
    ASSERT_EQ(as_phantoms.watch.open(), 0u);
  }
}

}  // namespace
}  // namespace ringfence::app
