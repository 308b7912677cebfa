#include "rollout-policy/tools/benchmark_report.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ringfence::tools {
namespace {

using nlohmann::json;

std::string Number(const std::optional<double>& value) {
  return value.has_value() ? absl::StrFormat("%.5g", *value) : "-";
}

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// The rows of the page's tables.
std::string GroupOf(const BenchmarkScenario& scenario) {
  switch (scenario.fault.kind) {
    case FaultKind::kNone:
      return "good release";
    case FaultKind::kBrick:
      if (scenario.fault.cohort_only) return "brick in a cohort";
      return absl::StrFormat("brick, %g %% of hosts", 100 * scenario.fault.probability);
    case FaultKind::kBrickDelayed:
      return "delayed harm";
    case FaultKind::kBootLoop:
      return "boot loop";
  }
  return "other";
}

struct Totals {
  int64_t scenarios = 0, passed = 0, rollouts = 0, stops = 0, halts = 0, holds = 0;
  // Means over the scenarios, ours and the reference's, where it has one.
  double harmed_median = 0, reference_median = 0, harmed_p95 = 0, reference_p95 = 0;
  double stop_rate = 0, reference_stop_rate = 0;
};

void AddTo(Totals& totals, const ScenarioResult& result) {
  const ReferenceSpec& reference = result.scenario->reference;
  ++totals.scenarios;
  totals.passed += result.passed() ? 1 : 0;
  totals.rollouts += result.rollouts;
  totals.stops += result.stops;
  totals.halts += result.halts;
  totals.holds += result.holds;
  totals.harmed_median += result.harmed_median;
  totals.harmed_p95 += result.harmed_p95;
  totals.stop_rate += Share(result.stops, result.rollouts);
  totals.reference_median += reference.harmed_median.value_or(0);
  totals.reference_p95 += reference.harmed_p95.value_or(0);
  totals.reference_stop_rate += reference.stop_rate.value_or(0);
}

std::string Line(const ScenarioResult& result) {
  const ReferenceSpec& reference = result.scenario->reference;
  std::string line = absl::StrFormat(
      "%-4s %-48s %6d %6.1f%% (%6s) %6.1f%% %6.1f%% %7.5g/%-7.5g (%s/%s) %6s (%s)",
      result.passed() ? "ok" : "FAIL", result.scenario->id.substr(0, 48), result.rollouts,
      100 * Share(result.stops, result.rollouts),
      reference.stop_rate.has_value() ? absl::StrFormat("%.1f%%", 100 * *reference.stop_rate) : "-",
      100 * Share(result.halts, result.rollouts), 100 * Share(result.holds, result.rollouts),
      result.harmed_median, result.harmed_p95, Number(reference.harmed_median), Number(reference.harmed_p95),
      Number(result.stop_tick_median), Number(reference.stop_tick_median));
  if (result.scenario->fault.kind == FaultKind::kNone) {
    absl::StrAppendFormat(&line, "  complete %s (%s)", Number(result.complete_tick_median),
                          Number(reference.complete_tick_median));
  }
  if (result.scenario->fault.cohort_only) {
    absl::StrAppendFormat(&line, "  cohort named %.1f%%", 100 * Share(result.cohort_suspected, result.stops));
  }
  for (const std::string& failed : result.failed) absl::StrAppend(&line, "\n       ", failed);
  return line;
}

}  // namespace

bool BenchmarkReport::passed() const {
  return !results.empty() && refused.empty() &&
         std::all_of(results.begin(), results.end(), [](const ScenarioResult& one) { return one.passed(); });
}

std::string ToTable(const BenchmarkReport& report) {
  std::string text = absl::StrFormat("%-4s %-48s %6s %18s %7s %7s %s\n", "", "scenario (reference)", "runs",
                                     "stopped", "halt", "hold", "harmed median/p95, stop tick");
  std::map<std::string, Totals> groups;
  int64_t passed = 0;
  double cpu = 0;
  for (const ScenarioResult& result : report.results) {
    absl::StrAppend(&text, Line(result), "\n");
    AddTo(groups[GroupOf(*result.scenario)], result);
    passed += result.passed() ? 1 : 0;
    cpu += result.cpu_seconds;
  }
  for (const auto& refused : report.refused) {
    absl::StrAppend(&text, "FAIL ", refused.id, "\n       not run: ", std::string(refused.why.message()),
                    "\n");
  }
  absl::StrAppendFormat(&text, "\n%-26s %9s %9s %7s %7s %18s %22s\n", "totals (reference)", "passed",
                        "rollouts", "halts", "holds", "stop rate", "mean of harmed median, p95");
  for (const auto& [name, t] : groups) {
    const auto n = static_cast<double>(t.scenarios);
    absl::StrAppendFormat(&text, "%-26s %4d/%-4d %9d %7d %7d %6.1f%% (%6.1f%%) %8.4g (%.4g), %.4g (%.4g)\n",
                          name, t.passed, t.scenarios, t.rollouts, t.halts, t.holds, 100 * t.stop_rate / n,
                          100 * t.reference_stop_rate / n, t.harmed_median / n, t.reference_median / n,
                          t.harmed_p95 / n, t.reference_p95 / n);
  }
  absl::StrAppendFormat(&text, "\n%s: %d of %d scenarios hold, in %.0f s (%.0f s of CPU)\n",
                        report.passed() ? "passed" : "FAILED", passed,
                        report.results.size() + report.refused.size(), report.wall_seconds, cpu);
  return text;
}

std::string ToJson(const BenchmarkReport& report) {
  json out = {
      {"passed", report.passed()}, {"wall_seconds", report.wall_seconds}, {"scenarios", json::array()}};
  const auto number = [](const std::optional<double>& value) {
    return value.has_value() ? json(*value) : json();
  };
  for (const ScenarioResult& r : report.results) {
    const ReferenceSpec& reference = r.scenario->reference;
    out["scenarios"].push_back({{"id", r.scenario->id},
                                {"passed", r.passed()},
                                {"failed", r.failed},
                                {"rollouts", r.rollouts},
                                {"stop_rate", Share(r.stops, r.rollouts)},
                                {"halts", r.halts},
                                {"holds", r.holds},
                                {"holds_by_guard", r.holds_by_guard},
                                {"harmed_median", r.harmed_median},
                                {"harmed_p95", r.harmed_p95},
                                {"stop_tick_median", number(r.stop_tick_median)},
                                {"complete_tick_median", number(r.complete_tick_median)},
                                {"cohort_suspected", Share(r.cohort_suspected, r.stops)},
                                {"spells", r.spells},
                                {"cpu_seconds", r.cpu_seconds},
                                {"reference",
                                 {{"stop_rate", number(reference.stop_rate)},
                                  {"halt_rate", number(reference.halt_rate)},
                                  {"harmed_median", number(reference.harmed_median)},
                                  {"harmed_p95", number(reference.harmed_p95)},
                                  {"stop_tick_median", number(reference.stop_tick_median)},
                                  {"complete_tick_median", number(reference.complete_tick_median)}}}});
  }
  for (const auto& refused : report.refused) {
    out["scenarios"].push_back({{"id", refused.id},
                                {"passed", false},
                                {"failed", {std::string(refused.why.message())}},
                                {"rollouts", 0}});
  }
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace ringfence::tools
