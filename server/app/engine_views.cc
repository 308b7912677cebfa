// What people see: rollouts, hosts, explanations, status.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/deny.h"
#include "server/app/engine.h"
#include "server/gate/gate.h"

namespace ringfence::app {
namespace {

// A brake shows at once, even before the stage's next step has noted it.
policy::StageState Shown(policy::StageState state, const BrakeView& brakes) {
  using policy::StageState;
  if (state != StageState::kOpen && state != StageState::kPaused && state != StageState::kHeld) return state;
  if (brakes.halted) return StageState::kHalted;
  if (brakes.held) return StageState::kHeld;
  if (brakes.tenant_paused || brakes.vendor_paused) return StageState::kPaused;
  return state;
}

bool Concerns(const storage::Scope& scope, const policy::Release& release, const std::string& tenant) {
  return (scope.channel.empty() || scope.channel == release.channel) &&
         (scope.serial == 0 || scope.serial == release.serial) &&
         (tenant.empty() || scope.tenant.empty() || scope.tenant == tenant);
}

}  // namespace

std::string Engine::InternalCannotStart(const std::string& channel) {
  const std::string& name = options_.internal_tenant;
  if (name.empty()) return "";
  const auto found = tenant_index_.find(name);
  if (found == tenant_index_.end() || !tenants_[found->second].plan.has_value()) {
    return absl::StrCat("the vendor's own tenant ", name, " has no plan, and every release starts there");
  }
  if (!channel.empty() && policy::FindRule(tenants_[found->second].plan->plan, channel) == nullptr) {
    return absl::StrCat("the plan of the vendor's own tenant ", name, " does not name channel ", channel,
                        ", and every release starts there");
  }
  for (const LabelSet& set : label_sets_) {
    if (set.tenant == found->second && set.ring >= 0 && set.hosts > 0) return "";
  }
  return absl::StrCat("no host of the vendor's own tenant ", name,
                      " is in a ring of its plan, and every release starts there");
}

RolloutInfo Engine::InfoOf(ReleaseState& release, const std::string& tenant) {
  RolloutInfo info;
  info.release = release.row;
  info.version = version_;
  for (const auto& stage : stages_) {
    if (stage->release != &release || (!tenant.empty() && stage->row.tenant != tenant)) continue;
    StageInfo& out = info.stages.emplace_back();
    out.row = stage->row;
    out.row.state = Shown(stage->row.state, BrakesOn(*stage));
    const auto& counts = stage->by_outcome;
    const auto of = [&](storage::Outcome outcome) { return counts[static_cast<size_t>(outcome)]; };
    out.outcomes = {stage->exposed,
                    of(storage::Outcome::kPending),
                    of(storage::Outcome::kConfirmed),
                    of(storage::Outcome::kCrashed),
                    of(storage::Outcome::kFailed),
                    of(storage::Outcome::kSilent),
                    of(storage::Outcome::kReverted),
                    of(storage::Outcome::kRefused),
                    of(storage::Outcome::kUnused)};
    out.revisit_at = stage->revisit_at;
    const auto& plan = tenants_[stage->tenant].plan;
    if (plan.has_value() && stage->ring >= 0) {
      const policy::Ring& ring = plan->plan.rings[static_cast<size_t>(stage->ring)];
      out.waves = static_cast<int>(ring.waves.size());
      out.soak = SoakOf(*stage);
    }
  }
  if (info.stages.empty()) {
    info.why = InternalCannotStart(release.release().channel);
    if (info.why.empty() && !tenant.empty() && tenant != options_.internal_tenant &&
        !InternalPassed(release)) {
      info.why = policy::Sentence(policy::Reason::kInternalNotPassed);
    }
    if (info.why.empty()) info.why = "no ring has taken it";
  }
  info.rings_to_come = RingsToCome(release, tenant);
  info.unacknowledged = Unacknowledged(release, tenant);
  const std::string& internal = options_.internal_tenant;
  const auto order = [&](const StageInfo& s) {
    mu_.AssertHeld();
    const auto t = tenant_index_.find(s.row.tenant);
    int ring = 1 << 20;
    for (const auto& stage : stages_) {
      if (stage->row.stage == s.row.stage && stage->ring >= 0) ring = stage->ring;
    }
    return std::make_tuple(s.row.tenant != internal, t == tenant_index_.end() ? "" : s.row.tenant, ring);
  };
  std::stable_sort(info.stages.begin(), info.stages.end(),
                   [&](const StageInfo& a, const StageInfo& b) { return order(a) < order(b); });

  for (const auto& [scope, brake] : brakes_) {
    if (Concerns(scope, release.release(), tenant) && (brake.Stops() || brake.reverting))
      info.brakes.push_back(brake);
  }

  info.health.m_r = release.m_r();
  info.health.m_a = release.m_a();
  info.health.action = policy::Name(policy::ActionFor(release.m_r(), release.m_a(), false));
  const ReleaseJudgement& judgement = release.judgement;
  if (release.m_r() >= policy::kQuiet || release.m_a() >= policy::kHoldAt) {
    const std::optional<policy::CellIndex> cell =
        release.judgement.Suspected(/*by_guard=*/release.m_r() < policy::kQuiet);
    if (cell.has_value()) info.health.suspected = judgement.NameOf(*cell);
  }
  // Customers do not hear of each other.
  for (const std::string& cell : BlockedCohorts(release)) {
    const bool of_tenant = IsTenantCell(cell);
    if (!of_tenant || tenant.empty() || cell == CellOfTenant(tenant)) info.health.blocked.push_back(cell);
  }
  info.health.unproven = policy::InUse(BudgetOf(release));
  info.health.healthy = release.budget.healthy;
  info.health.budget =
      static_cast<int64_t>(policy::Cap(release.budget.b0, release.budget.healthy, release.m_r()));
  const FleetNanos now = FleetNow();
  // The release as a whole, and of each gate the cell that stands worst: for the plan that is asked about, or
  // the first.
  for (const GateConfig& config : gate_configs_) {
    const bool asked =
        tenant.empty() || std::any_of(config.tenants.begin(), config.tenants.end(), [&](uint32_t t) {
          mu_.AssertHeld();
          return tenants_[t].name == tenant;
        });
    if (!asked) continue;
    const FleetNanos from = tenant.empty() ? 0 : WindowsFrom(release, tenant);
    for (GateReading& whole : ReadGates(release, config.gates, -1, from, now))
      info.health.gates.push_back(std::move(whole));
    std::map<policy::GateKind, GateReading> worst;
    for (CellId cell = 0; cell < cells_.size(); ++cell) {
      for (const GateReading& reading : ReadGates(release, config.gates, cell, from, now)) {
        if (reading.bad == 0) continue;
        const auto [it, added] = worst.try_emplace(reading.gate, reading);
        const auto share = [](const GateReading& r) {
          return (static_cast<double>(r.bad) - r.expected) /
                 std::max<double>(1, static_cast<double>(r.exposed));
        };
        if (!added && (reading.breached > it->second.breached || share(reading) > share(it->second))) {
          it->second = reading;
        }
      }
    }
    for (const auto& [kind, reading] : worst) info.health.gates.push_back(reading);
    break;
  }

  info.ledger.exposed = release.exposed;
  info.ledger.harmed = release.harmed;
  info.ledger.saved = release.saved;
  info.ledger.staging_failed = static_cast<int64_t>(release.staging_failed.size());
  info.ledger.first_harm_at = release.first_harm_at;
  info.ledger.last_lease_at = release.last_lease_at;
  for (LabelSet& set : label_sets_) {
    if (set.hosts == 0) continue;
    if (policy::IsTargeted(release.release(), set.labels) &&
        policy::IsQualified(release.release(), set.labels)) {
      info.ledger.reachable += set.hosts;
    }
  }
  info.ledger.reachable =
      std::max<int64_t>(0, std::min(info.ledger.reachable, fleet_.size() - silent_hosts_));
  for (const Exposure& exposure : release.exposures) {
    if (!exposure.committed || !exposure.activated || exposure.left ||
        exposure.standing == policy::Standing::kFree)
      continue;
    if (!tenant.empty() && exposure.stage->row.tenant != tenant) continue;
    const BrakeView brakes = BrakesOn(*exposure.stage);
    info.revert_outstanding += brakes.reverting || brakes.recalled || exposure.blocked ? 1 : 0;
  }
  return info;
}

absl::StatusOr<RolloutInfo> Engine::GetRollout(const std::string& channel, uint64_t serial,
                                               const std::string& tenant) {
  MutexLock lock(&mu_);
  ReleaseState* release = FindRelease(channel, serial);
  if (release == nullptr) {
    return absl::NotFoundError(serial == 0
                                   ? absl::StrCat("channel: nothing was published in \"", channel, "\"")
                                   : absl::StrCat("no release ", channel, " ", serial));
  }
  return InfoOf(*release, tenant);
}

std::vector<RolloutInfo> Engine::ListRollouts(const std::string& channel, const std::string& tenant) {
  MutexLock lock(&mu_);
  std::vector<RolloutInfo> rollouts;
  for (const auto& release : releases_) {
    if (channel.empty() || release->release().channel == channel)
      rollouts.push_back(InfoOf(*release, tenant));
  }
  std::sort(rollouts.begin(), rollouts.end(),
            [](const auto& a, const auto& b) { return a.release.rollout > b.release.rollout; });
  return rollouts;
}

absl::StatusOr<std::vector<storage::DecisionRow>> Engine::Decisions(const storage::DecisionFilter& filter) {
  std::vector<storage::DecisionRow> rows;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(rows, tx.Decisions(filter));
    return absl::OkStatus();
  }));
  return rows;
}

absl::StatusOr<EvidenceReply> Engine::Evidence(const std::string& channel, uint64_t serial) {
  EvidenceReply reply;
  {
    MutexLock lock(&mu_);
    const ReleaseState* release = FindRelease(channel, serial);
    if (release == nullptr) return absl::NotFoundError(absl::StrCat("no release ", channel, " ", serial));
    reply.judgement.channel = channel;
    reply.judgement.serial = release->release().serial;
    reply.judgement.rho0 = release->rho0();
  }
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::JudgementRow> row,
                     tx.Judgement(channel, reply.judgement.serial));
    if (row.has_value()) reply.judgement = *row;
    ASSIGN_OR_RETURN(reply.records, tx.EvidenceRecords(channel, reply.judgement.serial));
    return absl::OkStatus();
  }));
  std::erase_if(reply.records, [&](const auto& record) { return record.test != reply.judgement.test; });
  for (storage::EvidenceRecordRow& record : reply.records) {
    std::erase_if(record.events, [&](const storage::EvidenceEvent& event) {
      return ReleaseJudgement::IsForgotten(reply.judgement, record.at, event.cells);
    });
  }
  std::stable_sort(reply.records.begin(), reply.records.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  return reply;
}

absl::StatusOr<std::vector<storage::AuditRow>> Engine::Audit(const storage::AuditFilter& filter) {
  std::vector<storage::AuditRow> rows;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(rows, tx.Audit(filter));
    return absl::OkStatus();
  }));
  return rows;
}

std::map<std::string, int64_t> Engine::RingsToCome(const ReleaseState& release, const std::string& tenant) {
  using policy::Reason;
  const policy::Release& of = release.release();
  const absl::Time now = clock_->Now();
  const bool internal_passed = InternalPassed(release);
  absl::flat_hash_set<std::pair<uint32_t, std::string>> passed;
  for (const auto& stage : stages_) {
    if (stage->release == &release && policy::CountsAsPassed(stage->row.state))
      passed.insert({stage->tenant, stage->row.ring});
  }
  std::map<std::string, int64_t> rings;
  for (uint32_t t = 0; t < tenants_.size(); ++t) {
    const Tenant& one = tenants_[t];
    if (!one.plan.has_value() || (!tenant.empty() && one.name != tenant)) continue;
    const policy::Plan& plan = one.plan->plan;
    if (policy::FindRule(plan, of.channel) == nullptr) continue;
    const BrakeView brakes = BrakesOn(one.name, of.channel, of.serial, "");
    policy::ReleaseProgress progress;
    progress.serial = of.serial;
    progress.version = of.version;
    progress.digest = of.digest;
    progress.artifacts = policy::ArtifactDigests(of);
    progress.urgent = of.urgent;
    progress.stopped = brakes.halted || brakes.recalled;
    progress.internal_passed = internal_passed || one.name == options_.internal_tenant;
    progress.healthy_age = release.row.healthy_age;
    progress.age = now - of.published_at;
    for (const policy::Ring& ring : plan.rings)
      progress.ring_passed.push_back(passed.contains({t, ring.name}));
    for (size_t i = 0; i < plan.rings.size(); ++i) {
      // What works on it is listed as a stage, and what works on a newer one has skipped it.
      const Stage* current = CurrentStage(t, of.channel, plan.rings[i].name);
      if (current != nullptr && current->row.serial >= of.serial) continue;
      const Reason why =
          policy::ChooseRelease(plan, static_cast<int>(i), of.channel, {&progress, 1}, IsFirstToTake(t), now)
              .reason;
      if (why == Reason::kNone || why == Reason::kInternalNotPassed || why == Reason::kEarlierRingNotPassed ||
          why == Reason::kMinAge)
        ++rings[one.name];
    }
  }
  return rings;
}

AgentInfo Engine::InfoOf(HostRef host) {
  AgentInfo info;
  info.row = RowOf(host);
  const Row row = fleet_.With(host, [](Row& r) { return r; });
  const LabelSet& set = label_sets_[row.label_set];
  const auto& plan = tenants_[set.tenant].plan;
  if (plan.has_value() && set.ring >= 0 && !row.deleted)
    info.ring = plan->plan.rings[static_cast<size_t>(set.ring)].name;
  info.silent = row.silent;
  for (const storage::Running& one : running_sets_[row.running_set]) {
    AgentInfo::RunningVersion& version = info.running.emplace_back();
    version.channel = one.channel;
    version.digest = one.digest;
    const auto it = release_by_digest_.find(one.digest);
    if (it == release_by_digest_.end()) continue;
    version.version = releases_[it->second]->release().version;
    version.serial = releases_[it->second]->release().serial;
  }
  return info;
}

std::vector<AgentInfo> Engine::ListAgents(const ListAgentsRequest& request) {
  MutexLock lock(&mu_);
  std::vector<std::pair<AgentId, HostRef>> found;
  fleet_.ForEach([&](HostRef host, Row& row) {
    mu_.AssertHeld();
    if (row.deleted || (request.silent_only && !row.silent)) return;
    if (request.after.has_value() && row.agent <= *request.after) return;
    const LabelSet& set = label_sets_[row.label_set];
    const Tenant& tenant = tenants_[set.tenant];
    if (!request.tenant.empty() && tenant.name != request.tenant) return;
    if (!request.ring.empty()) {
      if (!tenant.plan.has_value() || set.ring < 0) return;
      if (tenant.plan->plan.rings[static_cast<size_t>(set.ring)].name != request.ring) return;
    }
    found.emplace_back(row.agent, host);
  });
  const size_t limit = std::min(found.size(), static_cast<size_t>(std::max(0, request.limit)));
  std::partial_sort(found.begin(), found.begin() + static_cast<int64_t>(limit), found.end());
  std::vector<AgentInfo> agents;
  for (size_t i = 0; i < limit; ++i) agents.push_back(InfoOf(found[i].second));
  return agents;
}

absl::StatusOr<AgentInfo> Engine::GetAgent(const AgentId& agent) {
  AgentInfo info;
  std::vector<std::pair<std::string, uint64_t>> unloaded;  // of those the store alone knows who was exposed
  {
    MutexLock lock(&mu_);
    const HostRef host = fleet_.Find(agent);
    if (host == kNoHost) return absl::NotFoundError("id: no such agent");
    info = InfoOf(host);
    for (const auto& release : releases_) {
      const policy::Release& of = release->release();
      if (!release->live) unloaded.emplace_back(of.channel, of.serial);
      for (const Exposure& exposure : release->exposures) {
        if (exposure.host != host || !exposure.committed) continue;
        storage::ExposureRow& row = info.exposures.emplace_back();
        row.tenant = info.row.tenant;
        row.channel = of.channel;
        row.serial = of.serial;
        row.agent = agent;
        row.ring = exposure.stage->row.ring;
        row.wave = exposure.wave;
        row.exposed_at = exposure.exposed_at;
        row.activated = exposure.activated;
        row.outcome = exposure.outcome;
        row.outcome_at = exposure.outcome_at;
        row.previous = exposure.previous;
      }
    }
  }
  if (!unloaded.empty()) {
    std::vector<storage::ExposureRow> rows;
    RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(rows, tx.ExposuresOf(info.row.tenant, agent, unloaded));
      return absl::OkStatus();
    }));
    info.exposures.insert(info.exposures.end(), rows.begin(), rows.end());
  }
  std::stable_sort(info.exposures.begin(), info.exposures.end(),
                   [](const storage::ExposureRow& a, const storage::ExposureRow& b) {
                     return a.exposed_at > b.exposed_at;
                   });
  return info;
}

ServerStatus Engine::Status() {
  MutexLock lock(&mu_);
  ServerStatus status;
  status.internal_tenant = options_.internal_tenant;
  status.database_up = !database_down_;
  status.blind = blind_;
  status.replica_epoch = replica_epoch_;
  status.leader = !overtaken_;
  status.checkin_interval = options_.checkin_interval;
  for (const LabelSet& set : label_sets_) status.agents += set.hosts;
  status.agents_silent = silent_hosts_;
  status.now = clock_->Now();
  if (options_.internal_tenant.empty()) {
    status.notices.push_back("no internal tenant: the first ring of each plan is its canary");
  }
  if (const std::string why = InternalCannotStart(""); !why.empty()) status.notices.push_back(why);
  const gate::Trust* trust = options_.trust.get();
  if (trust == nullptr) {
    status.notices.push_back(
        "releases are unsigned and unproven: a release is as trustworthy as its publisher's token");
  } else if (roles_.empty() && repository_trouble_.empty()) {
    status.notices.push_back(
        "nothing was published out of the release repository yet: agents have nothing to verify");
  }
  if (!repository_trouble_.empty())
    status.notices.push_back(absl::StrCat("the release repository cannot be read: ", repository_trouble_));
  status.repository = roles_;
  for (const gate::RoleState& role : roles_) {
    const absl::Duration left = role.expires - status.now;
    if (left <= absl::ZeroDuration()) {
      status.notices.push_back(
          absl::StrCat("the metadata of ", role.role,
                       " has expired: agents activate nothing new until it is signed again"));
    } else if (left < gate::SignAgainWithin(role.role)) {
      status.notices.push_back(absl::StrCat("the metadata of ", role.role, " expires in ",
                                            left >= absl::Hours(48)
                                                ? absl::StrCat(left / absl::Hours(24), " days")
                                                : absl::StrCat(left / absl::Hours(1), " hours"),
                                            ": sign it again"));
    }
  }
  for (std::string& notice : AboutOrderKeys()) status.notices.push_back(std::move(notice));
  if (trust != nullptr && trust->throwaway) {
    status.notices.push_back("throwaway keys: what is signed and proven here is so for a demonstration only");
  }
  if (blind_)
    status.notices.push_back(
        "blind: too few check-ins arrive to tell silence from deafness; nothing is promoted");
  if (database_down_) status.notices.push_back("the database does not answer: nothing is offered");
  return status;
}

}  // namespace ringfence::app
