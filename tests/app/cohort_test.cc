// Cells in the server's judgement: a cohort at fault is named, blocked, and the release goes on without it;
// one customer cannot stop everybody; all of it is there after a restart. docs/health-analysis.md, sections 3
// and 11.
#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/policy/judge/health_record.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using storage::Outcome;
using ::testing::HasSubstr;

bool HasDlp(const SimHost& host) {
  return host.labels.Has("coinstalled", "dlp");
}

// One large ring of the vendor, in which every fourth host has an agent that the release does not bear with.
void AddMixedRing(FleetHarness& fleet, int count) {
  for (int i = 0; i < count; ++i) {
    fleet.AddHost("vendor",
                  {{"ring", "dogfood"}, {"os", "win10"}, {"coinstalled", i % 4 == 0 ? "dlp" : "av"}});
  }
  fleet.effect = [](const SimHost& host, const Digest&) {
    return HasDlp(host) ? Effect::kBricks : Effect::kGood;
  };
}

policy::Plan MixedPlan() {
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.gates.cohort_keys = {"coinstalled", "os"};
  return plan;
}

const storage::DecisionRow* Find(FleetHarness& fleet, const std::string& action) {
  for (const storage::DecisionRow& row : fleet.watch().decisions()) {
    if (row.action == action) return &row;
  }
  return nullptr;
}

int64_t Dead(FleetHarness& fleet) {
  return std::count_if(fleet.hosts().begin(), fleet.hosts().end(),
                       [](const SimHost& host) { return host.dead; });
}

TEST(CohortTest, WhatIsDecidedAboutACohortIsSaidInWordsAndTheOthersGoOn) {
  FleetHarness fleet;
  AddMixedRing(fleet, 400);
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  ASSERT_TRUE(
      fleet.RunUntil([&] { return Find(fleet, "block") != nullptr || fleet.Stopped(1); }, absl::Hours(24)));
  const storage::DecisionRow* decision =
      Find(fleet, "block") != nullptr ? Find(fleet, "block") : Find(fleet, "hold");
  ASSERT_NE(decision, nullptr);
  EXPECT_EQ(decision->cohort, "coinstalled=dlp");
  EXPECT_THAT(decision->why, HasSubstr("hosts with coinstalled=dlp fell silent; 0 of "));
  EXPECT_THAT(decision->why, HasSubstr(" without"));
  fleet.RunFor(absl::Hours(2));
  EXPECT_LE(Dead(fleet), 12);
  EXPECT_EQ(fleet.Violations(), "");
}

// What the records of a release say, computed by the library alone.
double MOfRecords(FleetHarness& fleet) {
  double m = 0;
  const absl::Status status = fleet.store().ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    const auto judgement = tx.Judgement("content", 1);
    const auto records = tx.EvidenceRecords("content", 1);
    policy::CellSlots slots = policy::CellSlots::WithSlots((*judgement)->k_max);
    std::map<std::string, uint32_t> numbers;
    policy::RecordLog log;
    for (const storage::EvidenceRecordRow& record : *records) {
      if (record.test != (*judgement)->test) continue;
      policy::StratumRecord& stratum = log.strata.emplace_back();
      for (const storage::EvidenceEvent& event : record.events) {
        std::vector<uint32_t> cells;
        for (const std::string& cell : event.cells) {
          cells.push_back(numbers.try_emplace(cell, static_cast<uint32_t>(numbers.size())).first->second);
        }
        const std::vector<policy::CellIndex> of_host = slots.SlotsOf(cells);
        const policy::CellList list(of_host.begin(), of_host.end());
        if (event.health_channel == policy::HealthChannel::kGauge) {
          stratum.gauges.push_back({0, list, event.treated, event.pi, event.x, event.c});
        } else {
          stratum.bad.push_back({0, list, event.health_channel, event.treated, event.pi});
        }
      }
    }
    m = policy::Replay(log, (*judgement)->k_max, (*judgement)->rho0, policy::Lateness::kAll).M();
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return m;
}

TEST(CohortTest, WhatIsRecordedGivesTheSameEvidenceAndSurvivesARestart) {
  FleetHarness fleet;
  AddMixedRing(fleet, 400);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(24)));
  fleet.RunFor(absl::Minutes(10));  // everything that was drawn has matured
  const double before = fleet.Rollout(1).health.m_r;
  EXPECT_GT(before, 10);
  EXPECT_NEAR(MOfRecords(fleet), before, 1e-9 * before);
  fleet.Restart();
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, before, 1e-9 * before);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST(CohortTest, AfterTwoPersonsResumeTheEvidenceStartsAnewAndStaysSoAfterARestart) {
  FleetHarness fleet;
  AddMixedRing(fleet, 400);
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
  fleet.Start();
  fleet.Apply(MixedPlan());
  fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Stopped(1); }, absl::Hours(24)));
  fleet.RunFor(absl::Minutes(10));
  const storage::Scope scope{"", "content", 1, ""};
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann"), scope).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("ann"), scope, app::BrakeKind::kHalt).ok());
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre("bob"), scope, app::BrakeKind::kHalt).ok());
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, 1, 1e-12);
  EXPECT_NEAR(fleet.Rollout(1).health.m_a, 1, 1e-12);
  fleet.Step();
  fleet.Restart();
  EXPECT_NEAR(fleet.Rollout(1).health.m_r, 1, 1e-12);
  EXPECT_NEAR(fleet.Rollout(1).health.m_a, 1, 1e-12);
  EXPECT_EQ(fleet.Violations(), "");
}

}  // namespace
}  // namespace ringfence::test
