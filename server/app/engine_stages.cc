// Stages: which release a ring works on, when its waves pass, and the one transaction that makes a step
// durable.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/choice.h"
#include "ringfence/policy/decide.h"
#include "ringfence/policy/deny.h"
#include "server/app/batch.h"

namespace ringfence::app {
namespace {

using policy::StageEvent;
using policy::StageState;

const absl::Duration kSoakSavedEvery = absl::Seconds(30);
const absl::Duration kSeenWrittenWithin = absl::Minutes(45);
const absl::Duration kEventMemory = absl::Hours(7 * 24);  //
const absl::Duration kEventsForgottenEvery = absl::Hours(1);

const absl::Duration kBackgroundWrittenEvery = absl::Minutes(1);
constexpr size_t kSeenEvents = 1'000'000;

// By the plan as it is now, and until that or the release is another. A release that a pin leaves out is left
// out for good: its stage ends on the proof of those that took it, and the ring is free for the pinned one.
bool IsKeptOut(const Stage& stage) {
  return stage.plan_says != policy::Reason::kNone && stage.plan_says != policy::Reason::kPinned;
}

std::string KeyOf(uint32_t tenant, absl::string_view channel, absl::string_view ring) {
  return absl::StrCat(tenant, "/", channel, "/", ring);
}

}  // namespace

Stage* Engine::CurrentStage(uint32_t tenant, const std::string& channel, const std::string& ring) {
  const auto it = current_stage_.find(KeyOf(tenant, channel, ring));
  return it == current_stage_.end() ? nullptr : it->second;
}

Stage* Engine::OfferingStage(uint32_t tenant, const std::string& channel, const std::string& ring) {
  Stage* current = CurrentStage(tenant, channel, ring);
  if (current == nullptr || policy::GivesLeases(current->row.state)) return current;
  if (current->row.state != StageState::kHalted && current->row.state != StageState::kRecalled)
    return nullptr;
  Stage* best = nullptr;
  for (const auto& stage : stages_) {
    if (stage->tenant != tenant || stage->row.channel != channel || stage->row.ring != ring) continue;
    if (!policy::CountsAsPassed(stage->row.state)) continue;
    if (best == nullptr || stage->row.serial > best->row.serial) best = stage.get();
  }
  return best;
}

Stage* Engine::AddStage(storage::StageRow row) {
  ReleaseState* release = FindRelease(row.channel, row.serial);
  RF_CHECK(release != nullptr);
  Stage& stage = *stages_.emplace_back(std::make_unique<Stage>());
  stage.tenant = TenantIndex(row.tenant);
  stage.release = release;
  stage.ring = -1;
  const auto& plan = tenants_[stage.tenant].plan;
  if (plan.has_value()) {
    for (size_t i = 0; i < plan->plan.rings.size(); ++i) {
      if (plan->plan.rings[i].name == row.ring) stage.ring = static_cast<int>(i);
    }
  }
  stage.budget.b0 = policy::StartBudget(row.members);
  stage.row = std::move(row);
  Stage*& current = current_stage_[KeyOf(stage.tenant, stage.row.channel, stage.row.ring)];
  if (current == nullptr || current->row.serial < stage.row.serial) current = &stage;
  return &stage;
}

bool Engine::InternalPassed(const ReleaseState& release) const {
  if (options_.internal_tenant.empty()) return true;
  const auto tenant = tenant_index_.find(options_.internal_tenant);
  if (tenant == tenant_index_.end()) return false;
  const auto& plan = tenants_[tenant->second].plan;
  if (!plan.has_value()) return false;
  // Every ring of the vendor's plan, and at least one with hosts in it: an empty fleet proves nothing.
  bool proven = false;
  for (const policy::Ring& ring : plan->plan.rings) {
    bool passed = false;
    for (const auto& stage : stages_) {
      if (stage->release != &release || stage->tenant != tenant->second || stage->row.ring != ring.name)
        continue;
      passed = policy::CountsAsPassed(stage->row.state);
      proven = proven || stage->row.state == StageState::kPassed;
    }
    if (!passed) return false;
  }
  return proven;
}

std::vector<policy::ReleaseProgress> Engine::ProgressOf(const policy::Plan& plan, uint32_t tenant, int ring,
                                                        const std::string& channel, absl::Time now) {
  const bool internal = tenants_[tenant].name == options_.internal_tenant;
  std::vector<policy::ReleaseProgress> progress;
  for (const auto& release : releases_) {
    if (release->release().channel != channel) continue;
    const policy::Release& r = release->release();
    policy::ReleaseProgress p;
    p.serial = r.serial;
    p.version = r.version;
    p.digest = r.digest;
    p.artifacts = policy::ArtifactDigests(r);
    p.urgent = r.urgent;
    const policy::Ring& mine = plan.rings[static_cast<size_t>(ring)];
    p.denied = policy::EffectiveApproval(plan, mine, channel) == policy::Approval::kExplicit &&
               ConsentOf(tenant, channel, r.serial, mine.name) == policy::Consent::kDenied;
    if (const std::optional<plan::Haste> haste = HasteOf(tenant, channel, r.serial, mine))
      p.hastened = haste->min_age;
    const BrakeView brakes = BrakesOn(tenants_[tenant].name, channel, r.serial, "");
    p.stopped = brakes.halted || brakes.recalled || release->row.state == storage::ReleaseState::kRecalled;
    p.internal_passed = internal || InternalPassed(*release);
    p.healthy_age = release->row.healthy_age;
    p.age = now - r.published_at;
    p.ring_passed.assign(plan.rings.size(), false);
    for (const auto& stage : stages_) {
      if (stage->release != release.get() || stage->tenant != tenant) continue;
      for (size_t i = 0; i < plan.rings.size(); ++i) {
        if (plan.rings[i].name == stage->row.ring)
          p.ring_passed[i] = policy::CountsAsPassed(stage->row.state);
      }
    }
    progress.push_back(std::move(p));
  }
  std::sort(progress.begin(), progress.end(),
            [](const auto& a, const auto& b) { return a.serial < b.serial; });
  return progress;
}

bool Engine::IsFirstToTake(uint32_t tenant) const {
  return options_.internal_tenant.empty() || tenants_[tenant].name == options_.internal_tenant;
}

policy::Choice Engine::ChooseFor(const policy::Plan& plan, uint32_t tenant, int ring,
                                 const std::string& channel, absl::Time now) {
  return policy::ChooseRelease(plan, ring, channel, ProgressOf(plan, tenant, ring, channel, now),
                               IsFirstToTake(tenant), now);
}

bool Engine::AskPlans(absl::Time now) {
  bool changed = false;
  const auto ask = [&](Stage& stage) {
    mu_.AssertHeld();
    policy::Reason says = policy::Reason::kNoRing;
    if (stage.ring >= 0) {
      const policy::Plan& plan = tenants_[stage.tenant].plan->plan;
      const policy::ChannelRule* rule = policy::FindRule(plan, stage.row.channel);
      const policy::Ring& ring = plan.rings[static_cast<size_t>(stage.ring)];
      // Most rings neither lag nor wait: then the other releases need not be looked at.
      const policy::Release& release = stage.release->release();
      const bool alone = rule == nullptr || (policy::EffectiveLag(ring, *rule) == 0 &&
                                             policy::EffectiveMinAge(plan, ring, release.channel,
                                                                     release.urgent) <= absl::ZeroDuration());
      std::vector<policy::ReleaseProgress> progress(1);
      progress[0].serial = release.serial;
      progress[0].version = release.version;
      if (!alone) progress = ProgressOf(plan, stage.tenant, stage.ring, stage.row.channel, now);
      says = policy::MayGoOn(plan, stage.ring, stage.row.channel, progress, stage.row.serial,
                             IsFirstToTake(stage.tenant));
    }
    changed = changed || says != stage.plan_says;
    stage.plan_says = says;
    // An approval that made it old enough may end.
    if (stage.ring >= 0) {
      const policy::Ring& ring = tenants_[stage.tenant].plan->plan.rings[static_cast<size_t>(stage.ring)];
      const auto haste = HasteOf(stage.tenant, stage.row.channel, stage.row.serial, ring);
      if (haste.has_value()) choose_at_ = std::min(choose_at_, haste->until);
    }
    // Time and newer releases mend these.
    if (says == policy::Reason::kMinAge || says == policy::Reason::kNothingToLag) {
      choose_at_ = std::min(choose_at_, now + options_.checkin_interval);
    }
  };
  for (const auto& [key, stage] : current_stage_) {
    ask(*stage);
    Stage* offering = OfferingStage(stage->tenant, stage->row.channel, stage->row.ring);
    if (offering != nullptr && offering != stage) ask(*offering);
  }
  return changed;
}

int64_t Engine::MembersOf(uint32_t tenant, int ring, size_t release_index) {
  int64_t members = 0;
  for (LabelSet& set : label_sets_) {
    if (set.tenant != tenant || set.ring != ring || set.hosts == 0) continue;
    if (Lasting(set, release_index) == policy::Reason::kNone) members += set.hosts;
  }
  return members;
}

void Engine::ChooseStages(absl::Time now, Batch& batch) {
  if (!choose_needed_ && now < choose_at_) return;
  choose_needed_ = false;
  choose_at_ = absl::InfiniteFuture();
  if (AskPlans(now)) {
    Changed();
    choose_needed_ = false;
  }
  for (uint32_t t = 0; t < tenants_.size(); ++t) {
    if (!tenants_[t].plan.has_value()) continue;
    const policy::Plan& plan = tenants_[t].plan->plan;
    for (const policy::ChannelRule& rule : plan.channels) {
      for (size_t i = 0; i < plan.rings.size(); ++i) {
        Stage* current = CurrentStage(t, rule.channel, plan.rings[i].name);
        const bool busy = current != nullptr && (current->row.state == StageState::kOpen ||
                                                 current->row.state == StageState::kPaused ||
                                                 current->row.state == StageState::kHeld);
        if (busy) continue;
        const policy::Choice choice = ChooseFor(plan, t, static_cast<int>(i), rule.channel, now);
        choose_at_ = std::min(choose_at_, choice.revisit_at);
        if (!choice.serial.has_value()) continue;
        if (current != nullptr && *choice.serial <= current->row.serial)
          continue;  // older ones are not resurrected
        const ReleaseState& release = *FindRelease(rule.channel, *choice.serial);
        storage::StageRow row;
        row.rollout = release.row.rollout;
        row.tenant = tenants_[t].name;
        row.channel = rule.channel;
        row.serial = *choice.serial;
        row.ring = plan.rings[i].name;
        row.plan_revision = tenants_[t].plan->revision;
        row.created_at = now;
        row.rule = "chosen";
        row.why = "the ring takes this release next";
        batch.new_stages.push_back(std::move(row));
        if (current != nullptr &&
            (current->row.state == StageState::kWaiting || current->row.state == StageState::kHalted)) {
          Move move;
          move.stage = current;
          move.next = current->row;
          move.next.state = *policy::Next(current->row.state, StageEvent::kSupersede);
          batch.moves.push_back(std::move(move));
        }
      }
    }
  }
}

policy::StageView Engine::ViewOf(Stage& stage, absl::Time now) {
  const policy::Plan& plan = tenants_[stage.tenant].plan->plan;
  const policy::Ring& ring = plan.rings[static_cast<size_t>(stage.ring)];
  const ReleaseState& release = *stage.release;
  policy::StageView view;
  view.state = stage.row.state;
  view.braked = BrakesOn(stage).any();
  // Where nobody who was let in is heard any more, there is no data either (invariant 7).
  const bool deserted = stage.exposed > 0 && stage.heard == 0;
  view.blind = blind_ || database_down_ || deserted || now < promotion_paused_until_;
  view.wave = stage.row.wave;
  view.waves = static_cast<int>(ring.waves.size());
  // Counted anew until somebody was exposed: a ring that all hosts left before is deserted.
  view.members = stage.row.state == StageState::kWaiting || stage.exposed == 0
                     ? MembersOf(stage.tenant, stage.ring, IndexOf(release))
                     : stage.row.members;
  view.cap = stage.row.cap;
  view.exposed = stage.exposed;
  view.wave_exposed = Stage::At(stage.wave_exposed, stage.row.wave);
  view.wave_confirmed = Stage::At(stage.wave_confirmed, stage.row.wave);
  view.confirmed = stage.budget.healthy;
  view.overdue =
      0;  // EndProbations gives every exposure an outcome at its deadline; uncommitted ones count here
  for (const PendingLease& pending : lease_queue_) view.overdue += pending.exposure->stage == &stage ? 1 : 0;
  view.askers_left = AskersLeft(stage, FleetNow());
  view.soaked = stage.row.soaked;
  view.soak = SoakOf(stage);
  view.m_r = release.m_r();
  ViewCalendar(stage, now, view);
  // What the plan keeps out for now neither soaks nor passes: who asks is refused, so nobody is left to ask.
  if (IsKeptOut(stage)) {
    view.closed = stage.plan_says;
    view.closed_until = absl::InfiniteFuture();
  }
  if (stage.row.state == StageState::kWaiting) view.uncovered = UncoveredIn(stage);
  view.uncovered_hold = plan.uncovered_cohorts == policy::UncoveredCohorts::kHold;
  view.gate_tripped = false;
  const FleetNanos fleet_now = FleetNow();
  for (const GateReading& reading :
       ReadGates(release, plan.gates, -1, WindowsFrom(release, stage.row.tenant), fleet_now)) {
    view.gate_tripped = view.gate_tripped || reading.breached;
  }
  return view;
}

void Engine::StepStage(Stage& stage, absl::Time now, absl::Duration passed, Batch& batch) {
  const StageState state = stage.row.state;
  if (policy::IsTerminal(state)) return;
  for (const Move& move : batch.moves) {
    if (move.stage == &stage) return;  // superseded in this step
  }
  const BrakeView brakes = BrakesOn(stage);
  Move move;
  move.stage = &stage;
  move.next = stage.row;

  // Brakes first: they were decided and explained where they were put on.
  std::optional<StageEvent> event;
  if (brakes.recalled) {
    event = StageEvent::kRecall;
  } else if (brakes.halted && state != StageState::kHalted) {
    event = StageEvent::kHalt;
  } else if (brakes.held && (state == StageState::kOpen || state == StageState::kPaused)) {
    event = StageEvent::kHold;
  } else if (!brakes.held && !brakes.halted && (brakes.tenant_paused || brakes.vendor_paused) &&
             state == StageState::kOpen) {
    event = StageEvent::kPause;
  } else if (!brakes.any() &&
             (state == StageState::kPaused || state == StageState::kHeld || state == StageState::kHalted)) {
    event = StageEvent::kResume;
  }
  if (event.has_value()) {
    const absl::StatusOr<StageState> next = policy::Next(state, *event);
    RF_CHECK(next.ok());
    move.next.state = *next;
    move.next.rule = policy::Name(*event);
    move.next.why = *event == StageEvent::kResume ? "the last brake was released" : "a brake is on";
    if (*next == StageState::kOpen && stage.row.wave_opened_at == absl::InfinitePast()) {
      // Halted before its first wave; it opens now, if the plan still has the ring.
      if (stage.ring < 0) return;
      OpenWave(stage, 0, now, move);
      storage::DecisionRow row = DecisionFor(*stage.release, "open_wave", move.next.rule, move.next.why, now);
      row.tenant = stage.row.tenant;
      row.ring = stage.row.ring;
      row.stage = stage.row.stage;
      batch.decisions.push_back(std::move(row));
    }
    batch.moves.push_back(std::move(move));
    return;
  }
  if (stage.ring < 0 || !tenants_[stage.tenant].plan.has_value()) return;  // the plan has this ring no more
  if (state != StageState::kWaiting && state != StageState::kOpen) return;

  const policy::StageView view = ViewOf(stage, now);
  if (state == StageState::kOpen && !view.braked && !view.blind && !IsKeptOut(stage)) {
    stage.row.soaked += passed;
    stage.soak_unsaved += passed;
    move.next.soaked = stage.row.soaked;
  }
  policy::StageView soaked = view;
  soaked.soaked = stage.row.soaked;
  const policy::StageDecision decision = policy::Decide(soaked, now);
  stage.revisit_at = decision.revisit_at;
  const bool news = stage.row.rule != decision.rule;
  if (news) ++version_;
  stage.row.rule = move.next.rule = decision.rule;
  stage.row.why = move.next.why = decision.why;

  std::string action;
  switch (decision.step) {
    case policy::Step::kNone:
      if (news && decision.rule == policy::Name(policy::Reason::kUncoveredCohorts)) {
        action = "wait";  // written with the stage's rule, so that it is said once
        break;
      }
      if (stage.soak_unsaved >= kSoakSavedEvery) {
        stage.soak_unsaved = absl::ZeroDuration();
        batch.moves.push_back(std::move(move));
      }
      return;
    case policy::Step::kOpen:
      action = "open_wave";
      move.next.state = *policy::Next(state, StageEvent::kOpen);
      OpenWave(stage, 0, now, move);
      break;
    case policy::Step::kFindVacant:
      action = "vacant";
      move.next.state = *policy::Next(state, StageEvent::kFindVacant);
      break;
    case policy::Step::kNextWave:
      action = "open_wave";
      OpenWave(stage, stage.row.wave + 1, now, move);
      break;
    case policy::Step::kPassRing:
      action = "pass_ring";
      move.next.state = *policy::Next(state, StageEvent::kPassRing);
      break;
  }
  storage::DecisionRow row = DecisionFor(*stage.release, action, decision.rule, decision.why, now);
  row.tenant = stage.row.tenant;
  row.ring = stage.row.ring;
  row.stage = stage.row.stage;
  row.evidence = record::StageJson(FiguresOf(*stage.release), soaked);
  if (metrics_ != nullptr) metrics_->Decision(row.action, row.rule);
  batch.decisions.push_back(std::move(row));
  batch.moves.push_back(std::move(move));
}

void Engine::OpenWave(Stage& stage, int wave, absl::Time now, Move& move) {
  const policy::Plan& plan = tenants_[stage.tenant].plan->plan;
  const policy::Ring& ring = plan.rings[static_cast<size_t>(stage.ring)];
  move.opens_wave = true;
  move.next.wave = wave;
  move.next.members = MembersOf(stage.tenant, stage.ring, IndexOf(*stage.release));
  move.next.cap =
      policy::WaveCap(ring, std::min(wave, static_cast<int>(ring.waves.size()) - 1), move.next.members);
  move.next.wave_opened_at = now;
  move.next.soaked = absl::ZeroDuration();
  move.next.plan_revision = tenants_[stage.tenant].plan->revision;
}

void Engine::CollectOutcomes(std::vector<storage::OutcomeUpdate>& outcomes,
                             std::vector<std::pair<Exposure*, ReleaseState*>>& exposures, size_t most) {
  for (auto it = dirty_exposures_.begin(); it != dirty_exposures_.end() && outcomes.size() < most;) {
    const auto entry = it++;
    Exposure& exposure = *entry->first;
    ReleaseState& release = *entry->second;
    if (!exposure.committed) continue;  // its row does not exist yet
    const AgentId agent = fleet_.With(exposure.host, [](Row& row) { return row.agent; });
    outcomes.push_back({exposure.stage->row.tenant, release.release().channel, release.release().serial,
                        agent, exposure.bucket, exposure.activated, exposure.outcome, exposure.outcome_at,
                        exposure.exposed_at + absl::Nanoseconds(exposure.deadline - exposure.t0),
                        exposure.bad});
    exposures.emplace_back(&exposure, &release);
    dirty_exposures_.erase(entry);
  }
}

void Engine::CollectDirty(Batch& batch, absl::Time now) {
  batch.now = now;
  // A start takes hosts for away whose last-seen time is an hour old: within that time everyone's is written.
  if (seen_written_at_ == absl::InfinitePast()) seen_written_at_ = now;
  const double share = absl::FDivDuration(now - seen_written_at_, kSeenWrittenWithin);
  if (const auto due = static_cast<int64_t>(share * static_cast<double>(fleet_.size())); due > 0) {
    seen_written_at_ = now;
    fleet_.VisitSome(seen_cursor_, std::min(due, fleet_.size()), [&](HostRef host, Row& row) {
      mu_.AssertHeld();
      if (!row.silent && !row.deleted) dirty_hosts_.insert(host);
    });
  }
  for (const HostRef host : dirty_hosts_) {
    batch.hosts.push_back(host);
    batch.agents.push_back(RowOf(host));
  }
  dirty_hosts_.clear();
  batch.quarantines.swap(new_quarantines_);
  batch.events.swap(new_events_);
  batch.incidents.swap(new_incidents_);
  batch.decisions.insert(batch.decisions.end(), new_decisions_.begin(), new_decisions_.end());
  batch.judged_decisions.swap(new_decisions_);
  const auto agent_of = [&](HostRef host) { return fleet_.With(host, [](Row& row) { return row.agent; }); };
  for (const auto& release : releases_) {
    if (!release->live) continue;
    ReleaseJudgement::Unsaved unsaved = release->judgement.TakeUnsaved(
        release->release().channel, release->release().serial, replica_epoch_, agent_of);
    if (!unsaved.empty()) batch.judgements.emplace_back(release.get(), std::move(unsaved));
  }
  if (now - background_written_at_ >= kBackgroundWrittenEvery) {
    background_written_at_ = now;
    batch.background = background_.TakeUnsaved();
  }
  if (healthy_age_unsaved_ >= absl::Minutes(1)) {
    healthy_age_unsaved_ = absl::ZeroDuration();
    for (const auto& release : releases_) {
      if (release->budget.healthy == 0) continue;
      batch.ages.push_back({release->release().channel, release->release().serial, release->row.healthy_age});
    }
  }
  while (!exposed_until_.empty() && exposed_until_.front().first <= FleetNow()) {
    const HostRef host = exposed_until_.front().second;
    exposed_until_.pop_front();
    bool unproven = false;
    for (const auto& release : releases_) {
      const Exposure* exposure = release->live ? release->Find(host) : nullptr;
      unproven =
          unproven || (exposure != nullptr && policy::IsUnconfirmed(exposure->standing)) ||
          (exposure != nullptr && FleetNow() - exposure->t0 < absl::ToInt64Nanoseconds(absl::Hours(24)));
    }
    if (unproven) continue;
    const bool online = fleet_.With(host, [](Row& row) {
      const bool was = row.ever_exposed && !row.silent && !row.deleted;
      row.ever_exposed = false;
      return was;
    });
    if (online) ++online_unexposed_;
  }
  if (now - events_forgotten_at_ >= kEventsForgottenEvery) {
    batch.forget_events = events_forgotten_at_ != absl::InfinitePast();
    events_forgotten_at_ = now;
    if (seen_events_.size() > kSeenEvents) seen_events_.clear();  // exposures count a host once in any case
  }
  batch.told = version_ != told_version_ || !batch.moves.empty() || !batch.new_stages.empty();
  told_version_ = version_;
}

absl::Status Engine::WriteBatch(Batch& batch, const absl::Status& outcomes) {
  absl::Status status = outcomes;
  std::vector<StageId> ids;
  std::vector<std::vector<storage::Scope>> scopes;
  for (const storage::StageRow& row : batch.new_stages) {
    scopes.push_back(ScopesOf(row.tenant, row.channel, row.serial, row.ring));
  }
  if (!status.ok()) {
    // Nothing of the batch is written before the outcomes that it may rest on.
  } else if (batch.empty()) {
    status = store_->Ping();
  } else {
    status = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      ids.clear();
      for (size_t i = 0; i < batch.new_stages.size(); ++i) {
        ASSIGN_OR_RETURN(const StageId id, tx.InsertStage(batch.new_stages[i]));
        ids.push_back(id);
        RETURN_IF_ERROR(tx.EnsureBrakes(scopes[i]));
      }
      std::vector<storage::StageRow> stages;
      for (const Move& move : batch.moves) stages.push_back(move.next);
      if (!stages.empty()) RETURN_IF_ERROR(tx.UpdateStages(stages));
      for (const storage::DecisionRow& row : batch.decisions)
        RETURN_IF_ERROR(tx.AppendDecision(row).status());
      for (const auto& [decision, audit] : batch.incidents) {
        RETURN_IF_ERROR(tx.AppendDecision(decision).status());
        RETURN_IF_ERROR(tx.AppendAudit(audit));
      }
      if (!batch.agents.empty()) RETURN_IF_ERROR(tx.PutAgents(batch.agents));
      if (!batch.quarantines.empty()) RETURN_IF_ERROR(tx.PutQuarantines(batch.quarantines));
      if (batch.forget_events) RETURN_IF_ERROR(tx.ForgetEventsBefore(batch.now - kEventMemory));
      if (!batch.events.empty()) RETURN_IF_ERROR(tx.RememberEvents(batch.events, batch.now).status());
      for (const auto& [release, unsaved] : batch.judgements) {
        if (unsaved.judgement.has_value()) RETURN_IF_ERROR(tx.PutJudgement(*unsaved.judgement));
        if (!unsaved.records.empty()) RETURN_IF_ERROR(tx.AppendEvidenceRecords(unsaved.records));
        if (!unsaved.vectors.empty()) RETURN_IF_ERROR(tx.PutEvidence(unsaved.vectors));
      }
      if (!batch.background.empty()) RETURN_IF_ERROR(tx.PutBackground(batch.background));
      for (const Batch::Age& age : batch.ages)
        RETURN_IF_ERROR(tx.SetHealthyAge(age.channel, age.serial, age.age));
      return absl::OkStatus();
    });
  }

  MutexLock lock(&mu_);
  database_down_ = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  if (!batch.empty()) overtaken_ = absl::IsAborted(status);  // a ping is not fenced
  if (!status.ok()) {
    // Nothing of it happened, or it may have: every write is idempotent and is made again from memory.
    for (const HostRef host : batch.hosts) dirty_hosts_.insert(host);
    new_quarantines_.insert(new_quarantines_.end(), batch.quarantines.begin(), batch.quarantines.end());
    new_events_.insert(new_events_.end(), batch.events.begin(), batch.events.end());
    new_incidents_.insert(new_incidents_.end(), batch.incidents.begin(), batch.incidents.end());
    for (auto& [release, unsaved] : batch.judgements) release->judgement.GiveBack(std::move(unsaved));
    background_.GiveBack(batch.background);
    new_decisions_.insert(new_decisions_.begin(), batch.judged_decisions.begin(),
                          batch.judged_decisions.end());
    if (!batch.moves.empty() || !batch.new_stages.empty()) {
      stages_in_doubt_ = stages_in_doubt_ || !absl::IsUnavailable(status);
    }
    choose_needed_ = true;
    return status;
  }
  bool changed = false;
  for (size_t i = 0; i < batch.new_stages.size(); ++i) {
    batch.new_stages[i].stage = ids[i];
    for (const storage::Scope& scope : scopes[i]) brakes_[scope].scope = scope;
    AddStage(std::move(batch.new_stages[i]));
    changed = true;
  }
  for (Move& move : batch.moves) {
    Stage& stage = *move.stage;
    changed = changed || move.next.state != stage.row.state || move.opens_wave;
    stage.row = std::move(move.next);
    if (move.opens_wave) WaveOpened(stage);
  }
  if (changed) Changed();
  return absl::OkStatus();
}

absl::Duration Engine::SoakOf(const Stage& stage) const {
  if (stage.soak.has_value()) return *stage.soak;
  const policy::Plan& plan = tenants_[stage.tenant].plan->plan;
  return policy::EffectiveSoak(plan, plan.rings[static_cast<size_t>(stage.ring)],
                               stage.release->release().urgent);
}

void Engine::WaveOpened(Stage& stage) {
  stage.soak.reset();
  if (stage.ring >= 0) stage.soak = SoakOf(stage);
  stage.budget.b0 = policy::StartBudget(stage.row.members);
  if (stage.row.wave == 0) stage.opened = FleetNow();
  stage.soak_unsaved = absl::ZeroDuration();
  int64_t reach = 0;
  for (LabelSet& set : label_sets_) {
    if (set.hosts > 0 && Lasting(set, IndexOf(*stage.release)) == policy::Reason::kNone) reach += set.hosts;
  }
  stage.release->budget.b0 = policy::StartBudget(reach);
  stage.release->reach = reach;
}

absl::Status Engine::ResolveDoubt() {
  {
    MutexLock lock(&mu_);
    if (!stages_in_doubt_) return absl::OkStatus();
  }
  std::vector<storage::StageRow> rows;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(rows, tx.Stages());
    return absl::OkStatus();
  }));
  MutexLock lock(&mu_);
  stages_in_doubt_ = false;
  for (storage::StageRow& row : rows) {
    const auto known = std::find_if(stages_.begin(), stages_.end(),
                                    [&](const auto& stage) { return stage->row.stage == row.stage; });
    if (known == stages_.end()) {
      for (const storage::Scope& scope : ScopesOf(row.tenant, row.channel, row.serial, row.ring)) {
        brakes_[scope].scope = scope;
      }
      AddStage(std::move(row));
      continue;
    }
    Stage& stage = **known;
    const bool opened = row.wave_opened_at != stage.row.wave_opened_at;
    if (!opened) row.soaked = std::max(row.soaked, stage.row.soaked);  // time passed meanwhile
    stage.row = std::move(row);
    if (opened) WaveOpened(stage);
  }
  Changed();
  return absl::OkStatus();
}

}  // namespace ringfence::app
