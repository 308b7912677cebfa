#include "rollout-policy/tools/benchmark_run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "rollout-policy/tools/fast_random.h"

namespace ringfence::tools {
namespace {

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Seeds of a scenario do not depend on what else is in the file.
uint64_t SeedOf(const BenchmarkScenario& scenario, uint64_t seed, int64_t rollout) {
  uint64_t mixed = Mix(seed);
  for (const char c : scenario.id) mixed = Mix(mixed ^ static_cast<unsigned char>(c));
  return Mix(mixed + static_cast<uint64_t>(rollout));
}

void Check(ScenarioResult& result) {
  const ExpectSpec& expect = result.scenario->expect;
  const auto at_least = [&](const char* what, double found, const std::optional<double>& bound) {
    if (bound.has_value() && !(found >= *bound)) {
      result.failed.push_back(absl::StrFormat("%s %.4g, wanted at least %.4g", what, found, *bound));
    }
  };
  const auto at_most = [&](const char* what, double found, const std::optional<double>& bound) {
    if (bound.has_value() && !(found <= *bound)) {
      result.failed.push_back(absl::StrFormat("%s %.4g, wanted at most %.4g", what, found, *bound));
    }
  };
  const auto rollouts = static_cast<double>(result.rollouts);
  at_least("stop rate", static_cast<double>(result.stops) / rollouts, expect.stop_rate_min);
  at_most("harmed median", result.harmed_median, expect.harmed_median_max);
  at_most("harmed p95", result.harmed_p95, expect.harmed_p95_max);
  if (result.stop_tick_median.has_value()) {
    at_most("stop tick median", *result.stop_tick_median, expect.stop_tick_median_max);
  }
  if (result.stops > 0) {
    at_least("cohort suspected",
             static_cast<double>(result.cohort_suspected) / static_cast<double>(result.stops),
             expect.cohort_top_min);
  } else if (expect.cohort_top_min.has_value()) {
    result.failed.push_back("no run stopped, so no cohort was suspected");
  }
  const bool as_given = result.rollouts == expect.rollouts;
  const auto most = [&](const std::optional<int64_t>& given, double rate,
                        double doubt) -> std::optional<double> {
    if (!given.has_value()) return std::nullopt;
    return static_cast<double>(as_given ? *given : MostStops(result.rollouts, rate, doubt));
  };
  at_most("halts", static_cast<double>(result.halts), most(expect.halts_max, 0.001, 0.004));
  at_most("holds", static_cast<double>(result.holds), most(expect.holds_max, 0.01, 0.01));
  if (expect.complete_tick_median_max.has_value()) {
    if (result.complete_tick_median.has_value()) {
      at_most("complete tick median", *result.complete_tick_median, expect.complete_tick_median_max);
    } else {
      result.failed.push_back("no run was completed");
    }
  }
}

}  // namespace

int64_t MostStops(int64_t rollouts, double rate, double doubt) {
  // P(X > m) for X ~ Bin(n, rate), the terms one from the other.
  const auto n = static_cast<double>(rollouts);
  double term = std::exp(n * std::log1p(-rate));
  double above = 1.0 - term;
  int64_t m = 0;
  while (above >= doubt && m < rollouts) {
    term *= (n - static_cast<double>(m)) / static_cast<double>(m + 1) * rate / (1 - rate);
    above -= term;
    ++m;
  }
  return m;
}

double Quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(q * static_cast<double>(values.size()));
  return values[static_cast<size_t>(std::max(1.0, rank)) - 1];
}

ScenarioResult Summarize(const BenchmarkScenario& scenario, const std::vector<RolloutResult>& rollouts) {
  ScenarioResult result;
  result.scenario = &scenario;
  result.rollouts = static_cast<int64_t>(rollouts.size());
  std::vector<double> harmed, stop_ticks, complete_ticks;
  for (const RolloutResult& one : rollouts) {
    harmed.push_back(static_cast<double>(one.harmed));
    result.spells += one.spells;
    result.halts += one.halted ? 1 : 0;
    if (one.complete_tick.has_value()) complete_ticks.push_back(static_cast<double>(*one.complete_tick));
    if (!one.stop_tick.has_value()) continue;
    ++result.stops;
    result.holds += one.first_was_hold ? 1 : 0;
    result.holds_by_guard += one.rule == "guard_a" ? 1 : 0;
    result.cohort_suspected += one.cohort_suspected ? 1 : 0;
    stop_ticks.push_back(static_cast<double>(*one.stop_tick));
  }
  result.harmed_median = Quantile(harmed, 0.5);
  result.harmed_p95 = Quantile(harmed, 0.95);
  if (!stop_ticks.empty()) result.stop_tick_median = Quantile(stop_ticks, 0.5);
  // A rollout that is never complete counts as later than all others.
  if (2 * complete_ticks.size() > rollouts.size()) {
    complete_ticks.resize(rollouts.size(), HUGE_VAL);
    result.complete_tick_median = Quantile(complete_ticks, 0.5);
  }
  if (result.rollouts > 0) Check(result);
  return result;
}

std::vector<ScenarioResult> RunBenchmark(const std::vector<const BenchmarkScenario*>& scenarios,
                                         const RunOptions& options) {
  struct Task {
    size_t scenario;
    int64_t rollout;
  };
  std::vector<std::vector<RolloutResult>> results(scenarios.size());
  std::vector<Task> tasks;
  for (size_t i = 0; i < scenarios.size(); ++i) {
    const int64_t rollouts = options.rollouts > 0 ? options.rollouts : scenarios[i]->expect.rollouts;
    results[i].resize(static_cast<size_t>(rollouts));
    for (int64_t k = 0; k < rollouts; ++k) tasks.push_back({i, k});
  }
  // The large ones first, so that no thread is left alone with one at the end.
  std::stable_sort(tasks.begin(), tasks.end(), [&](const Task& a, const Task& b) {
    return scenarios[a.scenario]->fleet.hosts > scenarios[b.scenario]->fleet.hosts;
  });

  std::vector<std::atomic<int64_t>> nanos(scenarios.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < tasks.size(); i = next++) {
      const Task& task = tasks[i];
      const BenchmarkScenario& scenario = *scenarios[task.scenario];
      const double before = ThreadSeconds();
      results[task.scenario][static_cast<size_t>(task.rollout)] =
          RunRollout(scenario, SeedOf(scenario, options.seed, task.rollout));
      nanos[task.scenario] += static_cast<int64_t>(1e9 * (ThreadSeconds() - before));
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < options.threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  std::vector<ScenarioResult> summaries;
  for (size_t i = 0; i < scenarios.size(); ++i) {
    summaries.push_back(Summarize(*scenarios[i], results[i]));
    summaries.back().cpu_seconds = 1e-9 * static_cast<double>(nanos[i]);
  }
  return summaries;
}

}  // namespace ringfence::tools
