// Start: everything durable becomes memory again, and every host gets a fresh deadline.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

constexpr char kInternalTenant[] = "internal_tenant";
// The exposures of so many newest releases of each channel are watched, and of every older one that some host
// runs. Those of all others are counted only.
constexpr int kLiveReleases = 8;

}  // namespace

absl::Status Engine::Start() {
  MutexLock step(&step_mu_);
  MutexLock commit(&commit_mu_);
  RETURN_IF_ERROR(store_->ReadWrite([this](storage::Transaction& tx) {
    MutexLock lock(&mu_);
    return Load(tx);
  }));
  DescribeRepository();
  return absl::OkStatus();
}

ReleaseState* Engine::AddRelease(storage::ReleaseRow row) {
  const FleetNanos a = h_ * 5 / 4;  // 75 s at h = 60 s
  FleetNanos d = a + h_ * 5 / 2;
  if (row.release.kind == policy::ChannelKind::kSensor)
    d += absl::ToInt64Nanoseconds(options_.sensor_downtime);
  std::vector<Digest> digests = {row.release.digest};
  for (const policy::Artifact& artifact : row.release.artifacts) digests.push_back(artifact.digest);
  auto release = std::make_unique<ReleaseState>(std::move(row), a, d);
  SetSoakTiming(*release);
  for (const auto& [kind, length] : window_keys_) release->AddWindow(kind, length, FleetNow());
  release->windows_from = FleetNow();
  for (const Digest& digest : digests) release_by_digest_[digest] = releases_.size();
  releases_.push_back(std::move(release));
  return releases_.back().get();
}

absl::Status Engine::Load(storage::Transaction& tx) {
  const absl::Time now = clock_->Now();
  ASSIGN_OR_RETURN(const std::optional<std::string> internal, tx.Setting(kInternalTenant));
  if (internal.has_value() && *internal != options_.internal_tenant) {
    return absl::FailedPreconditionError(absl::StrCat(
        "internal tenant: this installation has \"", internal->empty() ? "none" : *internal, "\", not \"",
        options_.internal_tenant.empty() ? "none" : options_.internal_tenant, "\""));
  }
  if (!internal.has_value()) RETURN_IF_ERROR(tx.PutSetting(kInternalTenant, options_.internal_tenant));
  ASSIGN_OR_RETURN(replica_epoch_, tx.NextReplicaEpoch(options_.replica_name, now));

  last_run_ = now;
  fleet_ends_at_.store(absl::ToUnixNanos(now) - blind_nanos_.load() +
                       absl::ToInt64Nanoseconds(LargestStep()));

  // Re-run after a serialization failure: start from nothing each time.
  tenants_.clear();
  tenant_index_.clear();
  releases_.clear();
  release_by_digest_.clear();
  stages_.clear();
  current_stage_.clear();
  brakes_.clear();
  quarantined_.clear();
  consents_.clear();
  fleet_.Clear();
  label_sets_.clear();
  tenant_of_set_.Clear();
  label_set_index_.clear();
  running_sets_.clear();
  running_set_index_.clear();
  fleet_series_ = OnsetSeries();
  online_in_.clear();
  fell_.clear();
  wheel_ = TimingWheel(FleetNow());
  silent_hosts_ = 0;
  online_unexposed_ = 0;
  exposed_until_.clear();
  if (!options_.internal_tenant.empty()) TenantIndex(options_.internal_tenant);
  background_ = Background();
  usual_rates_.clear();
  ASSIGN_OR_RETURN(const std::vector<storage::BackgroundRow> background, tx.Background());
  background_.Restore(background);

  ASSIGN_OR_RETURN(std::vector<storage::PlanRow> plans, tx.NewestPlans());
  for (storage::PlanRow& plan : plans) {
    const uint32_t tenant = TenantIndex(plan.plan.tenant);
    tenants_[tenant].plan = std::move(plan);
  }
  PlansChanged();
  ASSIGN_OR_RETURN(std::vector<storage::ReleaseRow> releases, tx.Releases());
  for (storage::ReleaseRow& row : releases) AddRelease(std::move(row));
  ASSIGN_OR_RETURN(std::vector<storage::BrakeRow> brakes, tx.Brakes());
  notices_.Clear();
  for (storage::BrakeRow& brake : brakes) {
    PostNotice(brake);
    brakes_[brake.scope] = std::move(brake);
  }

  ASSIGN_OR_RETURN(std::vector<storage::ConsentRow> consents, tx.Consents());
  for (storage::ConsentRow& row : consents) {
    consents_[{row.tenant, row.channel, row.serial, row.ring}] = std::move(row);
  }

  ASSIGN_OR_RETURN(std::vector<storage::AcknowledgementRow> acknowledged, tx.Acknowledgements());
  acknowledged_.clear();
  for (storage::AcknowledgementRow& row : acknowledged)
    acknowledged_[{row.tenant, row.channel, row.serial}] = std::move(row);

  ASSIGN_OR_RETURN(const std::vector<storage::SignedRow> documents, tx.SignedDocuments(""));
  for (size_t from = 0, to = 0; from < documents.size(); from = to) {
    while (to < documents.size() && documents[to].tenant == documents[from].tenant) ++to;
    RETURN_IF_ERROR(InstallSigned(TenantIndex(documents[from].tenant),
                                  absl::MakeConstSpan(documents).subspan(from, to - from)));
  }

  const FleetNanos fleet_now = FleetNow();
  RETURN_IF_ERROR(tx.ForEachAgent([&](const storage::AgentRow& row) {
    mu_.AssertHeld();
    AddHost(row, fleet_now);
  }));
  RETURN_IF_ERROR(tx.ForEachQuarantine([&](const storage::QuarantineRow& row) {
    mu_.AssertHeld();
    const HostRef host = fleet_.Find(row.agent);
    if (host == kNoHost) return;
    quarantined_.insert({host, row.digest});
    const auto it = release_by_digest_.find(row.digest);
    if (it == release_by_digest_.end()) return;
    ReleaseState& release = *releases_[it->second];
    if (row.reason == kRejectedReason) release.rejected.insert(host);
    if (row.reason == kActivationFailedReason) {
      release.activation_failed.insert(host);
      const auto brake = brakes_.find({"", release.release().channel, release.release().serial, ""});
      if (brake != brakes_.end() && row.at <= brake->second.resumed_at) ++release.failures_mark;
    }
  }));

  ASSIGN_OR_RETURN(std::vector<storage::StageRow> stages, tx.Stages());
  std::vector<storage::Scope> unbraked;  // an earlier version made its stages without them
  for (const storage::StageRow& row : stages) {
    for (storage::Scope& scope : ScopesOf(row.tenant, row.channel, row.serial, row.ring)) {
      storage::BrakeRow none;
      none.scope = scope;
      if (brakes_.try_emplace(scope, std::move(none)).second) unbraked.push_back(std::move(scope));
    }
  }
  if (!unbraked.empty()) RETURN_IF_ERROR(tx.EnsureBrakes(unbraked));
  for (storage::StageRow& row : stages) {
    Stage* stage = AddStage(std::move(row));
    stage->opened = fleet_now - 10 * h_;
  }
  RETURN_IF_ERROR(RestoreSoaks(tx));
  absl::flat_hash_set<Digest> in_use;
  for (const std::vector<storage::Running>& running : running_sets_) {
    for (const storage::Running& one : running) in_use.insert(one.digest);
  }
  const auto runs = [&](const policy::Release& r) {
    return in_use.contains(r.digest) ||
           std::any_of(r.artifacts.begin(), r.artifacts.end(),
                       [&](const policy::Artifact& artifact) { return in_use.contains(artifact.digest); });
  };
  for (const auto& release : releases_) {
    const policy::Release& r = release->release();
    int newer = 0;
    for (const auto& other : releases_) {
      newer += other->release().channel == r.channel && other->release().serial > r.serial ? 1 : 0;
    }
    const BrakeView brakes_on = BrakesOn("", r.channel, r.serial, "");
    release->live =
        newer < kLiveReleases || runs(r) || brakes_on.reverting || brakes_on.recalled || IsBarrier(r);
    // A ring may still let hosts in: by budgets that must be known.
    for (const auto& [key, stage] : current_stage_)
      release->live = release->live || stage->release == release.get();
    if (!release->live) {
      RETURN_IF_ERROR(tx.CountExposures(r.channel, r.serial, [&](const storage::ExposureCount& count) {
        mu_.AssertHeld();
        CountUnwatched(*release, count);
      }));
      continue;
    }
    int64_t reach = 0;
    for (LabelSet& set : label_sets_) {
      if (Lasting(set, IndexOf(*release)) == policy::Reason::kNone) reach += set.hosts;
    }
    release->budget.b0 = policy::StartBudget(reach);
    release->reach = reach;
    ASSIGN_OR_RETURN(const std::optional<storage::JudgementRow> judgement, tx.Judgement(r.channel, r.serial));
    if (judgement.has_value()) {
      ASSIGN_OR_RETURN(const std::vector<storage::EvidenceRecordRow> records,
                       tx.EvidenceRecords(r.channel, r.serial));
      ASSIGN_OR_RETURN(const std::vector<storage::EvidenceRow> vectors, tx.Evidence(r.channel, r.serial));
      release->judgement.Restore(*judgement, records, vectors);
    }
    RETURN_IF_ERROR(tx.ForEachExposure(r.channel, r.serial, [&](const storage::ExposureRow& row) {
      mu_.AssertHeld();
      RestoreExposure(*release, row);
    }));
    RestoreWindows(*release);
    const auto brake = brakes_.find({"", r.channel, r.serial, ""});
    if (brake != brakes_.end()) {
      release->m_r_mark = brake->second.m_r_mark;
      release->m_a_mark = brake->second.m_a_mark;
    }
  }
  for (const auto& release : releases_) {
    SeeExcluded(*release);
    if (release->live) RETURN_IF_ERROR(RestorePendingNamed(*release, tx));
  }
  // Whatever was counted is not counted again when an agent repeats it.
  seen_events_.clear();
  RETURN_IF_ERROR(tx.ForEachEvent([&](const storage::EventKey& event) {
    mu_.AssertHeld();
    seen_events_.insert(EventHash(event.agent, event.boot_id, event.seq));
  }));
  AskPlans(now);
  Changed();
  return absl::OkStatus();
}

absl::Status Engine::RestoreSoaks(storage::Transaction& tx) {
  std::map<uint32_t, std::vector<storage::PlanRow>> histories;
  for (const auto& stage : stages_) {
    const auto& plan = tenants_[stage->tenant].plan;
    if (policy::IsTerminal(stage->row.state) || policy::CountsAsPassed(stage->row.state) ||
        stage->row.wave_opened_at == absl::InfinitePast() || !plan.has_value()) {
      continue;
    }
    std::vector<storage::PlanRow> revisions = {*plan};
    if (stage->row.plan_revision != plan->revision) {
      const auto [it, added] = histories.try_emplace(stage->tenant);
      if (added) {
        ASSIGN_OR_RETURN(it->second, tx.PlanHistory(stage->row.tenant));
      }
      revisions = it->second;
    }
    for (const storage::PlanRow& revision : revisions) {
      if (revision.revision != stage->row.plan_revision) continue;
      for (const policy::Ring& ring : revision.plan.rings) {
        if (ring.name == stage->row.ring)
          stage->soak = policy::EffectiveSoak(revision.plan, ring, stage->release->release().urgent);
      }
    }
  }
  return absl::OkStatus();
}

void Engine::CountUnwatched(ReleaseState& release, const storage::ExposureCount& count) {
  using storage::Outcome;
  const auto of_stage = std::find_if(stages_.begin(), stages_.end(),
                                     [&](const auto& stage) { return stage->row.stage == count.stage; });
  Stage* stage = of_stage == stages_.end() ? nullptr : of_stage->get();
  if (stage != nullptr) stage->by_outcome[static_cast<size_t>(count.outcome)] += count.exposures;
  release.last_lease_at =
      std::max(release.last_lease_at.value_or(absl::InfinitePast()), count.last_exposed_at);
  if (count.outcome == Outcome::kUnused) return;
  release.exposed += count.exposures;
  if (stage != nullptr) stage->exposed += count.exposures;
  if (count.outcome == Outcome::kReverted) release.saved += count.exposures;
  if (count.outcome == Outcome::kCrashed || count.outcome == Outcome::kSilent ||
      (count.outcome == Outcome::kFailed && count.activated)) {
    release.harmed += count.exposures;
    release.first_harm_at =
        std::min(release.first_harm_at.value_or(absl::InfiniteFuture()), count.first_outcome_at);
  }
}

void Engine::RestoreWindows(ReleaseState& release) {
  // What went bad before this start still counts, oldest first, for as long as each window is, whatever
  // became of the host since (invariant 8); but not what a resume has settled.
  const FleetNanos now = FleetNow();
  const auto fleet_time = [&](absl::Time at) { return now - absl::ToInt64Nanoseconds(clock_->Now() - at); };
  absl::Time from = absl::InfinitePast();
  const auto brake = brakes_.find({"", release.release().channel, release.release().serial, ""});
  if (brake != brakes_.end()) from = brake->second.resumed_at;
  for (const auto& [scope, of_tenant] : brakes_) {
    const bool whole = !scope.tenant.empty() && scope.ring.empty() &&
                       scope.channel == release.release().channel && scope.serial == release.release().serial;
    if (whole && of_tenant.resumed_at > from)
      release.tenant_windows_from[scope.tenant] = fleet_time(of_tenant.resumed_at);
  }
  // Silence is judged against what hosts without the release did in the same window, and that is not on
  // record: one side alone would halt good releases at every start. Nothing is lost: those hosts stay
  // unproven, in the budgets and the figures, and everybody who is away, with the release and without it,
  // falls silent anew.
  struct Bad {
    absl::Time at;
    const Exposure* exposure;
    policy::GateKind kind;
  };
  std::vector<Bad> bad;
  for (const Exposure& exposure : release.exposures) {
    const auto add = [&](absl::Time at, policy::GateKind kind) {
      if (at > from && exposure.place != nullptr && !exposure.blocked) bad.push_back({at, &exposure, kind});
    };
    add(exposure.bad.crashed, policy::GateKind::kCrash);
    add(exposure.bad.degraded, policy::GateKind::kDegraded);
  }
  std::stable_sort(bad.begin(), bad.end(), [](const Bad& a, const Bad& b) { return a.at < b.at; });
  for (const Bad& one : bad)
    release.AddBad(one.kind, one.exposure->host, one.exposure->place->cells, fleet_time(one.at));
  release.ExpireWindows(now);
}

void Engine::RestoreExposure(ReleaseState& release, const storage::ExposureRow& row) {
  const auto tenant = tenant_index_.find(row.tenant);
  Stage* stage = nullptr;
  for (const auto& candidate : stages_) {
    if (candidate->row.stage == row.stage) stage = candidate.get();
  }
  if (stage == nullptr || tenant == tenant_index_.end() || fleet_.Find(row.agent) == kNoHost) return;
  const FleetNanos now = FleetNow();
  Exposure& exposure = release.exposures.emplace_back();
  exposure.host = fleet_.Find(row.agent);
  exposure.stage = stage;
  exposure.wave = row.wave;
  exposure.bucket = row.bucket;
  exposure.exposed_at = row.exposed_at;
  exposure.t0 = now - absl::ToInt64Nanoseconds(clock_->Now() - row.exposed_at);
  exposure.deadline = exposure.t0 + absl::ToInt64Nanoseconds(row.deadline - row.exposed_at);
  exposure.previous = row.previous;
  exposure.rho = row.rho;
  exposure.pi = row.pi;
  exposure.phi = row.phi;
  exposure.outcome = row.outcome;
  exposure.outcome_at = row.outcome_at;
  exposure.bad = row.bad;
  exposure.activated = row.activated;
  exposure.committed = true;
  for (const std::string& cell : row.cells) exposure.cells.push_back(cells_.Intern(cell));
  if (release.judgement.started()) {
    std::vector<std::string> judged = {CellOfTenant(row.tenant), CellOfRing(row.ring)};
    judged.insert(judged.end(), row.cells.begin(), row.cells.end());
    release.judgement.Freeze(exposure.host, std::move(judged));
    exposure.blocked = release.judgement.IsBlocked(release.judgement.CellsOf(exposure.host));
  }
  switch (row.outcome) {
    case storage::Outcome::kConfirmed:
      exposure.standing = policy::Standing::kProven;
      break;
    case storage::Outcome::kReverted:
    case storage::Outcome::kUnused:
      exposure.standing = policy::Standing::kFree;
      break;
    case storage::Outcome::kCrashed:
    case storage::Outcome::kSilent:
    case storage::Outcome::kFailed:
    case storage::Outcome::kRefused:
      // Who refused it, or could not activate it, took no harm.
      exposure.harmed = row.outcome != storage::Outcome::kRefused &&
                        (row.outcome != storage::Outcome::kFailed || row.activated);
      release.harmed += exposure.harmed ? 1 : 0;
      break;
    case storage::Outcome::kPending:
      break;
  }
  if (exposure.harmed && (!release.first_harm_at.has_value() || row.outcome_at < *release.first_harm_at)) {
    release.first_harm_at = row.outcome_at;
  }
  if (row.outcome == storage::Outcome::kReverted) ++release.saved;
  release.last_lease_at = std::max(release.last_lease_at.value_or(absl::InfinitePast()), row.exposed_at);
  if (row.outcome == storage::Outcome::kUnused) {
    ++stage->by_outcome[static_cast<size_t>(row.outcome)];
    return;
  }
  release.by_host[exposure.host] = &exposure;
  const Row host = fleet_.With(exposure.host, [](Row& r) {
    const Row before = r;
    r.ever_exposed = true;
    return before;
  });
  if (!host.ever_exposed && !host.silent && !host.deleted) --online_unexposed_;
  exposure.place = label_sets_[host.label_set].place;
  exposure.silent = host.silent;
  release.Count(exposure);
  for (const storage::Running& one : running_sets_[host.running_set]) {
    const auto it = release_by_digest_.find(one.digest);
    if (one.channel != row.channel || it == release_by_digest_.end()) continue;
    exposure.left = releases_[it->second]->release().serial > row.serial;
  }
  release.UpdateSeries(exposure);
  if (policy::IsUnconfirmed(exposure.standing)) release.StartProbation(exposure, now);
  exposed_until_.push_back({now + absl::ToInt64Nanoseconds(absl::Hours(24)), exposure.host});
}

}  // namespace ringfence::app
