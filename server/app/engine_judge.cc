// Both judges: the method (test R, guard A) over matured spells, and the plans' SLO gates over all exposed
// hosts.
#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ringfence/base/utf8.h"
#include "ringfence/policy/judge/stop_state.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

using policy::GateKind;
using storage::Outcome;

constexpr size_t kRejectionsHalt = 3;
// Of the 2.5 intervals in which a host is listened to, so many check-ins are certain whatever their jitter. A
// sensor's spell lasts longer by the downtime that its update may take, and asks for no more.
constexpr int64_t kCertainCheckIns = 2;
constexpr int64_t kOwnControl =
    20;  // a cell with fewer hosts without the release is compared with all of them

// What a gate was judged by.
record::GateEvidence EvidenceOf(const policy::SloGates& gates, const GateReading& reading) {
  record::GateEvidence evidence;
  evidence.gate = reading.gate;
  evidence.cohort = reading.cohort;
  evidence.breached = reading.breached;
  evidence.suspect = reading.suspect;
  evidence.rate_counts = {reading.bad, reading.exposed};
  evidence.crashes = reading.crashes;
  evidence.silence_counts = reading.silence;
  switch (reading.gate) {
    case GateKind::kCrash:
      evidence.rate = gates.crash.value_or(policy::RateGate{});
      break;
    case GateKind::kDegraded:
      evidence.rate = gates.degraded.value_or(policy::RateGate{});
      break;
    case GateKind::kSilence:
      evidence.silence = gates.silence.value_or(policy::SilenceGate{});
      break;
  }
  return evidence;
}

}  // namespace

record::Figures Engine::FiguresOf(const ReleaseState& release) const {
  const policy::HealthReading& reading = release.judgement.reading();
  return {reading.m_r,
          reading.m_r_in_order,
          reading.m_a,
          policy::InUse(BudgetOf(release)),
          release.budget.healthy,
          release.exposed};
}

std::string Engine::MethodEvidence(const ReleaseState& release, const std::string& acted,
                                   const policy::StopState& before,
                                   std::optional<record::ReviewEvidence> review) const {
  record::MethodEvidence method = release.judgement.Look(replica_epoch_);
  method.before = before;
  method.review = std::move(review);
  method.activation_failures = static_cast<int>(release.activation_failed.size());
  method.first_hosts_failed = acted == "first_hosts_failed";
  std::vector<record::GateEvidence> gates;
  for (const GateConfig& config : gate_configs_) {
    for (const GateReading& reading :
         ReadGates(release, config.gates, -1, release.windows_from, FleetNow())) {
      if (reading.bad > 0) gates.push_back(EvidenceOf(config.gates, reading));
    }
  }
  return record::MethodJson(FiguresOf(release), acted, method, gates);
}

void Engine::MatureSpells(ReleaseState& release, FleetNanos now) {
  bool matured = false;
  while (!release.spells.empty()) {
    const uint32_t index = release.spells.front();
    const Spell spell = spells_[index];
    if (spell.t0 + release.d > now) break;
    release.spells.pop_front();
    free_spells_.push_back(index);
    const Row row = fleet_.With(spell.host, [&](Row& r) {
      const Row before = r;
      if (r.spell == index + 1) {
        r.spell = 0;
        r.counts_from = kNever;
      }
      r.recheck_at = 0;
      return before;
    });
    const uint32_t label_set = row.label_set;
    // One function of the check-ins, whatever the arm: not heard in (t0 + a, t0 + D].
    policy::SpellOutcome outcome = {.silent = row.last_seen <= spell.t0 + release.a,
                                    .crashed = spell.crashed};
    // A whole gauge of 0 says nothing: c is 0, so that it would add nothing either.
    if (const double missed = policy::MissedCheckInGauge(row.heard, kCertainCheckIns);
        missed > 0 && row.spell == index + 1) {
      outcome.gauge = missed;
    }
    const policy::Arm arm = release.judgement.Mature(spell.host, outcome);
    matured = true;
    if (arm == policy::Arm::kTreatment && (outcome.silent || outcome.crashed)) {
      if (Exposure* exposure = release.Find(spell.host); exposure != nullptr && exposure->t0 == spell.t0) {
        release.Hear(*exposure, policy::News::kMatured);
      }
    }
    if (arm != policy::Arm::kControl && arm != policy::Arm::kPhantom) continue;
    background_.Count(label_sets_[label_set].host_class, clock_->Now(), {outcome.silent, outcome.crashed});
  }
  if (matured) JudgeMethod(release, clock_->Now());
}

void Engine::SetOutcome(ReleaseState& release, Exposure& exposure, Outcome outcome) {
  if (exposure.outcome == outcome) return;
  --exposure.stage->by_outcome[static_cast<size_t>(exposure.outcome)];
  exposure.outcome = outcome;
  ++exposure.stage->by_outcome[static_cast<size_t>(outcome)];
  exposure.outcome_at = clock_->Now();
  dirty_exposures_[&exposure] = &release;
  ++version_;
}

void Engine::Crashed(ReleaseState& release, Exposure& exposure, FleetNanos now) {
  if (!exposure.blocked) release.AddBad(GateKind::kCrash, exposure.host, exposure.place->cells, now);
  exposure.bad.crashed = clock_->Now();
  dirty_exposures_[&exposure] = &release;
}

void Engine::Degraded(ReleaseState& release, Exposure& exposure, FleetNanos now) {
  if (!exposure.blocked) release.AddBad(GateKind::kDegraded, exposure.host, exposure.place->cells, now);
  exposure.bad.degraded = clock_->Now();
  dirty_exposures_[&exposure] = &release;
}

void Engine::Harmed(ReleaseState& release, Exposure& exposure, Outcome outcome, FleetNanos now) {
  if (exposure.standing == policy::Standing::kFree) return;
  if (!exposure.harmed) {
    exposure.harmed = true;
    ++release.harmed;
    if (!release.first_harm_at.has_value()) release.first_harm_at = clock_->Now();
  }
  SetOutcome(release, exposure, outcome);
  // Taken back from the proven, once: it counts as unproven until it is reverted or proves itself anew.
  release.Hear(exposure, policy::News::kWentBad);
  if (!exposure.silent) release.StartProbation(exposure, now);
}

void Engine::EndProbations(ReleaseState& release, FleetNanos now) {
  while (!release.probations.empty() && release.probations.front().deadline <= now) {
    const auto [deadline, exposure_at] = release.probations.front();
    release.probations.pop_front();
    Exposure& exposure = *exposure_at;
    if (!exposure.in_probation || exposure.deadline != deadline) continue;  // a later one took its place
    exposure.in_probation = false;
    if (!policy::IsUnconfirmed(exposure.standing)) continue;
    if (!exposure.committed) {
      release.StartProbation(exposure, now);
      continue;
    }
    const Row row = fleet_.With(exposure.host, [](Row& r) {
      r.recheck_at = 0;
      return r;
    });
    const bool heard = row.last_seen > deadline - release.d + release.a;
    const bool runs = Runs(exposure.host, release);
    if (!heard) {
      if (row.deleted && !exposure.harmed && !exposure.blocked) {
        // Nobody watches a deleted host any more; its silence counts all the same (invariant 8).
        release.AddBad(GateKind::kSilence, exposure.host, exposure.place->cells, now);
      }
      SetOutcome(release, exposure, Outcome::kSilent);
      if (!row.goodbye) Harmed(release, exposure, Outcome::kSilent, now);
      release.Hear(exposure, policy::News::kMatured);
      exposure.in_probation = false;
      // A silent host starts again when it is heard. One that was heard a moment ago, though too early to
      // prove anything, is not silent yet, and nothing else would start it again.
      if (!row.silent && !row.deleted) release.StartProbation(exposure, now);
    } else if (runs) {
      if (exposure.harmed) {
        exposure.harmed = false;  // repaired
        --release.harmed;
      }
      SetOutcome(release, exposure, Outcome::kConfirmed);
      release.Hear(exposure, policy::News::kProved);
    } else if (exposure.left && exposure.activated) {
      // It moved on to a newer release by itself: no proof of this one, and what was seen of it stays seen.
      if (exposure.outcome == Outcome::kPending) SetOutcome(release, exposure, Outcome::kReverted);
      release.Hear(exposure, policy::News::kReleased);
      release.UpdateSeries(exposure);
    } else if (!exposure.activated && exposure.outcome == Outcome::kPending) {
      release.Uncount(exposure);
      SetOutcome(release, exposure, Outcome::kUnused);
      StaysOnOlder(release, exposure);
    } else if (!exposure.activated) {
      release.Hear(exposure, policy::News::kReleased);  // failed or refused, and runs what it ran
      release.UpdateSeries(exposure);
      StaysOnOlder(release, exposure);
    }
  }
}

void Engine::StaysOnOlder(const ReleaseState& release, const Exposure& exposure) {
  const auto it = release_by_digest_.find(exposure.previous);
  if (it == release_by_digest_.end() || releases_[it->second].get() == &release) return;
  if (Exposure* earlier = releases_[it->second]->Find(exposure.host)) {
    earlier->left = false;
    releases_[it->second]->UpdateSeries(*earlier);
  }
}

const policy::BackgroundRates& Engine::UsualRates(absl::Time now) {
  if (usual_rates_.empty() || now - usual_rates_at_ >= absl::Minutes(1) || now < usual_rates_at_) {
    usual_rates_ = background_.At(now);
    usual_rates_at_ = now;
  }
  return usual_rates_;
}

void Engine::JudgeMethod(ReleaseState& release, absl::Time now) {
  ReleaseJudgement& judgement = release.judgement;
  const policy::HealthReading& reading = judgement.Read(FleetNow(), now, UsualRates(now));

  const storage::Scope scope{"", release.release().channel, release.release().serial, ""};
  policy::StopState state;
  if (const auto it = brakes_.find(scope); it != brakes_.end()) {
    if (it->second.held) state.action = policy::HealthAction::kHold;
    if (it->second.halted || it->second.recalled) state.action = policy::HealthAction::kHalt;
  }
  state.m_r_mark = release.m_r_mark;
  state.m_a_mark = release.m_a_mark;
  state.failures_mark = static_cast<int>(release.failures_mark);
  policy::StopInput input;
  input.reading = reading;
  input.activation_failures = static_cast<int>(release.activation_failed.size());
  input.hold_revert_after = UndecidedFor(scope);
  if (!policy::FirstHostsFailed(BudgetOf(release))) {
    release.first_failed_since = 0;
  } else if (release.first_failed_since == 0) {
    release.first_failed_since = FleetNow();
  }
  input.first_hosts_failed = release.first_failed_since != 0 &&
                             FleetNow() - release.first_failed_since >= policy::kProbationsToMend * release.d;
  const policy::StopState before = state;
  const policy::StopChange stop = policy::Judge(state, input, now);
  if (!stop.changed || !state.stopped()) return;
  if (state.action == policy::HealthAction::kHalt) return ReviewHalt(release, before, now);

  const bool by_guard = stop.rule == "guard_a";
  const bool by_first = stop.rule == "first_hosts_failed";
  const bool by_failures = stop.rule == "activation_failures" || by_first;
  if (!by_failures && AwaitsCell(release, judgement.MayYetBeNamed().has_value(), FleetNow())) return;
  std::optional<policy::CellIndex> cell;
  if (!by_failures) cell = judgement.Suspected(by_guard);
  BrakeChange change;
  change.scope = scope;
  change.actor = "server";
  change.at = now;
  change.held = true;
  change.hold_revert_at = state.revert_at;
  change.rule = stop.rule;
  change.reason =
      by_first ? absl::StrCat(release.budget.failed, " hosts took it, and none has proven healthy")
      : by_failures
          ? absl::StrCat(release.activation_failed.size(), " hosts could not activate it")
          : absl::StrFormat("%s = %.4g reached %g: %s", by_guard ? "M_A" : "M_R",
                            by_guard ? reading.m_a : reading.m_r, policy::kHoldAt, judgement.InWords(cell));
  storage::DecisionRow decision = DecisionFor(release, "hold", change.rule, change.reason, now);
  decision.evidence = MethodEvidence(release, change.rule, before);
  if (cell.has_value()) decision.cohort = judgement.NameOf(*cell);
  Brake(change, std::move(decision));
}

bool Engine::IsJudged(const policy::SloGates& gates, CellId cell) const {
  const absl::string_view key = cells_.KeyOf(cell);
  return std::find(gates.cohort_keys.begin(), gates.cohort_keys.end(), key) != gates.cohort_keys.end();
}

Engine::Sides Engine::SidesSince(const ReleaseState& release, FleetNanos from, int64_t cell) const {
  Sides both{release.exposed_series.Since(from, cell), fleet_series_.Since(from, cell), {}};
  both.without = both.with;
  if (cell >= 0 && both.all.online - both.with.online < kOwnControl) {
    both.all = fleet_series_.Since(from, -1);
    both.without = release.exposed_series.Since(from, -1);
  }
  return both;
}

int64_t Engine::WindowsSince(const ReleaseState& release, int64_t cell, FleetNanos tenant_from,
                             FleetNanos length, FleetNanos now) {
  const FleetNanos first = cell < 0 ? release.exposed_since
                           : static_cast<size_t>(cell) < release.cells.size()
                               ? release.cells[static_cast<size_t>(cell)].exposed_since
                               : 0;
  if (first == 0) return 1;
  return 1 + std::max<FleetNanos>(0, now - std::max({first, release.windows_from, tenant_from})) / length;
}

policy::CrashCounts Engine::CrashesBeside(const ReleaseState& release, const policy::SloGates& gates,
                                          int64_t cell, FleetNanos tenant_from, FleetNanos now) const {
  const FleetNanos window_length = absl::ToInt64Nanoseconds(gates.crash->window);
  const FleetNanos length = std::min(window_length, series_keep_);
  const FleetNanos from = std::max({now - length, release.windows_from, tenant_from});
  const FleetNanos lately_from = std::max(from, now - absl::ToInt64Nanoseconds(policy::kLately));
  const Sides both = SidesSince(release, from, cell);
  const Sides lately = SidesSince(release, lately_from, cell);
  const auto control = [](const Sides& of) {
    return std::max<int64_t>(0, of.all.crashes - of.without.crashes);
  };
  const auto hours = [](const Sides& of) { return std::max(0.0, of.all.host_hours - of.without.host_hours); };
  policy::CrashCounts counts;
  const auto window = release.windows.find({GateKind::kCrash, window_length});
  if (window != release.windows.end()) counts.rate.bad = window->second.After(from, cell).first;
  counts.rate.exposed = cell < 0 ? release.exposed : release.cells[static_cast<size_t>(cell)].exposed_now;
  counts.control = control(both);
  counts.exposed_host_hours = both.with.host_hours;
  counts.control_host_hours = hours(both);
  counts.control_lately = control(lately);
  counts.control_host_hours_lately = hours(lately);
  counts.windows = WindowsSince(release, cell, tenant_from, length, now);
  for (CellId other = 0; other < cells_.size(); ++other) counts.scopes += IsJudged(gates, other) ? 1 : 0;
  return counts;
}

std::vector<GateReading> Engine::ReadGates(const ReleaseState& release, const policy::SloGates& gates,
                                           int64_t cell, FleetNanos tenant_from, FleetNanos now) const {
  std::vector<GateReading> readings;
  const int64_t exposed = cell < 0 ? release.exposed
                          : static_cast<size_t>(cell) < release.cells.size()
                              ? release.cells[static_cast<size_t>(cell)].exposed_now
                              : 0;
  // Distinct bad hosts, and the explained ones.
  const auto count_in = [&](const BadWindow& window) -> std::pair<int64_t, double> {
    if (tenant_from != 0) return window.After(tenant_from, cell);
    if (cell < 0) return {window.all(), window.explained()};
    return {window.in(static_cast<CellId>(cell)), window.explained_in(static_cast<CellId>(cell))};
  };
  const auto bad_in = [&](GateKind kind, absl::Duration window) -> std::pair<int64_t, double> {
    const auto it = release.windows.find({kind, absl::ToInt64Nanoseconds(window)});
    return it == release.windows.end() ? std::pair<int64_t, double>() : count_in(it->second);
  };
  const std::string cohort = cell < 0 ? "" : cells_.NameOf(static_cast<CellId>(cell));
  const auto rate = [&](GateKind kind, const policy::RateGate& gate) {
    const int64_t bad = bad_in(kind, gate.window).first;
    readings.push_back(
        {kind, cohort, bad, exposed, 0, policy::IsBreached(gate, {bad, exposed}), false, {}, {}});
  };
  if (gates.crash.has_value()) {
    const policy::RateGate& gate = *gates.crash;
    rate(GateKind::kCrash, gate);
    GateReading& reading = readings.back();
    if (reading.bad > 0) {
      reading.crashes = CrashesBeside(release, gates, cell, tenant_from, now);
      reading.expected = policy::ExpectedCrashes(reading.crashes);
      reading.suspect = !reading.breached && policy::IsSuspect(gate, reading.crashes, cell < 0);
    }
  }
  if (gates.degraded.has_value()) rate(GateKind::kDegraded, *gates.degraded);
  if (gates.silence.has_value()) {
    const policy::SilenceGate& gate = *gates.silence;
    const FleetNanos from =
        std::max({now - absl::ToInt64Nanoseconds(gate.window), release.windows_from, tenant_from});
    const auto [with, all, without] = SidesSince(release, from, cell);
    const auto unannounced = release.unannounced.find(absl::ToInt64Nanoseconds(gate.window));
    policy::SilenceCounts counts;
    std::tie(counts.all.exposed, counts.all.explained) = bad_in(GateKind::kSilence, gate.window);
    counts.all.control = std::max<int64_t>(0, all.onsets - without.onsets);
    counts.unannounced.control = std::max<int64_t>(0, all.unannounced - without.unannounced);
    if (unannounced != release.unannounced.end()) {
      std::tie(counts.unannounced.exposed, counts.unannounced.explained) = count_in(unannounced->second);
    }
    counts.exposed = exposed;
    counts.windows = WindowsSince(release, cell, tenant_from, absl::ToInt64Nanoseconds(gate.window), now);
    counts.exposed_host_hours = with.host_hours;
    counts.control_host_hours = std::max(0.0, all.host_hours - without.host_hours);
    readings.push_back({GateKind::kSilence,
                        cohort,
                        counts.all.exposed,
                        exposed,
                        policy::ExpectedSilent(counts, counts.all),
                        policy::IsBreached(gate, counts),
                        policy::IsSuspect(gate, counts),
                        counts,
                        {}});
  }
  return readings;
}

void Engine::JudgeGates(ReleaseState& release, const CellList* cells, FleetNanos now) {
  const bool any_bad = std::any_of(release.windows.begin(), release.windows.end(), [&](const auto& entry) {
    mu_.AssertHeld();
    return entry.second.all() > 0 && window_keys_.contains(entry.first);
  });
  if (release.exposed == 0 || !any_bad) {
    release.silence_trips_since = 0;
    return;
  }
  // The first who fall silent may be an outage's first; who else is in it is known an interval later.
  const bool wait =
      release.may_be_outage && (release.silence_trips_since == 0 || now - release.silence_trips_since < h_);
  bool silence_trips = false;
  for (const GateConfig& config : gate_configs_) {
    if (release.tenant_windows_from.empty()) {
      JudgeGatesFrom(release, config, cells, 0, wait, &silence_trips, now);
      continue;
    }
    // Tenants whose brakes were released at different times look at different windows.
    std::map<FleetNanos, GateConfig> by_mark;
    for (const uint32_t tenant : config.tenants) {
      GateConfig& part = by_mark[WindowsFrom(release, tenants_[tenant].name)];
      part.gates = config.gates;
      part.tenants.push_back(tenant);
    }
    for (const auto& [from, part] : by_mark) {
      JudgeGatesFrom(release, part, cells, from, wait, &silence_trips, now);
    }
  }
  if (cells != nullptr) return;  // not all were looked at
  if (!silence_trips) {
    release.silence_trips_since = 0;
  } else if (release.silence_trips_since == 0) {
    release.silence_trips_since = now;
  }
}

FleetNanos Engine::WindowsFrom(const ReleaseState& release, const std::string& tenant) {
  const auto it = release.tenant_windows_from.find(tenant);
  return it == release.tenant_windows_from.end() ? 0 : it->second;
}

void Engine::JudgeGatesFrom(ReleaseState& release, const GateConfig& config, const CellList* cells,
                            FleetNanos tenant_from, bool wait, bool* silence_trips, FleetNanos now) {
  std::vector<int64_t> scopes = {-1};
  for (CellId cell = 0; cell < cells_.size(); ++cell) {
    const bool looked_at = cells == nullptr || std::find(cells->begin(), cells->end(), cell) != cells->end();
    if (looked_at && IsJudged(config.gates, cell)) scopes.push_back(cell);
  }
  for (const int64_t scope : scopes) {
    for (const GateReading& reading : ReadGates(release, config.gates, scope, tenant_from, now)) {
      if (!reading.breached && !reading.suspect) continue;
      if (reading.gate == GateKind::kSilence) {
        *silence_trips = true;
        if (wait) continue;
      }
      OnBreach(release, config, reading);
    }
  }
}

void Engine::OnBreach(ReleaseState& release, const GateConfig& config, const GateReading& reading) {
  if (AwaitsCell(release, IsOfOneCell(release, config, reading), FleetNow())) return;
  const policy::OnBreach wanted = reading.breached ? config.gates.on_breach : policy::OnBreach::kHold;
  const std::string& channel = release.release().channel;
  const uint64_t serial = release.release().serial;
  // Whom it stops: everyone, when the vendor's own plan is breached or every plan of the channel is.
  std::vector<storage::Scope> scopes;
  bool everyone = true;
  for (uint32_t t = 0; t < tenants_.size(); ++t) {
    if (!tenants_[t].plan.has_value() || policy::FindRule(tenants_[t].plan->plan, channel) == nullptr)
      continue;
    const bool breached = std::find(config.tenants.begin(), config.tenants.end(), t) != config.tenants.end();
    everyone = everyone && breached;
    if (breached) scopes.push_back({tenants_[t].name, channel, serial, ""});
    if (breached && tenants_[t].name == options_.internal_tenant) {
      everyone = true;
      break;
    }
  }
  if (everyone) scopes = {{"", channel, serial, ""}};

  const std::string name = policy::Name(reading.gate);
  std::string why = absl::StrCat(reading.bad, " of ", reading.exposed, " exposed hosts",
                                 reading.cohort.empty() ? "" : absl::StrCat(" with ", reading.cohort),
                                 reading.gate == GateKind::kSilence ? " fell silent"
                                 : reading.gate == GateKind::kCrash ? " crashed"
                                                                    : " report a bad metric");
  const bool by_few = reading.suspect && !reading.breached;
  if (reading.gate == GateKind::kSilence || by_few) {
    absl::StrAppendFormat(&why, "; hosts without the release predict %.*f",
                          reading.gate == GateKind::kSilence ? 1 : 4, reading.expected);
  }
  if (by_few) absl::StrAppend(&why, "; too few to halt, too many for chance");
  for (const storage::Scope& scope : scopes) {
    const auto on_release = brakes_.find({"", channel, serial, ""});
    const auto it = brakes_.find(scope);
    const auto stopped = [&](const auto& found) {
      mu_.AssertHeld();
      if (found == brakes_.end()) return false;
      const storage::BrakeRow& row = found->second;
      return row.halted || row.recalled || (wanted == policy::OnBreach::kHold && row.held);
    };
    if (stopped(on_release) || stopped(it)) continue;
    BrakeChange change;
    change.scope = scope;
    change.actor = "server";
    change.at = clock_->Now();
    change.rule = absl::StrCat("gate_", name);
    change.reason = why;
    std::string action = "halt";
    switch (wanted) {
      case policy::OnBreach::kHold:
        change.held = true;
        change.hold_revert_at = change.at + UndecidedFor(scope);
        action = "hold";
        break;
      case policy::OnBreach::kHalt:
        change.halted = true;
        break;
      case policy::OnBreach::kHaltAndRevert:
        change.halted = true;
        change.reverting = true;
        break;
    }
    storage::DecisionRow decision = DecisionFor(release, action, change.rule, why, change.at);
    decision.tenant = scope.tenant;
    decision.cohort = reading.cohort;
    decision.evidence = record::GateJson(FiguresOf(release), change.rule, EvidenceOf(config.gates, reading));
    Brake(change, std::move(decision));
  }
}

void Engine::OnRejected(ReleaseState& release, HostRef host, const LabelSet& set, const std::string& detail) {
  release.rejected.insert(host);
  const std::string& tenant = tenants_[set.tenant].name;
  const bool internal = tenant == options_.internal_tenant;
  const bool halt =
      internal || options_.internal_tenant.empty() || release.rejected.size() >= kRejectionsHalt;
  BrakeChange change;
  change.scope = {internal ? "" : tenant, release.release().channel, release.release().serial, ""};
  const auto it = brakes_.find(change.scope);
  if (it != brakes_.end() && (it->second.halted || (it->second.held && !halt))) return;
  change.actor = "server";
  change.at = clock_->Now();
  change.rule = "rejected_file";
  // Cut between characters: a halt whose reason is half a character no database would take.
  change.reason = absl::StrCat(release.rejected.size(), " agents refused the file: ", Legible(detail, 200));
  if (halt) {
    change.halted = true;
    change.reverting = true;
  } else {
    change.held = true;
    change.hold_revert_at = change.at + UndecidedFor(change.scope);
  }
  storage::DecisionRow decision =
      DecisionFor(release, halt ? "halt" : "hold", change.rule, change.reason, change.at);
  decision.tenant = change.scope.tenant;
  Brake(change, std::move(decision));
}

absl::Duration Engine::UndecidedFor(const storage::Scope& scope) const {
  const auto whose = tenant_index_.find(scope.tenant.empty() ? options_.internal_tenant : scope.tenant);
  if (whose != tenant_index_.end() && tenants_[whose->second].plan.has_value()) {
    return tenants_[whose->second].plan->plan.hold_revert_after;
  }
  std::optional<absl::Duration> shortest;
  for (const Tenant& tenant : tenants_) {
    if (!scope.tenant.empty() || !tenant.plan.has_value()) continue;
    const policy::Plan& plan = tenant.plan->plan;
    if (policy::FindRule(plan, scope.channel) == nullptr) continue;
    shortest = std::min(shortest.value_or(absl::InfiniteDuration()), plan.hold_revert_after);
  }
  return shortest.value_or(policy::Plan().hold_revert_after);
}

void Engine::HoldsRevert(absl::Time now) {
  std::vector<std::pair<storage::Scope, absl::Time>> due;
  for (const auto& [scope, brake] : brakes_) {
    if (brake.held && !brake.reverting && brake.hold_revert_at <= now)
      due.emplace_back(scope, brake.hold_revert_at);
  }
  for (const auto& [scope, at] : due) {
    ReleaseState* release = FindRelease(scope.channel, scope.serial);
    if (release == nullptr) continue;
    BrakeChange change;
    change.scope = scope;
    change.reverting = true;
    change.rule = "hold_undecided";
    change.reason = "nobody decided about the hold: exposed hosts are ordered back, the release stays held";
    change.actor = "server";
    change.at = now;
    storage::DecisionRow decision = DecisionFor(*release, "revert", change.rule, change.reason, now);
    decision.tenant = scope.tenant;
    Brake(change, std::move(decision));
  }
}

}  // namespace ringfence::app
