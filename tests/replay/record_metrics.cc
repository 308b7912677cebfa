#include "record_metrics.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/simulate/plan_builder.h"

namespace ringfence::replay {
namespace {

constexpr int kHostsToAsk = 5;

const char* ChannelOf(const Version& version) {
  return version.slot == kContentSlot ? kContentChannel : kSensorChannel;
}

bool Concerns(const storage::DecisionRow& row, const Version& version) {
  return (row.channel.empty() || row.channel == ChannelOf(version)) &&
         (row.serial == 0 || row.serial == version.serial);
}

// From when on there was something to see: the first harm by what the decision stops, or a true early sign of
// it.
Micros TruthFor(const RunView& run, const storage::DecisionRow& row) {
  Micros truth = run.ledger.first_early_sign;
  for (const Harm& harm : run.ledger.harms) {
    if (harm.version != kNoIndex && Concerns(row, run.ledger.versions[harm.version]))
      truth = std::min(truth, harm.at);
  }
  return truth;
}

// "os=win10" or "kernel=...": does the decision name this set of labels? A cohort is one label, so one of
// them is enough.
bool NamesCohort(const storage::DecisionRow& row, const LabelPairs& labels) {
  return std::any_of(labels.begin(), labels.end(), [&](const auto& pair) {
    return row.cohort == absl::StrCat(pair.first, "=", pair.second) ||
           absl::StrContains(row.cohort, absl::StrCat(pair.first, "=", pair.second));
  });
}

// "silence" is named by its gate, or by a test that says it saw silence.
bool NamesGate(const storage::DecisionRow& row, const std::string& gate) {
  if (row.rule == "gate_" + gate) return true;
  const bool is_test = row.rule == "test_r" || row.rule == "guard_a";
  return is_test && (absl::StrContains(row.why, gate) || absl::StrContains(row.evidence, gate));
}

std::string Brief(const storage::DecisionRow& row) {
  return absl::StrCat(row.action, " by ", row.rule, row.cohort.empty() ? "" : " of ", row.cohort, " at ",
                      absl::FormatDuration(row.at - WallAtStart()), ": ", row.why);
}

}  // namespace

bool IsServerStop(const storage::DecisionRow& row) {
  return row.actor == "server" && (row.action == "halt" || row.action == "hold");
}

MetricValue FalseHalts(const RunView& run, const Bound&) {
  double halts = 0;
  std::string why;
  for (const storage::DecisionRow& row : run.record.decisions) {
    if (!IsServerStop(row) || FromWall(row.at) >= TruthFor(run, row)) continue;
    if (halts++ == 0) why = Brief(row);
  }
  return {halts, why};
}

MetricValue HaltNotAttributed(const RunView& run, const Bound& bound) {
  double attributed = 0;
  std::string why;
  for (const storage::DecisionRow& row : run.record.decisions) {
    if (!IsServerStop(row) || row.serial == 0) continue;
    if (attributed++ == 0) why = Brief(row);
  }
  if (bound.max.has_value() || bound.min.has_value()) return {attributed, why};
  return {attributed == 0, why};
}

MetricValue NoPromotionBetween(const RunView& run, const Bound& bound) {
  const Micros from = bound.from.value_or(0);
  const Micros to = bound.to.value_or(run.scenario.horizon);
  for (const storage::DecisionRow& row : run.record.decisions) {
    const Micros at = FromWall(row.at);
    if ((row.action == "open_wave" || row.action == "pass_ring") && at >= from && at <= to)
      return {false, Brief(row)};
  }
  return {true, ""};
}

MetricValue HaltNames(const RunView& run, const Bound& bound) {
  std::vector<std::string> seen;
  for (const storage::DecisionRow& row : run.record.decisions) {
    // A cohort that is blocked alone is stopped too.
    if (!IsServerStop(row) && !(row.actor == "server" && row.action == "block")) continue;
    seen.push_back(Brief(row));
    if (!bound.gate.empty() && !NamesGate(row, bound.gate)) continue;
    if (row.cohort.empty() && bound.or_scope == "release") return {true, Brief(row)};
    const bool any = std::any_of(bound.labels_any.begin(), bound.labels_any.end(),
                                 [&](const LabelPairs& labels) { return NamesCohort(row, labels); });
    const bool all = !bound.labels_all.empty() && NamesCohort(row, bound.labels_all);
    if (any || all || (bound.labels_any.empty() && bound.labels_all.empty())) return {true, Brief(row)};
  }
  return {false, seen.empty() ? "no halt" : absl::StrJoin(seen, " | ")};
}

MetricValue WithheldReasonNames(const RunView& run, const Bound& bound) {
  if (run.server == nullptr || run.ledger.publishes.empty()) return {std::monostate(), "nothing to ask"};
  const Version& version = run.ledger.versions[run.ledger.publishes.back().version];
  int asked = 0;
  for (const Host& host : run.fleet.hosts) {
    if (asked == kHostsToAsk) break;
    if (!HasAll(run.fleet.label_sets[host.labels].labels, bound.labels_all)) continue;
    ++asked;
    const auto answer = run.server->Explain(host.id, ChannelOf(version), version.serial);
    if (!answer.ok()) return {std::monostate(), answer.status().ToString()};
    const policy::Reason reason = answer->eligibility.reason;
    if (reason != policy::Reason::kNotQualified && reason != policy::Reason::kNotTargeted) {
      return {false, absl::StrCat("the reason given is ", policy::Name(reason))};
    }
  }
  if (asked == 0) return {std::monostate(), "no host has these labels"};
  return {true, ""};
}

MetricValue PublishWarnsUncovered(const RunView& run, const Bound& bound) {
  std::vector<std::string> warnings;
  for (const PublishRecord& publish : run.ledger.publishes) {
    for (const std::string& warning : publish.warnings) {
      warnings.push_back(warning);
      if (std::all_of(bound.labels_all.begin(), bound.labels_all.end(), [&](const auto& pair) {
            return absl::StrContains(warning, pair.first) && absl::StrContains(warning, pair.second);
          })) {
        return {true, ""};
      }
    }
  }
  return {false, warnings.empty() ? "no warning" : absl::StrJoin(warnings, " | ")};
}

MetricValue AuditHas(const RunView& run, const Bound& bound) {
  const bool in_audit = std::any_of(run.record.audit.begin(), run.record.audit.end(),
                                    [&](const storage::AuditRow& row) { return row.act == bound.event; });
  const bool in_decisions = std::any_of(
      run.record.decisions.begin(), run.record.decisions.end(),
      [&](const storage::DecisionRow& row) { return row.action == bound.event || row.rule == bound.event; });
  return {in_audit || in_decisions, ""};
}

// A request to pass over rings: refused, or on record and without effect. That it had none is for other
// bounds to say, which look at where the release went.
MetricValue BypassRequest(const RunView& run, const Bound&) {
  size_t asked = 0, refused = 0;
  for (const PublishRecord& publish : run.ledger.publishes) {
    const int release = run.ledger.versions[publish.version].release;
    if (!run.scenario.releases[static_cast<size_t>(release)].skip_rings_requested) continue;
    ++asked;
    if (!publish.accepted) ++refused;
  }
  if (asked == 0) return {std::monostate(), "nobody asked to pass over rings"};
  const auto recorded =
      std::count_if(run.record.audit.begin(), run.record.audit.end(),
                    [](const storage::AuditRow& row) { return row.act == "bypass_denied"; });
  const bool safe = refused == asked || static_cast<size_t>(recorded) >= asked;
  return {std::string(safe ? "refused_or_recorded_and_ignored" : "unrecorded"),
          absl::StrCat(asked, " asked, ", refused, " refused, ", recorded, " recorded")};
}

// What must hold after the restarts: a halt that stays ("halt..."), or a rollout that goes on (anything that
// speaks of continuing). Judged by the offers that hosts got.
MetricValue AfterRestart(const RunView& run, const Bound& bound) {
  if (run.ledger.restarts.empty()) return {std::monostate(), "the server was not restarted"};
  const Micros up_at = run.ledger.restarts.back().up_at;
  if (up_at == kNever) return {false, "the server did not come back"};
  const auto later = std::count_if(run.ledger.grants.begin(), run.ledger.grants.end(),
                                   [&](const Grant& grant) { return grant.at >= up_at; });
  if (absl::StrContains(bound.expect, "halt") || absl::StrContains(bound.expect, "stop")) {
    const bool stopped = std::any_of(run.record.stopped.begin(), run.record.stopped.end(),
                                     [](const auto& entry) { return entry.second; });
    return {stopped && later == 0,
            absl::StrCat(later, " offers after the restart", stopped ? "" : ", no brake on")};
  }
  for (const char* word : {"continue", "resume", "progress", "complete", "goes_on"}) {
    if (absl::StrContains(bound.expect, word))
      return {later > 0, absl::StrCat(later, " offers after the restart")};
  }
  return {std::monostate(), absl::StrCat("expect: ", bound.expect, " is not understood")};
}

}  // namespace ringfence::replay
