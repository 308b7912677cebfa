// The benchmark: its file, its arithmetic, and that its rollouts are what the page says.
#include <cmath>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout-policy/tools/benchmark_report.h"
#include "rollout-policy/tools/benchmark_run.h"
#include "rollout-policy/tools/benchmark_scenario.h"

namespace ringfence::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string OwnFile() {
  std::ifstream in("tests/data/health/benchmark.json");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

BenchmarkFile Own() {
  auto parsed = ParseBenchmark(OwnFile());
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return *std::move(parsed);
}

const BenchmarkScenario& Find(const BenchmarkFile& file, const std::string& id) {
  for (const BenchmarkScenario& one : file.scenarios) {
    if (one.id == id) return one;
  }
  ADD_FAILURE() << id;
  return file.scenarios.front();
}

TEST(BenchmarkFileTest, OurOwnIsUnderstoodWhole) {
  const BenchmarkFile file = Own();
  EXPECT_EQ(file.scenarios.size(), 14u);
  EXPECT_TRUE(file.refused.empty()) << file.refused[0].why;
  const BenchmarkScenario& late = Find(file, "brick-cohort-late");
  EXPECT_EQ(late.fleet.cohort_online_from_tick, 30);
  EXPECT_TRUE(late.fault.cohort_only);
  const BenchmarkScenario& delayed = Find(file, "brick-delayed");
  const auto& timeline = std::get<TimelineNoise>(delayed.background.noise);
  EXPECT_EQ(timeline.gap_ticks[1].least, 3.0);
  EXPECT_EQ(timeline.gap_ticks[1].mean_more, 20.0);
  EXPECT_EQ(delayed.policy.phantoms->ratios, (std::vector<double>{20, 4, 0.25}));
}

TEST(BenchmarkFileTest, AScenarioThatIsNotUnderstoodIsRefusedByNameAndTheOthersStay) {
  const struct {
    const char* from;
    const char* to;
    const char* why;
  } rows[] = {
      {"\"label_dims\": 2", "\"label_dims\": -2", "good-quiet.fleet.label_dims: -2 is not in [0, 16]"},
      {"\"hosts\": 400", "\"hosts\": 400.5", "good-quiet.fleet.hosts: 400.5 is not a whole number"},
      {"\"hosts\": 400", "\"hosts\": \"many\"", "wanted a number, found string"},
      {"\"silence_per_spell\"", "\"silence_per_soul\"", "good-quiet.background.silence_per_spell: absent"},
      {"\"halts_max\"", "\"halts_most\"", "good-quiet.expect.halts_most: not known"},
      {"\"kind\": \"none\"", "\"kind\": \"melt\"", "good-quiet.fault.kind: \"melt\" is not known"},
      {"\"gamma\": 1", "\"gamma\": 2", "good-quiet.policy.gamma: 2 is not in [1, 1]"},
      {"\"D_s\": 225", "\"D_s\": 80", "no check-in falls between"},
      {"\"fraction\": 0.4", "\"fraction\": 0.5", "fractions sum to 1.1"},
  };
  for (const auto& row : rows) {
    const auto parsed = ParseBenchmark(Replaced(OwnFile(), row.from, row.to));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    ASSERT_EQ(parsed->refused.size(), 1u) << row.to;
    EXPECT_EQ(parsed->refused[0].id, "good-quiet");
    EXPECT_EQ(parsed->refused[0].why.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(parsed->refused[0].why.message()), HasSubstr(row.why));
    EXPECT_EQ(parsed->scenarios.size(), 13u);
    // What was not run has not passed.
    EXPECT_FALSE(BenchmarkReport{.refused = parsed->refused}.passed());
  }
}

TEST(BenchmarkFileTest, WhatIsNoBenchmarkIsAnInvalidArgument) {
  for (const char* text : {"", "{", "[]", "null", "{\"format\": \"other/1\", \"scenarios\": []}",
                           "{\"format\": \"staged-rollout-health-benchmark/2\"}"}) {
    EXPECT_EQ(ParseBenchmark(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(BenchmarkFileTest, AnIdGivenTwiceIsRefused) {
  const auto parsed = ParseBenchmark(Replaced(OwnFile(), "\"good-night\"", "\"good-quiet\""));
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->refused.size(), 1u);
  EXPECT_THAT(std::string(parsed->refused[0].why.message()), HasSubstr("given twice"));
}

TEST(MostStopsTest, IsTheBoundOfThePageAtItsOwnNumbersOfRollouts) {
  EXPECT_EQ(MostStops(2000, 0.001, 0.004), 7);
  EXPECT_EQ(MostStops(2000, 0.01, 0.01), 31);
  EXPECT_EQ(MostStops(200, 0.001, 0.004), 2);
  EXPECT_EQ(MostStops(200, 0.01, 0.01), 6);
  EXPECT_EQ(MostStops(50, 0.001, 0.004), 1);
  EXPECT_EQ(MostStops(50, 0.01, 0.01), 3);
  EXPECT_EQ(MostStops(1, 0.001, 0.004), 0);
}

TEST(QuantileTest, IsTheNearestRank) {
  std::vector<double> values = {4, 1, 3, 2};
  EXPECT_EQ(Quantile(values, 0.5), 2);
  EXPECT_EQ(Quantile(values, 0.95), 4);
  EXPECT_EQ(Quantile(values, 0.0), 1);
  values.clear();
  EXPECT_EQ(Quantile(values, 0.5), 0);
}

TEST(SummarizeTest, NamesEachBoundThatDoesNotHold) {
  const BenchmarkFile file = Own();
  RolloutResult stopped{.stop_tick = 20, .first_was_hold = true, .rule = "guard_a", .harmed = 3};
  RolloutResult missed{.harmed = 900};
  const ScenarioResult result = Summarize(Find(file, "brick-all"), {stopped, missed, missed});
  EXPECT_EQ(result.stops, 1);
  EXPECT_EQ(result.holds_by_guard, 1);
  EXPECT_THAT(result.failed, ElementsAre(HasSubstr("stop rate 0.3333"), HasSubstr("harmed median 900"),
                                         HasSubstr("harmed p95 900"), HasSubstr("stop tick median 20")));
  const ScenarioResult good = Summarize(Find(file, "good-quiet"), {RolloutResult{.halted = true}});
  EXPECT_THAT(good.failed, ElementsAre(HasSubstr("halts 1, wanted at most 0"), "no run was completed"));
}

TEST(RolloutTest, EqualSeedsGiveEqualRolloutsWhateverTheThreads) {
  const BenchmarkFile file = Own();
  const std::vector<const BenchmarkScenario*> scenarios = {&Find(file, "brick-tenth"),
                                                           &Find(file, "brick-delayed")};
  const auto one = RunBenchmark(scenarios, {.rollouts = 6, .threads = 1, .seed = 9});
  const auto three = RunBenchmark(scenarios, {.rollouts = 6, .threads = 3, .seed = 9});
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].spells, three[i].spells);
    EXPECT_EQ(one[i].harmed_p95, three[i].harmed_p95);
    EXPECT_EQ(one[i].stop_tick_median, three[i].stop_tick_median);
  }
}

TEST(RolloutTest, Trap07ATenantThatGoesDarkHaltsNoGoodRelease) {
  // A tenth of the hosts is dark for eight ticks; 1000 seeds. A named cell alone would make M_R >= 1000, so
  // that without a halt none was named.
  const BenchmarkFile file = Own();
  BenchmarkScenario scenario = Find(file, "good-site-dark");
  scenario.fleet.hosts = 300;
  scenario.background.outage->fraction = 0.1;
  scenario.background.outage->ticks = 8;
  const auto results = RunBenchmark({&scenario}, {.rollouts = 1000, .seed = 77});
  EXPECT_EQ(results[0].halts, 0);
  EXPECT_LE(results[0].holds, MostStops(1000, 0.01, 0.01));
  EXPECT_TRUE(results[0].complete_tick_median.has_value());
}

// By the rule of the first hosts: nobody follows the one that failed, and the release is held.
TEST(RolloutTest, ARingOfOneTokenStopsAfterItsFirstBrick) {
  const BenchmarkFile file = Own();
  const auto results = RunBenchmark({&Find(file, "brick-ring-of-20")}, {.rollouts = 40, .seed = 3});
  EXPECT_EQ(results[0].harmed_median, 1);
  EXPECT_GE(results[0].stops, 36);
}

TEST(RolloutTest, ALargeFleetAsksInTurnAndIsLetInWhole) {
  const BenchmarkFile file = Own();
  BenchmarkScenario scenario = Find(file, "good-quiet");
  scenario.fleet.hosts = 120'000;
  const RolloutResult result = RunRollout(scenario, 4);
  EXPECT_TRUE(result.complete_tick.has_value());
  EXPECT_FALSE(result.stop_tick.has_value());
  EXPECT_EQ(result.harmed, 0);
}

TEST(ReportTest, SaysWhatWasRunInBothForms) {
  const BenchmarkFile file = Own();
  BenchmarkReport report;
  report.results = RunBenchmark({&Find(file, "brick-ring-of-20")}, {.rollouts = 20});
  EXPECT_THAT(ToTable(report), HasSubstr("brick-ring-of-20"));
  EXPECT_THAT(ToTable(report), HasSubstr("brick, 100 % of hosts"));
  EXPECT_THAT(ToJson(report), HasSubstr("\"passed\": true"));
  EXPECT_FALSE(BenchmarkReport{}.passed());
}

}  // namespace
}  // namespace ringfence::tools
