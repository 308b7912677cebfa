// acceptance: which metrics there are, and what each may be asked.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/simulate/scenario_sections.h"

namespace ringfence::replay {
namespace {

struct MetricSpec {
  absl::string_view name;
  std::vector<absl::string_view> parameters;
};

const std::vector<MetricSpec>& Metrics() {
  static const auto& metrics = *new std::vector<MetricSpec>{
      // the answer of the API
      {"publish_result", {"release"}},
      {"refusal_class", {"release"}},
      {"refusals", {}},
      {"offered_bad_files", {}},
      {"bypass_request", {}},
      // what happened to hosts
      {"offered_hosts", {"release"}},
      {"exposed_hosts", {"release"}},
      {"harmed_hosts", {}},
      {"customer_hosts_harmed", {}},
      {"rescued_hosts", {}},
      {"recovered_fraction_of_harmed", {"within"}},
      {"minutes_first_harm_to_last_offer", {}},
      {"contained_in", {"ring", "wave", "release"}},
      {"contained_in_any", {"rings", "release"}},
      {"coverage_of_eligible_online", {"within", "release"}},
      {"false_halts", {}},
      {"halt_not_attributed_to_release", {}},
      {"no_promotion_between", {"from", "to"}},
      // the server's record
      {"halt_names", {"gate", "labels_any", "labels_all", "or_scope"}},
      {"withheld_reason_names", {"labels"}},
      {"publish_warns_uncovered", {"labels"}},
      {"audit_has", {"event"}},
      {"after_restart", {"expect"}},
      {"resume_excluding", {"labels"}},
      // load
      {"revert_offers_in_any_minute_fraction_of_reverting", {}},
      {"peak_requests_over_steady_state", {}},
      {"minutes_to_serve_after_restart", {}},
      // the agent's side
      {"agent_refusals", {}},
      {"agents_during_outage", {"expect"}},
      {"hold_before_reboot", {"labels"}},
  };
  return metrics;
}

const MetricSpec* FindMetric(absl::string_view name) {
  for (const MetricSpec& metric : Metrics()) {
    if (metric.name == name) return &metric;
  }
  return nullptr;
}

// Labels as a map, or a list of maps of which any will do.
std::vector<LabelPairs> ParseLabelSets(const Field& field) {
  std::vector<LabelPairs> sets;
  if (field.IsMap()) {
    for (const auto& pair : ParseLabels(field)) sets.push_back({pair});
  } else {
    for (const Field& item : field.Items()) sets.push_back(ParseLabels(item));
  }
  return sets;
}

LabelPairs ParseAllLabels(const Field& field) {
  if (field.IsMap()) return ParseLabels(field);
  LabelPairs all;
  for (const LabelPairs& set : ParseLabelSets(field)) all.insert(all.end(), set.begin(), set.end());
  return all;
}

Micros ParseInstant(const Field& field) {
  return field.Duration();
}

void ParseParameters(const Field& field, Bound& bound) {
  if (const auto value = field.Find("within")) bound.within = value->Duration();
  if (const auto value = field.Find("from")) bound.from = ParseInstant(*value);
  if (const auto value = field.Find("to")) bound.to = ParseInstant(*value);
  if (const auto value = field.Find("ring")) bound.ring = value->Text();
  if (const auto value = field.Find("wave")) bound.wave = static_cast<int>(value->Integer(1));
  if (const auto value = field.Find("rings")) bound.rings = value->Texts();
  if (const auto value = field.Find("gate")) bound.gate = value->Text();
  if (const auto value = field.Find("labels_any")) bound.labels_any = ParseLabelSets(*value);
  if (const auto value = field.Find("labels_all")) bound.labels_all = ParseAllLabels(*value);
  if (const auto value = field.Find("labels")) bound.labels_all = ParseAllLabels(*value);
  if (const auto value = field.Find("or_scope")) bound.or_scope = value->Text();
  if (const auto value = field.Find("event")) bound.event = value->Text();
  if (const auto value = field.Find("expect")) bound.expect = value->Text();
  if (const auto value = field.Find("release")) bound.release = value->Text();
}

void ParseWanted(const Field& field, Bound& bound) {
  if (const auto value = field.Find("min")) bound.min = value->Number();
  if (const auto value = field.Find("max")) bound.max = value->Number();
  if (const auto value = field.Find("equals")) bound.equals = value->Text();
  if (const auto value = field.Find("one_of")) bound.one_of = value->Texts();
}

void AllowParameters(const Field& field, const MetricSpec& metric) {
  for (const auto& [key, value] : field.Entries()) {
    const bool known =
        key == "metric" || key == "min" || key == "max" || key == "equals" || key == "one_of" ||
        key == "note" || key == "notes" ||
        std::find(metric.parameters.begin(), metric.parameters.end(), key) != metric.parameters.end();
    if (!known) value.Fail(absl::StrCat("unknown parameter of ", metric.name));
  }
}

}  // namespace

bool IsKnownMetric(absl::string_view metric) {
  return FindMetric(metric) != nullptr;
}

Bound ParseBound(const Field& field, bool strict) {
  Bound bound;
  const Field name = field.At("metric");
  bound.metric = name.Text();
  bound.line = field.line();
  const MetricSpec* metric = FindMetric(bound.metric);
  if (metric == nullptr) {
    if (strict) name.Fail(absl::StrCat("unknown metric \"", bound.metric, "\""));
    return bound;
  }
  if (strict) AllowParameters(field, *metric);
  ParseParameters(field, bound);
  ParseWanted(field, bound);
  return bound;
}

}  // namespace ringfence::replay
