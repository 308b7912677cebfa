#include "server/api/fleet_gauges.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "ringfence/policy/stage.h"

namespace ringfence::api {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Releases per channel whose own series are shown: the ones being watched are among the newest.
constexpr int kWatchedReleases = 5;

// Families by name, in the order in which they came up.
class Sheet {
 public:
  void Gauge(const char* name, const char* help, const Labels& labels, double value) {
    prometheus::ClientMetric& metric = Add(name, help, prometheus::MetricType::Gauge, labels);
    metric.gauge.value = value;
  }
  void Counter(const char* name, const char* help, const Labels& labels, double value) {
    prometheus::ClientMetric& metric = Add(name, help, prometheus::MetricType::Counter, labels);
    metric.counter.value = value;
  }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Add(const char* name, const char* help, prometheus::MetricType type,
                                const Labels& labels) {
    const auto [at, is_new] = index_.emplace(name, families_.size());
    if (is_new) families_.push_back({name, help, type, {}});
    prometheus::ClientMetric metric;
    for (const auto& [key, value] : labels) metric.label.push_back({key, value});
    std::vector<prometheus::ClientMetric>& metrics = families_[at->second].metric;
    metrics.push_back(std::move(metric));
    return metrics.back();
  }

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, size_t> index_;
};

constexpr policy::StageState kStates[] = {
    policy::StageState::kWaiting, policy::StageState::kOpen,       policy::StageState::kPaused,
    policy::StageState::kHeld,    policy::StageState::kHalted,     policy::StageState::kPassed,
    policy::StageState::kVacant,  policy::StageState::kSuperseded, policy::StageState::kRecalled};

void ShowStage(const app::StageInfo& stage, Sheet& sheet) {
  const Labels ring = {
      {"tenant", stage.row.tenant}, {"channel", stage.row.channel}, {"ring", stage.row.ring}};
  for (const policy::StageState state : kStates) {
    Labels labels = ring;
    labels.emplace_back("state", policy::Name(state));
    sheet.Gauge("ringfence_stage_state", "1 for the state the stage is in", labels,
                stage.row.state == state ? 1 : 0);
  }
  const app::OutcomeCounts& outcomes = stage.outcomes;
  const auto gauge = [&](const char* name, const char* help, int64_t value) {
    sheet.Gauge(name, help, ring, static_cast<double>(value));
  };
  gauge("ringfence_stage_serial", "Serial that the ring works on", static_cast<int64_t>(stage.row.serial));
  gauge("ringfence_stage_wave", "The open wave, from 1", stage.row.wave);
  gauge("ringfence_stage_waves", "Waves of the stage", stage.waves);
  gauge("ringfence_stage_members", "Hosts of the ring that the release targets and covers",
        stage.row.members);
  gauge("ringfence_stage_exposed_hosts", "Hosts exposed in the stage", outcomes.exposed);
  gauge("ringfence_unproven_hosts", "Exposed, and neither proven nor reverted nor unused",
        outcomes.exposed - outcomes.confirmed - outcomes.reverted - outcomes.unused - outcomes.refused);
  gauge("ringfence_healthy_hosts", "Exposed and proven healthy", outcomes.confirmed);
}

int StopLevel(const app::RolloutInfo& info) {
  int level = info.health.action == "brake"  ? 1
              : info.health.action == "hold" ? 2
              : info.health.action == "halt" ? 3
                                             : 0;
  for (const storage::BrakeRow& brake : info.brakes) {
    if (brake.halted || brake.recalled) level = std::max(level, 3);
    if (brake.held) level = std::max(level, 2);
  }
  return level;
}

void ShowRelease(const app::RolloutInfo& info, Sheet& sheet) {
  const Labels release = {{"channel", info.release.release.channel},
                          {"release", info.release.release.version}};
  const auto with = [&](const char* key, const std::string& value) {
    Labels labels = release;
    labels.emplace_back(key, value);
    return labels;
  };
  sheet.Gauge("ringfence_exposure_budget_hosts", "Most hosts that may be unproven now", release,
              static_cast<double>(info.health.budget));
  if (info.release.release.urgent) {
    sheet.Gauge("ringfence_urgent_unacknowledged_tenants",
                "Tenants that the urgent release was announced to, and none of whose people acknowledged it",
                release, static_cast<double>(info.unacknowledged));
  }
  sheet.Gauge("ringfence_stop_level", "0 free, 1 braked, 2 held, 3 halted", release, StopLevel(info));
  sheet.Gauge("ringfence_evidence_log10", "log10 of the combined evidence", with("test", "r"),
              std::log10(info.health.m_r));
  sheet.Gauge("ringfence_evidence_log10", "log10 of the combined evidence", with("test", "a"),
              std::log10(info.health.m_a));
  struct Worst {  // of plans with different windows, and of the label values
    int64_t bad = 0;
    bool breached = false;
  };
  std::map<std::string, Worst> gates;
  for (const app::GateReading& gate : info.health.gates) {
    Worst& worst = gates[policy::Name(gate.gate)];
    if (gate.cohort.empty()) worst.bad = std::max(worst.bad, gate.bad);
    worst.breached = worst.breached || gate.breached;
  }
  for (const auto& [gate, worst] : gates) {
    sheet.Gauge("ringfence_slo_gate_bad_hosts", "Exposed hosts with a bad event in the gate's window",
                with("gate", gate), static_cast<double>(worst.bad));
    sheet.Gauge("ringfence_slo_gate_breached", "1 while the gate's limit is exceeded", with("gate", gate),
                worst.breached ? 1 : 0);
  }
  sheet.Gauge("ringfence_rollback_orders_outstanding", "Ordered back, and not heard on their old version yet",
              release, static_cast<double>(info.revert_outstanding));
  sheet.Gauge("ringfence_slo_gate_exposed_hosts", "All hosts ever exposed to the release", release,
              static_cast<double>(info.ledger.exposed));
  if (StopLevel(info) == 3 && info.ledger.first_harm_at && info.ledger.last_lease_at) {
    const absl::Duration took = *info.ledger.last_lease_at - *info.ledger.first_harm_at;
    sheet.Gauge("ringfence_harm_to_last_lease_seconds", "From the first harm to the last lease", release,
                std::max(0.0, absl::ToDoubleSeconds(took)));
  }
}

// Of each ring the stage it works on: the one made last.
using RingKey = std::tuple<std::string, std::string, std::string>;

void ShowStages(const std::vector<app::RolloutInfo>& rollouts, Sheet& sheet) {
  std::map<RingKey, const app::StageInfo*> current;
  for (const app::RolloutInfo& info : rollouts) {
    for (const app::StageInfo& stage : info.stages) {
      const app::StageInfo*& newest = current[{stage.row.tenant, stage.row.channel, stage.row.ring}];
      if (newest == nullptr || stage.row.stage > newest->row.stage) newest = &stage;
    }
  }
  for (const auto& [key, stage] : current) ShowStage(*stage, sheet);
}

// What the store remembers: it does not start from zero with the process.
void ShowTotals(const std::vector<app::RolloutInfo>& rollouts, Sheet& sheet) {
  struct Totals {
    int64_t published = 0, recalled = 0, outstanding = 0;
    app::OutcomeCounts outcomes;
  };
  std::map<std::string, Totals> channels;
  for (const app::RolloutInfo& info : rollouts) {
    Totals& totals = channels[info.release.release.channel];
    ++totals.published;
    if (info.release.state == storage::ReleaseState::kRecalled) ++totals.recalled;
    for (const app::StageInfo& stage : info.stages) {
      totals.outcomes.confirmed += stage.outcomes.confirmed;
      totals.outcomes.crashed += stage.outcomes.crashed;
      totals.outcomes.failed += stage.outcomes.failed;
      totals.outcomes.silent += stage.outcomes.silent;
      totals.outcomes.reverted += stage.outcomes.reverted;
      totals.outcomes.refused += stage.outcomes.refused;
      totals.outcomes.unused += stage.outcomes.unused;
    }
  }
  for (const auto& [channel, totals] : channels) {
    const Labels labels = {{"channel", channel}};
    sheet.Counter("ringfence_releases_published_total", "Releases taken in", labels,
                  static_cast<double>(totals.published));
    sheet.Counter("ringfence_releases_recalled_total", "Releases withdrawn for good", labels,
                  static_cast<double>(totals.recalled));
    const std::pair<const char*, int64_t> outcomes[] = {
        {"confirmed", totals.outcomes.confirmed}, {"crashed", totals.outcomes.crashed},
        {"failed", totals.outcomes.failed},       {"silent", totals.outcomes.silent},
        {"reverted", totals.outcomes.reverted},   {"refused", totals.outcomes.refused},
        {"unused", totals.outcomes.unused}};
    for (const auto& [outcome, count] : outcomes) {
      sheet.Counter("ringfence_outcomes_total", "Exposures that got their outcome",
                    {{"channel", channel}, {"outcome", outcome}}, static_cast<double>(count));
    }
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> CollectFleetGauges(app::App& app) {
  Sheet sheet;
  const app::ServerStatus status = app.Status();
  sheet.Gauge("ringfence_database_up", "1 if the last write was answered", {}, status.database_up ? 1 : 0);
  sheet.Gauge("ringfence_blind", "1 while silence and deafness cannot be told apart", {},
              status.blind ? 1 : 0);
  sheet.Gauge("ringfence_hosts", "Hosts of all tenants", {{"presence", "online"}},
              static_cast<double>(status.agents - status.agents_silent));
  sheet.Gauge("ringfence_hosts", "Hosts of all tenants", {{"presence", "silent"}},
              static_cast<double>(status.agents_silent));
  for (const gate::RoleState& role : status.repository) {
    sheet.Gauge("ringfence_tuf_expiry_seconds",
                "Until the newest document of the role expires; negative: since it did",
                {{"role", role.role}}, absl::ToDoubleSeconds(role.expires - status.now));
  }
  const std::vector<app::RolloutInfo> rollouts = app.ListRollouts("", "");  // newest first
  ShowStages(rollouts, sheet);
  ShowTotals(rollouts, sheet);
  std::map<std::string, int> shown;
  for (const app::RolloutInfo& info : rollouts) {
    if (++shown[info.release.release.channel] <= kWatchedReleases) ShowRelease(info, sheet);
  }
  return sheet.Take();
}

}  // namespace ringfence::api
