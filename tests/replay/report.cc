#include "report.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ringfence::replay {
namespace {

using Json = nlohmann::ordered_json;

Json ToJsonValue(const MetricValue& value) {
  if (const double* number = std::get_if<double>(&value.value)) {
    // Counts are shown as counts.
    const auto whole = static_cast<int64_t>(*number);
    if (static_cast<double>(whole) == *number) return whole;
    return *number;
  }
  if (const bool* truth = std::get_if<bool>(&value.value)) return *truth;
  if (const std::string* text = std::get_if<std::string>(&value.value)) return *text;
  return nullptr;
}

}  // namespace

std::string ToJson(const RunResult& result, bool with_decisions) {
  Json json;
  json["scenario"] = result.scenario;
  json["seed"] = result.seed;
  json["passed"] = result.passed;
  json["metrics"] = Json::object();
  for (const auto& [name, value] : result.metrics) json["metrics"][name] = ToJsonValue(value);
  json["failed"] = result.failed;
  json["stretch"] = result.stretch;
  json["hosts"] = result.hosts;
  json["checkins"] = result.checkins;
  json["leases_granted"] = result.leases_granted;
  json["wall_seconds"] = result.wall_seconds;
  json["micros_per_checkin"] = result.micros_per_checkin;
  if (!result.notes.empty()) json["notes"] = result.notes;
  if (with_decisions) json["decisions"] = result.decisions;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ToText(const RunResult& result, bool with_decisions) {
  std::string text =
      absl::StrFormat("%s %s seed %d: %d hosts, %d check-ins, %.1f s, %.2f us per check-in\n",
                      result.passed ? "pass" : "FAIL", result.scenario, result.seed, result.hosts,
                      result.checkins, result.wall_seconds, result.micros_per_checkin);
  for (const auto& [name, value] : result.metrics)
    absl::StrAppend(&text, "    ", name, ": ", ToString(value), "\n");
  for (const auto& [name, how] : result.stretch)
    absl::StrAppend(&text, "    stretch ", name, ": ", how, "\n");
  for (const std::string& note : result.notes) absl::StrAppend(&text, "    note: ", note, "\n");
  if (with_decisions) {
    for (const std::string& decision : result.decisions) absl::StrAppend(&text, "    | ", decision, "\n");
  }
  for (const std::string& failure : result.failed) absl::StrAppend(&text, "    failed ", failure, "\n");
  return text;
}

std::string ToText(const StretchTable& table) {
  std::string text = "| scenario | stretch bound | held with | otherwise |\n|---|---|---|---|\n";
  for (const auto& [key, by_seed] : table) {
    int64_t held = 0;
    std::string otherwise;
    for (const auto& [seed, how] : by_seed) {
      if (how == "held") {
        ++held;
      } else if (otherwise.empty()) {
        otherwise = absl::StrCat("seed ", seed, ": ", how);
      }
    }
    absl::StrAppend(&text, "| ", key.first, " | `", key.second, "` | ", held, " of ", by_seed.size(), " | ",
                    otherwise, " |\n");
  }
  return text;
}

}  // namespace ringfence::replay
