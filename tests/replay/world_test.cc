// The simulated fleet against a server that pushes to everybody: what hosts do must be what the scenario
// says.
#include "server/simulate/world.h"
#include "artifacts.h"

#include <gtest/gtest.h>

#include "bounds.h"
#include "server/simulate/stub_server.h"

namespace ringfence::replay {
namespace {

// 2000 hosts that are always on, one tenant, one ring, one release after a minute.
Scenario AlwaysOn() {
  Scenario scenario;
  scenario.id = "always-on";
  scenario.horizon = 4 * kHour;
  scenario.fleet.size = 2000;
  scenario.fleet.download = {Distribution::Kind::kUniform, 5, 30};
  scenario.fleet.activate_delay.a = 10;
  scenario.fleet.cohorts = {{"win", 0.5, {{"os", "win10"}}}, {"mac", 0.5, {{"os", "macos14"}}}};
  TenantSpec tenant;
  tenant.name = "corp";
  tenant.share = 1;
  scenario.fleet.tenants = {tenant};
  scenario.plan.channel = "content";
  scenario.plan.rings = {{"all", {}, 0, 0, true, {1}, kMinute}};
  ReleaseSpec release;
  release.id = "r1";
  release.channel = "content";
  release.version = "ch-1";
  release.at = kMinute;
  release.matrix = {policy::Selector()};
  scenario.releases = {release};
  return scenario;
}

FaultSpec Fault(Effect effect) {
  FaultSpec fault;
  fault.match.all_of = {{"os", {"win10"}}};
  fault.probability = 0.5;
  fault.delay = {Distribution::Kind::kUniform, 5, 90};
  fault.effect = effect;
  return fault;
}

// Runs it and keeps everything for questions afterwards.
struct Played {
  explicit Played(Scenario made, Micros withdraw_at = kNever)
      : scenario(std::move(made)),
        clock(WallAtStart()),
        server(MakePushToAllServer(&clock, absl::Seconds(60),
                                   withdraw_at == kNever ? absl::InfiniteFuture() : ToWall(withdraw_at), 1)),
        artifacts(scenario),
        world(scenario, *MakeFleet(scenario, 1, 1), server.get(), &clock, &artifacts, 1) {
    status = world.Run();
  }
  double Number(const std::string& metric) {
    Bound bound;
    bound.metric = metric;
    const ServerRecord record;
    return std::get<double>(Measure({scenario, world.fleet(), world.ledger(), record, nullptr}, bound).value);
  }

  Scenario scenario;
  ManualClock clock;
  std::unique_ptr<Server> server;
  Artifacts artifacts;
  World world;
  absl::Status status;
};

TEST(WorldTest, EveryHostChecksInOnceAMinute) {
  Played played(AlwaysOn());
  ASSERT_TRUE(played.status.ok());
  const double expected = 2000.0 * 4 * 60;
  // The attesting check-in after the activation comes on top, once per host.
  EXPECT_NEAR(static_cast<double>(played.world.ledger().checkins), expected + 2000, expected * 0.01);
}

TEST(WorldTest, EveryHostGetsAGoodReleaseAndNobodyIsHarmed) {
  Played played(AlwaysOn());
  EXPECT_EQ(played.Number("exposed_hosts"), 2000);
  EXPECT_EQ(played.Number("harmed_hosts"), 0);
  EXPECT_EQ(played.Number("coverage_of_eligible_online"), 1);
}

TEST(WorldTest, TheSameSeedGivesTheSameRun) {
  Scenario scenario = AlwaysOn();
  scenario.faults = {Fault(Effect::kSilent)};
  scenario.fleet.online = {0.6, 0.2, 3600, 0.7};
  scenario.fleet.crash_per_host_day = 1;
  Played one(scenario);
  Played two(scenario);
  EXPECT_EQ(one.world.ledger().checkins, two.world.ledger().checkins);
  EXPECT_EQ(one.world.ledger().harms.size(), two.world.ledger().harms.size());
  ASSERT_FALSE(one.world.ledger().harms.empty());
  EXPECT_EQ(one.world.ledger().harms.back().at, two.world.ledger().harms.back().at);
}

TEST(WorldTest, AFaultStrikesTheVulnerableShareOfItsCohortOnly) {
  Scenario scenario = AlwaysOn();
  scenario.faults = {Fault(Effect::kSilent)};
  Played played(scenario);
  EXPECT_NEAR(played.Number("harmed_hosts"), 500, 60);
  for (const Harm& harm : played.world.ledger().harms)
    EXPECT_EQ(played.world.fleet().hosts[harm.host].cohort, 0);
}

TEST(WorldTest, NobodyIsOfferedAWithdrawnRelease) {
  Played played(AlwaysOn(), /*withdraw_at=*/90 * kSecond);
  for (const Grant& grant : played.world.ledger().grants) EXPECT_LT(grant.at, 90 * kSecond);
  EXPECT_LT(played.Number("exposed_hosts"), 2000);
}

TEST(WorldTest, ManualRepairHealsAndBringsTheOldVersionBack) {
  Scenario scenario = AlwaysOn();
  scenario.faults = {Fault(Effect::kBootLoop)};
  scenario.faults[0].manual_repair = Distribution{Distribution::Kind::kFixed, 600, 0};
  Played played(scenario, /*withdraw_at=*/10 * kMinute);
  EXPECT_GT(played.Number("harmed_hosts"), 0);
  EXPECT_EQ(played.Number("recovered_fraction_of_harmed"), 1);
  for (const Harm& harm : played.world.ledger().harms) {
    EXPECT_NE(played.world.fleet().hosts[harm.host].running[kContentSlot], harm.version);
  }
}

TEST(WorldTest, CrashOnceComesBackOnTheSameVersion) {
  Scenario scenario = AlwaysOn();
  scenario.faults = {Fault(Effect::kCrashOnce)};
  scenario.faults[0].report_delay = 5 * kMinute;
  scenario.faults[0].crash_report = 1;
  Played played(scenario);
  ASSERT_FALSE(played.world.ledger().harms.empty());
  for (const Harm& harm : played.world.ledger().harms) {
    EXPECT_EQ(harm.healed_at - harm.at, 5 * kMinute);
    EXPECT_EQ(played.world.fleet().hosts[harm.host].running[kContentSlot], harm.version);
  }
}

TEST(WorldTest, AFaultThatWaitsForTheOsStrikesAtTheUpgradeOnly) {
  Scenario scenario = AlwaysOn();
  scenario.faults = {Fault(Effect::kSilent)};
  scenario.faults[0].trigger = Trigger::kOsChange;
  scenario.faults[0].to_labels = {{"kernel", "20"}};
  ScenarioEvent upgrade;
  upgrade.kind = EventKind::kOsUpgrade;
  upgrade.at = kHour;
  upgrade.share = 0.5;
  upgrade.labels_after = {{"kernel", "20"}};
  upgrade.announces_pending = 10 * kMinute;
  upgrade.reboots = true;
  scenario.events = {upgrade};
  Played played(scenario);
  EXPECT_NEAR(played.Number("harmed_hosts"), 250, 50);
  for (const Harm& harm : played.world.ledger().harms) EXPECT_GE(harm.at, kHour + 10 * kMinute);
  EXPECT_EQ(played.world.ledger().first_early_sign, kHour);
}

TEST(WorldTest, AnOutageSilencesItsHostsForItsTime) {
  Scenario scenario = AlwaysOn();
  ScenarioEvent outage;
  outage.kind = EventKind::kExternalOutage;
  outage.at = kHour;
  outage.duration = kHour;
  outage.match.all_of = {{"os", {"win10"}}};
  scenario.events = {outage};
  Played quiet(scenario);
  Played whole(AlwaysOn());
  const auto missing = whole.world.ledger().checkins - quiet.world.ledger().checkins;
  EXPECT_NEAR(static_cast<double>(missing), 1000.0 * 60, 1500);
}

TEST(WorldTest, HostsBackOffWhileTheServerIsGoneAndAreServedAgain) {
  Scenario scenario = AlwaysOn();
  ScenarioEvent restart;
  restart.kind = EventKind::kServerRestart;
  restart.at = kHour;
  restart.duration = 10 * kMinute;
  scenario.events = {restart};
  Played played(scenario);
  ASSERT_EQ(played.world.ledger().restarts.size(), 1u);
  EXPECT_LT(played.world.ledger().failed_checkins, 2000 * 10);  // fewer than at the usual pace
  EXPECT_LE(played.Number("minutes_to_serve_after_restart"), 12);
}

TEST(WorldTest, KeepsTheOnlineShareOnTheSine) {
  Scenario scenario = AlwaysOn();
  scenario.horizon = 7 * kHour;
  scenario.fleet.online = {0.6, 0.2, 4 * 3600, 0.7};
  Played played(scenario);
  // A quarter of a day in: the top of the sine.
  double best = 0;
  for (const CoverageSample& sample : played.world.ledger().coverage) {
    if (sample.at >= 6 * kHour) best = std::max(best, static_cast<double>(sample.eligible));
  }
  EXPECT_NEAR(best / 2000, 0.8, 0.04);
}

}  // namespace
}  // namespace ringfence::replay
