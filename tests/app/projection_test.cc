// A preview's projection against what the engine then does, under a virtual clock, when nothing goes wrong.
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/customers_only.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/seed.h"

namespace ringfence::test {
namespace {

using policy::Projection;
using policy::Reason;

using Wave = std::tuple<std::string, uint64_t, int>;  // ring, serial, index
using Openings = std::map<Wave, absl::Time>;

Openings Projected(const Projection& projection) {
  Openings openings;
  for (const policy::ProjectedRing& ring : projection.rings) {
    for (const policy::ProjectedWave& wave : ring.waves)
      openings[{ring.ring, wave.serial, wave.wave}] = wave.opens;
  }
  return openings;
}

// Lets time pass and notes when waves open.
Openings Observed(FleetHarness& fleet, const policy::Plan& plan, uint64_t releases, absl::Duration time) {
  Openings openings;
  const absl::Time end = fleet.now() + time;
  fleet.RunUntil(
      [&] {
        for (const policy::Ring& ring : plan.rings) {
          for (uint64_t serial = 1; serial <= releases; ++serial) {
            const storage::StageRow* row = fleet.StageOf(plan.tenant, ring.name, serial);
            if (row == nullptr || row->wave_opened_at == absl::InfinitePast()) continue;
            openings.try_emplace({ring.name, serial, row->wave}, row->wave_opened_at);
          }
        }
        return fleet.now() >= end;
      },
      time + absl::Hours(1));
  return openings;
}

std::string Show(const Openings& openings, absl::Time from) {
  std::string out;
  for (const auto& [wave, at] : openings) {
    const auto& [ring, serial, index] = wave;
    absl::StrAppend(&out, ring, "/", serial, " wave ", index, " +", absl::FormatDuration(at - from), "\n");
  }
  return out;
}

// Every wave that the engine opened was foreseen, to within a check-in, and the other way round.
void ExpectSame(const Openings& projected, const Openings& observed, absl::Time from, absl::Time end,
                absl::Duration within) {
  for (const auto& [wave, at] : observed) {
    const auto found = projected.find(wave);
    ASSERT_NE(found, projected.end())
        << "not foreseen: " << std::get<0>(wave) << "/" << std::get<1>(wave) << "\n"
        << Show(projected, from) << "-- but\n"
        << Show(observed, from);
    EXPECT_LE(absl::AbsDuration(found->second - at), within)
        << std::get<0>(wave) << "/" << std::get<1>(wave) << " wave " << std::get<2>(wave) << "\n"
        << Show(projected, from) << "-- but\n"
        << Show(observed, from);
  }
  for (const auto& [wave, at] : projected) {
    if (at >= end - within) continue;
    EXPECT_TRUE(observed.contains(wave)) << Show(projected, from) << "-- but\n" << Show(observed, from);
  }
}

class ProjectionTest : public testing::Test {
 protected:
  policy::Plan Begin(policy::Plan plan, int hosts, int releases) {
    for (const policy::Ring& ring : plan.rings) fleet.AddRing("acme", ring.name, hosts);
    fleet.Start();
    fleet.Apply(plan);
    for (int i = 0; i < releases; ++i) fleet.Publish();
    return plan;
  }
  Projection Preview(const policy::Plan& plan) { return fleet.app().PreviewPlan(plan).projected_then.at(0); }
  FleetHarness fleet{CustomersOnly()};
};

TEST_F(ProjectionTest, RingsOpenOneAfterTheOtherWhenTheirSoaksAreOver) {
  policy::Ring canary = RingNamed("canary", {0.2, 1}), rest = RingNamed("rest", {0.1, 0.5, 1});
  canary.soak = absl::Hours(3);
  rest.soak = absl::Hours(5);
  const policy::Plan plan = Begin(PlanOf("acme", {canary, rest}), 20, 1);
  const absl::Time from = fleet.now();
  const Projection projection = Preview(plan);
  EXPECT_EQ(projection.rings[0].hosts, 20);
  EXPECT_EQ(projection.rings[0].waves[0].hosts, 4);
  EXPECT_EQ(projection.exposure.at(0).points.back().hosts, 40);
  EXPECT_EQ(projection.rings[1].holds.at(0).reason, Reason::kEarlierRingNotPassed);
  EXPECT_EQ(projection.rings[1].holds.at(0).detail, "after ring canary");
  const Openings seen = Observed(fleet, plan, 1, absl::Hours(30));
  EXPECT_EQ(seen.size(), 5u);
  ExpectSame(Projected(projection), seen, from, from + absl::Hours(30), absl::Minutes(1));
}

TEST_F(ProjectionTest, WindowsAndFreezesAreWaitedForAndNamed) {
  policy::Ring canary = RingNamed("canary"), rest = RingNamed("rest", {0.5, 1});
  canary.soak = rest.soak = absl::Hours(3);
  policy::Window night;
  night.from = 3 * 60;
  night.to = 6 * 60;
  rest.windows = {night};
  policy::Plan plan = PlanOf("acme", {canary, rest});
  const absl::Time start = fleet.now();
  plan.freezes.push_back(
      {start + absl::Hours(6), start + absl::Hours(80), "stock taking", "ana", {{"rest"}, {}}});
  Begin(plan, 12, 1);
  const absl::Time from = fleet.now();
  const Projection projection = Preview(plan);
  std::set<Reason> reasons;
  for (const policy::ProjectedHold& hold : projection.rings[1].holds) reasons.insert(hold.reason);
  EXPECT_THAT(reasons,
              testing::IsSupersetOf({Reason::kEarlierRingNotPassed, Reason::kWindow, Reason::kFrozen}));
  ExpectSame(Projected(projection), Observed(fleet, plan, 1, absl::Hours(24 * 7)), from,
             from + absl::Hours(24 * 7), absl::Minutes(1));
}

TEST_F(ProjectionTest, ALaggingRingWaitsForTheNextReleaseAndSaysSo) {
  policy::Ring lead = RingNamed("lead"), late = RingNamed("late", {1}, 1);
  lead.soak = late.soak = absl::Hours(5);
  const policy::Plan plan = Begin(PlanOf("acme", {lead, late}), 10, 1);
  const Projection one = Preview(plan);
  EXPECT_TRUE(one.rings[1].waves.empty());
  EXPECT_EQ(one.rings[1].holds.back().reason, Reason::kNothingToLag);
  EXPECT_EQ(one.rings[1].holds.back().until, absl::InfiniteFuture());
  fleet.RunFor(absl::Hours(6));
  fleet.Publish();
  const absl::Time from = fleet.now();
  Openings before = Projected(Preview(plan));
  Openings seen = Observed(fleet, plan, 2, absl::Hours(20));
  std::erase_if(seen, [&](const auto& one) { return one.second < from; });
  std::erase_if(before, [&](const auto& one) { return one.second < from; });
  EXPECT_TRUE(seen.contains({"late", 1, 0}));
  ExpectSame(before, seen, from, from + absl::Hours(20), absl::Minutes(1));
}

TEST_F(ProjectionTest, AMinimumAgeIsForeseenToWithinTheTimeThatHostsNeedToProveHealthy) {
  policy::Ring lead = RingNamed("lead"), late = RingNamed("late");
  lead.soak = late.soak = absl::Hours(2);
  late.min_age = absl::Hours(24);
  const policy::Plan plan = Begin(PlanOf("acme", {lead, late}), 30, 1);
  const absl::Time from = fleet.now();
  const Projection projection = Preview(plan);
  const auto age = std::find_if(projection.rings[1].holds.begin(), projection.rings[1].holds.end(),
                                [](const auto& hold) { return hold.reason == Reason::kMinAge; });
  ASSERT_NE(age, projection.rings[1].holds.end());
  ExpectSame(Projected(projection), Observed(fleet, plan, 1, absl::Hours(48)), from, from + absl::Hours(48),
             absl::Minutes(15));
}

TEST_F(ProjectionTest, AnApprovalKeepsARingForAsLongAsNobodySaysYes) {
  policy::Ring all = RingNamed("all");
  all.approval = policy::Approval::kExplicit;
  const policy::Plan plan = Begin(PlanOf("acme", {all}), 10, 1);
  const Projection projection = Preview(plan);
  ASSERT_EQ(projection.rings[0].holds.size(), 1u);
  EXPECT_EQ(projection.rings[0].holds[0].reason, Reason::kApproval);
  EXPECT_TRUE(projection.rings[0].waves.empty());
}

TEST_F(ProjectionTest, TodayAndThenDifferByWhatThePlanChanges) {
  policy::Ring all = RingNamed("all", {0.5, 1});
  all.soak = absl::Hours(4);
  policy::Plan plan = Begin(PlanOf("acme", {all}), 10, 1);
  fleet.RunFor(absl::Hours(1));
  plan.channels[0].mode = policy::ChannelMode::kPaused;
  const app::PreviewReply preview = fleet.app().PreviewPlan(plan);
  EXPECT_EQ(Projected(preview.projected_now.at(0)).size(), 2u);
  EXPECT_EQ(preview.projected_then.at(0).rings[0].holds.at(0).reason, Reason::kChannelPaused);
  EXPECT_EQ(Projected(preview.projected_then.at(0)).size(), 1u) << "the open wave only";
  ASSERT_EQ(preview.mix.size(), 1u);
  EXPECT_EQ(preview.mix[0].hosts, 10);
}

// Soaks and windows are long enough here for the draw's luck not to matter. The rule of the engine and the
// projection's are the same over random plans: rings in the same order, each wave within a check-in of the
// time foreseen for it.
TEST(ProjectionPropertyTest, TheEngineOpensWavesInTheOrderAndAtTheTimesForeseen) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const auto pick = [&](int least, int most) {
      return least + static_cast<int>(random() % static_cast<uint64_t>(most - least + 1));
    };
    FleetHarness::Options options = CustomersOnly();
    options.seed = seed;
    FleetHarness fleet(options);
    std::vector<policy::Ring> rings;
    const int count = pick(1, 4);
    for (int i = 0; i < count; ++i) {
      std::vector<double> waves{1.0};
      if (pick(0, 1) == 1) waves.insert(waves.begin(), 0.4);
      if (pick(0, 2) == 0) waves.insert(waves.begin(), 0.1);
      policy::Ring ring = RingNamed(absl::StrCat("ring-", i), waves, i > 0 && pick(0, 4) == 0 ? 1 : 0);
      ring.soak = absl::Minutes(pick(300, 600));
      if (pick(0, 2) == 0) {
        policy::Window window;
        window.from = pick(0, 1439);
        window.to = (window.from + pick(600, 1200)) % 1440;
        if (window.to == 0) window.to = 1440;
        ring.windows = {window};
      }
      rings.push_back(ring);
      fleet.AddRing("acme", ring.name, pick(3, 25));
    }
    const policy::Plan plan = PlanOf("acme", rings);
    fleet.Start();
    fleet.Apply(plan);
    const int releases = pick(1, 2);
    for (int i = 0; i < releases; ++i) fleet.Publish();
    const absl::Time from = fleet.now(), end = from + absl::Hours(24 * 6);
    const Projection projection = fleet.app().PreviewPlan(plan).projected_then.at(0);
    const Openings seen = Observed(fleet, plan, static_cast<uint64_t>(releases), end - from);
    EXPECT_FALSE(seen.empty());
    ExpectSame(Projected(projection), seen, from, end, absl::Minutes(1));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ringfence::test
