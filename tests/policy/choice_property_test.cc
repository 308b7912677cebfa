// Invariant 3 of the product, over random plans and histories: no ring is skipped, whatever the lag, pin or
// stream.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/policy/choice.h"
#include "tests/policy/builders.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'721'361'600);

Plan RandomPlan(std::mt19937_64& random) {
  Plan plan;
  plan.tenant = "acme";
  plan.channels = {MakeRule("content", static_cast<int>(Chance(random, 0.3) ? Pick(random, 0, 2) : 0))};
  if (Chance(random, 0.1)) plan.channels[0].mode = ChannelMode::kPaused;
  if (Chance(random, 0.1)) {
    plan.channels[0].mode = ChannelMode::kPinned;
    plan.channels[0].pinned_version = absl::StrCat("v", Pick(random, 1, 8));
  }
  const int64_t rings = Pick(random, 1, 6);
  for (int64_t i = 0; i < rings; ++i) {
    plan.rings.push_back(MakeRing(absl::StrCat("r", i), static_cast<int>(Pick(random, 0, 2))));
    if (Chance(random, 0.3)) plan.rings.back().min_age = absl::Hours(Pick(random, 0, 48));
  }
  return plan;
}

std::vector<ReleaseProgress> RandomReleases(std::mt19937_64& random, size_t rings) {
  std::vector<ReleaseProgress> releases;
  const int64_t count = Pick(random, 0, 8);
  for (int64_t serial = 1; serial <= count; ++serial) {
    ReleaseProgress progress = Travelled(static_cast<uint64_t>(serial), static_cast<int>(rings));
    progress.stopped = Chance(random, 0.2);
    progress.internal_passed = Chance(random, 0.8);
    progress.healthy_age = absl::Hours(Pick(random, 0, 72));
    progress.age = progress.healthy_age + absl::Hours(Pick(random, 0, 24));
    for (size_t i = 0; i < rings; ++i) progress.ring_passed[i] = Chance(random, 0.7);
    if (Chance(random, 0.1))
      progress.ring_passed.resize(static_cast<size_t>(Pick(random, 0, static_cast<int64_t>(rings))));
    releases.push_back(progress);
  }
  return releases;
}

// Has `release` passed every ring before `ring` whose lag is not larger? Said anew, in the words of the
// invariant.
bool MayEnter(const Plan& plan, int ring, const ReleaseProgress& release) {
  const ChannelRule& rule = plan.channels[0];
  for (int i = 0; i < ring; ++i) {
    if (EffectiveLag(plan.rings[i], rule) > EffectiveLag(plan.rings[ring], rule)) continue;
    if (static_cast<size_t>(i) >= release.ring_passed.size() || !release.ring_passed[i]) return false;
  }
  return release.internal_passed && !release.stopped;
}

TEST(ChoicePropertyTest, AReleaseNeverEntersARingBeforeItPassedEveryEarlierRingWhoseLagIsNotLarger) {
  std::mt19937_64 random(test::Seed(20240719));
  int chosen = 0;
  for (int i = 0; i < 20'000; ++i) {
    SCOPED_TRACE(absl::StrCat("history ", i));
    const Plan plan = RandomPlan(random);
    const std::vector<ReleaseProgress> releases = RandomReleases(random, plan.rings.size());
    const int ring = static_cast<int>(Pick(random, 0, static_cast<int64_t>(plan.rings.size()) - 1));
    const bool first_of_internal = Chance(random, 0.3);
    const Choice choice = ChooseRelease(plan, ring, "content", releases, first_of_internal, kNow);
    ASSERT_EQ(choice.serial.has_value(), choice.reason == Reason::kNone);
    ASSERT_GE(choice.revisit_at, kNow);
    if (!choice.serial.has_value()) continue;
    ++chosen;
    const ReleaseProgress& release = releases.at(*choice.serial - 1);
    ASSERT_TRUE(MayEnter(plan, ring, release));
    ASSERT_NE(plan.channels[0].mode, ChannelMode::kPaused);
    if (plan.channels[0].mode == ChannelMode::kPinned) {
      ASSERT_EQ(release.version, plan.channels[0].pinned_version);
    }
    ASSERT_GE(first_of_internal && ring == 0 ? release.age : release.healthy_age, plan.rings[ring].min_age);
    // As many newer ones as the lag asks for stand ahead of it.
    int64_t ahead = 0;
    for (const ReleaseProgress& newer : releases) {
      if (newer.serial > release.serial && !newer.stopped && newer.internal_passed) ++ahead;
    }
    ASSERT_GE(ahead, EffectiveLag(plan.rings[ring], plan.channels[0]));
  }
  EXPECT_GT(chosen, 2'000);  // the property was not met by choosing nothing
}

// Stopping or delaying a release never brings a ring a newer one than before.
TEST(ChoicePropertyTest, BadNewsOfOneReleaseNeverHurriesARing) {
  std::mt19937_64 random(test::Seed(20240719) + 1);
  for (int i = 0; i < 20'000; ++i) {
    const Plan plan = RandomPlan(random);
    std::vector<ReleaseProgress> releases = RandomReleases(random, plan.rings.size());
    if (releases.empty()) continue;
    const int ring = static_cast<int>(Pick(random, 0, static_cast<int64_t>(plan.rings.size()) - 1));
    const Choice before = ChooseRelease(plan, ring, "content", releases, false, kNow);
    ReleaseProgress& worse =
        releases[static_cast<size_t>(Pick(random, 0, static_cast<int64_t>(releases.size()) - 1))];
    switch (Pick(random, 0, 3)) {
      case 0:
        worse.stopped = true;
        break;
      case 1:
        worse.internal_passed = false;
        break;
      case 2:
        worse.ring_passed.clear();
        break;
      case 3:
        worse.healthy_age = worse.age = absl::ZeroDuration();
        break;
    }
    const Choice after = ChooseRelease(plan, ring, "content", releases, false, kNow);
    ASSERT_LE(after.serial.value_or(0), before.serial.value_or(0)) << "history " << i;
  }
}

// A whole tenant: rings follow their choice, finish it, and take the next.
class Tenant {
 public:
  explicit Tenant(const Plan& plan) : plan_(plan), working_on_(plan.rings.size(), 0) {}

  void Publish() {
    releases_.push_back(Travelled(releases_.size() + 1, 0)),
        releases_.back().ring_passed.resize(plan_.rings.size());
  }

  // The ring finishes what it works on (it passed, or nothing was there), or takes its next choice.
  void Step(size_t ring, bool finish) {
    uint64_t& working = working_on_[ring];
    if (finish && working != 0) releases_[working - 1].ring_passed[ring] = true;
    if (working != 0 && !releases_[working - 1].ring_passed[ring]) return;
    const Choice choice = ChooseRelease(plan_, static_cast<int>(ring), "content", releases_, false, kNow);
    if (!choice.serial.has_value() || *choice.serial <= working) return;
    ASSERT_TRUE(MayEnter(plan_, static_cast<int>(ring), releases_[*choice.serial - 1]));
    working = *choice.serial;
  }

  void Settle() {
    for (size_t round = 0; round < 3 * plan_.rings.size() + 3; ++round) {
      for (size_t ring = 0; ring < plan_.rings.size(); ++ring) Step(ring, true);
    }
  }

  uint64_t working_on(size_t ring) const { return working_on_[ring]; }
  uint64_t newest() const { return releases_.size(); }

 private:
  const Plan& plan_;
  std::vector<ReleaseProgress> releases_;
  std::vector<uint64_t> working_on_;
};

TEST(ChoicePropertyTest, WhereEachReleaseSettlesBeforeTheNextEveryRingRunsExactlyItsLagBehind) {
  std::mt19937_64 random(test::Seed(20240719) + 2);
  for (int i = 0; i < 300; ++i) {
    Plan plan = RandomPlan(random);
    plan.channels[0].mode = ChannelMode::kFollow;
    plan.channels[0].pinned_version.clear();
    Tenant tenant(plan);
    for (int release = 0; release < 8; ++release) {
      tenant.Publish();
      tenant.Settle();
    }
    for (size_t ring = 0; ring < plan.rings.size(); ++ring) {
      const auto lag = static_cast<uint64_t>(EffectiveLag(plan.rings[ring], plan.channels[0]));
      ASSERT_EQ(tenant.working_on(ring), tenant.newest() - lag) << "plan " << i << " ring " << ring;
    }
  }
}

// A ring that waits for a lagging ring and for a leading one after it: the two may skip different releases
// for long, and Warnings says so.
bool HasUnlikeLeaders(const Plan& plan) {
  const ChannelRule& rule = plan.channels[0];
  const auto lag = [&](size_t ring) { return EffectiveLag(plan.rings[ring], rule); };
  for (size_t last = 2; last < plan.rings.size(); ++last) {
    for (size_t first = 0; first < last; ++first) {
      for (size_t between = first + 1; between < last; ++between) {
        if (lag(between) < lag(first) && lag(first) <= lag(last)) return true;
      }
    }
  }
  return false;
}

TEST(ChoicePropertyTest, InAStreamFasterThanTheRingsNoRingIsEverCloserThanItsLagAndAllMoveOn) {
  std::mt19937_64 random(test::Seed(20240719) + 3);
  for (int i = 0; i < 300; ++i) {
    Plan plan = RandomPlan(random);
    plan.channels[0].mode = ChannelMode::kFollow;
    plan.channels[0].pinned_version.clear();
    Tenant tenant(plan);
    for (int step = 0; step < 400; ++step) {
      if (Chance(random, 0.3)) tenant.Publish();
      const size_t ring = static_cast<size_t>(Pick(random, 0, static_cast<int64_t>(plan.rings.size()) - 1));
      if (tenant.newest() == 0) continue;
      tenant.Step(ring, Chance(random, 0.3));
      const auto lag = static_cast<uint64_t>(EffectiveLag(plan.rings[ring], plan.channels[0]));
      if (tenant.working_on(ring) != 0) {
        ASSERT_LE(tenant.working_on(ring) + lag, tenant.newest());
      }
    }
    if (HasUnlikeLeaders(plan)) continue;
    for (size_t ring = 0; ring < plan.rings.size(); ++ring) {
      ASSERT_GT(tenant.working_on(ring), 0u) << "plan " << i;
    }
  }
}

}  // namespace
}  // namespace ringfence::policy
