// Brakes: memory first, the store as soon as it answers, and the rules of who may release what (invariants 2
// and 9).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/authority.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

absl::Status AsItIs(const storage::BrakeRow&, BrakeChange&) {
  return absl::OkStatus();
}

}  // namespace

void BrakeView::Add(const storage::BrakeRow& row) {
  tenant_paused |= row.tenant_paused;
  vendor_paused |= row.vendor_paused;
  held |= row.held;
  halted |= row.halted;
  reverting |= row.reverting;
  recalled |= row.recalled;
}

policy::Reason BrakeView::reason() const {
  if (recalled) return policy::Reason::kRecalled;
  if (halted) return policy::Reason::kHalted;
  if (held) return policy::Reason::kHeld;
  if (vendor_paused) return policy::Reason::kVendorPaused;
  if (tenant_paused) return policy::Reason::kTenantPaused;
  return policy::Reason::kNone;
}

std::vector<storage::Scope> Engine::ScopesOf(const std::string& tenant, const std::string& channel,
                                             uint64_t serial, const std::string& ring) {
  std::vector<storage::Scope> scopes = {{"", channel, serial, ""}};
  if (!tenant.empty()) {
    scopes.push_back({tenant, "", 0, ""});
    scopes.push_back({tenant, channel, 0, ""});
    scopes.push_back({tenant, channel, serial, ""});
    if (!ring.empty()) {
      scopes.push_back({tenant, "", 0, ring});
      scopes.push_back({tenant, channel, serial, ring});
    }
  }
  return scopes;
}

BrakeView Engine::BrakesOn(const std::string& tenant, const std::string& channel, uint64_t serial,
                           const std::string& ring) const {
  BrakeView view;
  if (brakes_.empty()) return view;
  for (const storage::Scope& scope : ScopesOf(tenant, channel, serial, ring)) {
    const auto it = brakes_.find(scope);
    if (it != brakes_.end()) view.Add(it->second);
  }
  return view;
}

BrakeView Engine::BrakesOn(const Stage& stage) const {
  return BrakesOn(stage.row.tenant, stage.row.channel, stage.row.serial, stage.row.ring);
}

void Engine::Brake(BrakeChange change, storage::DecisionRow decision) {
  Brake(BrakeAct{std::move(change), std::move(decision), std::nullopt, std::nullopt});
}

void Engine::Brake(BrakeAct brake) {
  storage::BrakeRow& row = brakes_[brake.change.scope];
  const storage::BrakeRow before = row;
  stored_brakes_.try_emplace(brake.change.scope, row);
  brake.change.ApplyTo(row);
  RevertsMayBegin(before, row);
  if (metrics_ != nullptr) metrics_->Decision(brake.decision.action, brake.decision.rule);
  brake_queue_.push_back(std::move(brake));
  Changed();
}

void Engine::RevertsMayBegin(const storage::BrakeRow& before, const storage::BrakeRow& now) {
  const auto reverts = [](const storage::BrakeRow& row) { return row.reverting || row.recalled; };
  if (reverts(before) || !reverts(now)) return;
  if (ReleaseState* release = FindRelease(now.scope.channel, now.scope.serial)) release->reverts_since = 0;
}

policy::Reason Engine::StoppedBy(const std::string& tenant, const std::string& channel, uint64_t serial,
                                 const std::string& ring) const {
  if (stopping_.empty()) return policy::Reason::kNone;
  for (const storage::Scope& scope : ScopesOf(tenant, channel, serial, ring)) {
    const auto it = stopping_.find(scope);
    if (it != stopping_.end()) return it->second;
  }
  return policy::Reason::kNone;
}

absl::Status Engine::FlushBrakes() {
  MutexLock flushing(&flush_mu_);
  std::vector<BrakeAct> queue;
  {
    MutexLock lock(&mu_);
    if (brake_queue_.empty()) return absl::OkStatus();
    queue = brake_queue_;
  }
  std::vector<storage::BrakeRow> rows(queue.size());
  const absl::Status status = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    for (size_t i = 0; i < queue.size(); ++i) {
      bool repeated = false;
      absl::StatusOr<storage::BrakeRow> row = WriteBrake(tx, queue[i], repeated, AsItIs);
      // The id of another request: that call was wrong, and what it wanted goes from memory again.
      if (absl::IsInvalidArgument(row.status())) row = tx.LockBrake(queue[i].change.scope);
      RETURN_IF_ERROR(row.status());
      rows[i] = *std::move(row);
    }
    return absl::OkStatus();
  });
  MutexLock lock(&mu_);
  // Otherwise: what stopped stays stopped here, and is written again at the next step. Applying a change
  // twice is harmless.
  if (status.ok()) {
    brake_queue_.erase(brake_queue_.begin(), brake_queue_.begin() + static_cast<int64_t>(queue.size()));
    for (const storage::BrakeRow& row : rows) Installed(row);
  }
  return status;
}

void Engine::Installed(const storage::BrakeRow& row) {
  storage::BrakeRow& stored = stored_brakes_[row.scope];
  if (row.epoch >= stored.epoch) stored = row;
  storage::BrakeRow& here = brakes_[row.scope];
  const storage::BrakeRow before = here;
  here = stored;
  // What is decided and not written yet is not in the row, and stays on.
  for (const BrakeAct& pending : brake_queue_) {
    if (pending.change.scope == row.scope) pending.change.ApplyTo(here);
  }
  RevertsMayBegin(before, here);
  if (stored.recalled) {
    if (ReleaseState* release = FindRelease(row.scope.channel, row.scope.serial)) {
      release->row.state = storage::ReleaseState::kRecalled;
    }
  }
  PostNotice(stored);
  Changed();
}

void Engine::PostNotice(const storage::BrakeRow& row) {
  // Without a release there is no halt.
  if (const ReleaseState* release =
          row.scope.serial == 0 ? nullptr : FindRelease(row.scope.channel, row.scope.serial))
    notices_.Put(row, release->release());
}

std::string Engine::RingNameOf(const AgentId& agent) {
  const HostRef host = fleet_.Find(agent);
  if (host == kNoHost) return "";
  const LabelSet& set = label_sets_[fleet_.With(host, [](Row& row) { return row.label_set; })];
  const Tenant& tenant = tenants_[set.tenant];
  if (set.ring < 0 || !tenant.plan.has_value()) return "";
  return tenant.plan->plan.rings[static_cast<size_t>(set.ring)].name;
}

std::shared_ptr<const Notices> Engine::NoticesFor(absl::string_view tenant, const AgentId& agent) {
  std::string ring;
  if (notices_.any_of_ring()) {  // seldom: only then every check-in takes the engine's lock
    MutexLock lock(&mu_);
    ring = RingNameOf(agent);
  }
  return notices_.For(tenant, ring, clock_->Now());
}

absl::Status Engine::MayBrake(const Act& act, const storage::Scope& scope, bool needs_release) {
  RETURN_IF_ERROR(CheckBrakeAct(act, scope, needs_release));
  MutexLock lock(&mu_);
  if (!scope.tenant.empty() && !tenant_index_.contains(scope.tenant)) {
    return absl::NotFoundError(absl::StrCat("scope.tenant: \"", scope.tenant, "\" is not known"));
  }
  if (scope.serial != 0 && FindRelease(scope.channel, scope.serial) == nullptr) {
    return absl::NotFoundError(absl::StrCat("scope: no release ", scope.channel, " ", scope.serial));
  }
  if (scope.ring.empty()) return absl::OkStatus();
  const Tenant& tenant = tenants_[tenant_index_[scope.tenant]];
  if (scope.serial == 0) {
    const bool named = tenant.plan.has_value() &&
                       std::any_of(tenant.plan->plan.rings.begin(), tenant.plan->plan.rings.end(),
                                   [&](const policy::Ring& ring) { return ring.name == scope.ring; });
    if (named) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("scope.ring: the plan has no ring \"", scope.ring, "\""));
  }
  if (CurrentStage(tenant_index_[scope.tenant], scope.channel, scope.ring) == nullptr) {
    return absl::NotFoundError(absl::StrCat("scope.ring: \"", scope.ring, "\" works on nothing"));
  }
  return absl::OkStatus();
}

absl::StatusOr<storage::BrakeRow> Engine::WriteStop(const BrakeAct& brake, bool& repeated) {
  const storage::Scope& scope = brake.change.scope;
  storage::BrakeRow stopped;
  brake.change.ApplyTo(stopped);
  BrakeView view;
  view.Add(stopped);
  std::multimap<storage::Scope, policy::Reason>::iterator mark;
  {
    MutexLock lock(&mu_);
    // Leases alone feel it before it is written: a repeat of an act that somebody took back since is told so
    // by the store, and must not order anybody back meanwhile.
    mark = stopping_.emplace(scope, view.reason());
    Changed();
  }
  struct Answer {
    absl::Status status;
    bool repeated = false;
  };
  const auto answer = std::make_shared<Answer>();
  const bool ended = courier_.Run(options_.stop_patience, [this, answer, brake] {
    storage::BrakeRow row;
    answer->status = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(row, WriteBrake(tx, brake, answer->repeated, AsItIs));
      return absl::OkStatus();
    });
    if (!answer->status.ok()) return;
    // Also when it is a repeat: the first answer may have been lost in doubt, and with it what it changed.
    MutexLock lock(&mu_);
    Installed(row);
  });
  MutexLock lock(&mu_);
  stopping_.erase(mark);
  if (!ended || absl::IsUnavailable(answer->status) || absl::IsDeadlineExceeded(answer->status)) {
    Brake(brake);
    return absl::UnavailableError(
        "stopped here only: the database does not answer; it is written as soon as it does");
  }
  RETURN_IF_ERROR(answer->status);
  repeated = answer->repeated;
  return brakes_[scope];
}

absl::StatusOr<storage::BrakeRow> Engine::StopNow(const Act& act, Stop stop, const storage::Scope& scope) {
  bool repeated = false;
  absl::StatusOr<storage::BrakeRow> row = WriteStop(StopAct(stop, act, scope, clock_->Now()), repeated);
  if (absl::IsUnavailable(row.status())) {
    if (wake_) wake_();
    TellWatchers();
  }
  RETURN_IF_ERROR(row.status());
  if (!repeated && metrics_ != nullptr) metrics_->Decision(Name(stop), "operator");
  TellWatchers();
  return row;
}

absl::StatusOr<storage::BrakeRow> Engine::ReleaseBrake(
    const Act& act, const storage::Scope& scope,
    absl::FunctionRef<absl::Status(const storage::BrakeRow&, BrakeChange&)> fill,
    absl::FunctionRef<absl::Status(storage::Transaction&)> also) {
  const BrakeAct brake = OperatorAct(act, kResumeAct, scope, clock_->Now());
  bool repeated = false;
  storage::BrakeRow row;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(row, WriteBrake(tx, brake, repeated, fill));
    return repeated ? absl::OkStatus() : also(tx);
  }));
  {
    // Also when it is a repeat: the first answer may have been lost in doubt, and with it what it changed.
    MutexLock lock(&mu_);
    Installed(row);
    row = brakes_[scope];
  }
  if (!repeated && metrics_ != nullptr) metrics_->Decision(kResumeAct, "operator");
  TellWatchers();
  return row;
}

absl::Status Engine::TakeInBrakes(const std::optional<storage::Scope>& scope) {
  std::vector<storage::BrakeRow> rows;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    if (scope.has_value()) {
      ASSIGN_OR_RETURN(rows, tx.LockBrakesShared({&*scope, 1}));
    } else {
      ASSIGN_OR_RETURN(rows, tx.Brakes());
    }
    return absl::OkStatus();
  }));
  bool any = false;
  {
    MutexLock lock(&mu_);
    any = TakeIn(rows);
  }
  if (any) TellWatchers();
  return absl::OkStatus();
}

bool Engine::TakeIn(absl::Span<const storage::BrakeRow> rows) {
  bool any = false;
  for (const storage::BrakeRow& row : rows) {
    const auto stored = stored_brakes_.find(row.scope);
    const auto& known = stored == stored_brakes_.end() ? brakes_ : stored_brakes_;
    const auto it = known.find(row.scope);
    if (row.epoch <= (it == known.end() ? 0 : it->second.epoch)) continue;
    Installed(row);
    any = true;
  }
  return any;
}

absl::StatusOr<storage::BrakeRow> Engine::Pause(const Act& act, const storage::Scope& scope) {
  RETURN_IF_ERROR(MayBrake(act, scope, false));
  return StopNow(act, Stop::kPause, scope);
}

absl::StatusOr<storage::BrakeRow> Engine::Halt(const Act& act, const storage::Scope& scope) {
  RETURN_IF_ERROR(MayBrake(act, scope, true));
  return StopNow(act, Stop::kHalt, scope);
}

absl::StatusOr<RollBackReply> Engine::RollBack(const Act& act, const storage::Scope& scope) {
  RETURN_IF_ERROR(MayBrake(act, scope, true));
  RollBackReply reply;
  ASSIGN_OR_RETURN(reply.brake, StopNow(act, Stop::kRollBack, scope));
  MutexLock lock(&mu_);
  if (ReleaseState* release = FindRelease(scope.channel, scope.serial)) {
    for (const Exposure& exposure : release->exposures) {
      const bool in_scope = (scope.tenant.empty() || exposure.stage->row.tenant == scope.tenant) &&
                            (scope.ring.empty() || exposure.stage->row.ring == scope.ring);
      if (in_scope && exposure.committed && exposure.standing != policy::Standing::kFree && !exposure.left)
        ++reply.hosts;
    }
  }
  return reply;
}

absl::StatusOr<ResumeReply> Engine::Resume(const Act& act, const storage::Scope& scope, BrakeKind brake,
                                           absl::string_view order) {
  RETURN_IF_ERROR(MayBrake(act, scope, brake != BrakeKind::kPause));
  double m_r = 0, m_a = 0;
  storage::BrakeRow before;
  Digest sha256;
  std::optional<Bypass> around;  // the other side's brake was to be taken off
  std::shared_ptr<const trust::Authority> authority;
  {
    MutexLock lock(&mu_);
    authority = authority_;
    before = brakes_[scope];
    if (const ReleaseState* release = FindRelease(scope.channel, scope.serial); scope.serial != 0) {
      m_r = release->m_r();
      m_a = release->m_a();
      sha256 = release->release().digest;
    }
  }
  ResumeReply reply;
  bool anew = false;  // the evidence starts again at nothing
  const auto fill = [&](const storage::BrakeRow& row, BrakeChange& change) -> absl::Status {
    anew = false;
    around.reset();
    const bool vendor = act.actor.IsVendor();
    if (row.recalled) return absl::FailedPreconditionError("the release was recalled: it never runs again");
    switch (brake) {
      case BrakeKind::kPause:
        if (!(vendor ? row.vendor_paused : row.tenant_paused)) {
          if (vendor && row.tenant_paused)
            around = Bypass{BypassKind::kIgnorePlan, scope, "to take the tenant's own pause off"};
          if (!vendor && (row.vendor_paused || row.halted || row.held))
            around = Bypass{BypassKind::kIgnorePlan, scope, "to take the vendor's brake off"};
          return absl::FailedPreconditionError(
              absl::StrCat("no pause of ", vendor ? "the vendor" : "the tenant", " is on this scope",
                           row.halted ? ": it is halted, which two persons of the vendor resume (brake halt)"
                           : row.held ? ": it is held, which one person of the vendor resumes (brake hold)"
                                      : ""));
        }
        (vendor ? change.vendor_paused : change.tenant_paused) = false;
        return absl::OkStatus();
      case BrakeKind::kHold:
        if (!vendor) {
          around = Bypass{BypassKind::kIgnorePlan, scope, "to take the vendor's hold off"};
          return absl::PermissionDeniedError("a hold is decided by the vendor's people");
        }
        if (!row.held) return absl::FailedPreconditionError("nothing is held on this scope");
        change.held = false;
        change.reverting = row.halted && row.reverting;
        break;
      case BrakeKind::kHalt:
        if (!vendor) {
          around = Bypass{BypassKind::kIgnorePlan, scope, "to take a halt off"};
          return absl::PermissionDeniedError("a halt is decided by two of the vendor's people");
        }
        if (!row.halted) return absl::FailedPreconditionError("nothing is halted on this scope");
        if (authority != nullptr && !authority->resume.empty()) {
          RETURN_IF_ERROR(TakeOrder(*authority, row, sha256, order, change));
          if (!change.halted.has_value()) return absl::OkStatus();  // one person: the order waits
          anew = scope.tenant.empty();
          break;
        }
        if (!order.empty()) {
          return absl::FailedPreconditionError(
              "signed_order: this server knows no keys of the role resume, from trust.json of its release "
              "repository or from --authority");
        }
        if (row.first_approver.empty()) {
          change.first_approver = act.actor.person;
          return absl::OkStatus();
        }
        if (row.first_approver == act.actor.person) {
          return absl::FailedPreconditionError(
              absl::StrCat(act.actor.person, " approved already; a second person is needed"));
        }
        change.halted = false;
        change.held = false;
        change.reverting = false;
        change.first_approver = "";
        anew = scope.tenant.empty();
        break;
    }
    change.mark_resume = true;
    change.m_r_mark = brake == BrakeKind::kHalt ? 0 : m_r;
    change.m_a_mark = brake == BrakeKind::kHalt ? 0 : m_a;
    return absl::OkStatus();
  };
  // A new test with its own level, durable with the release of the halt: a restart must not find the old one.
  const auto also = [&](storage::Transaction& tx) -> absl::Status {
    if (!anew) return absl::OkStatus();
    ASSIGN_OR_RETURN(std::vector<storage::EvidenceRow> rows, tx.Evidence(scope.channel, scope.serial));
    for (storage::EvidenceRow& row : rows) {
      row.r = {};
      row.guard = {};
      ++row.version;
    }
    ASSIGN_OR_RETURN(std::optional<storage::JudgementRow> judgement,
                     tx.Judgement(scope.channel, scope.serial));
    if (judgement.has_value()) {
      ++judgement->test;
      RETURN_IF_ERROR(tx.PutJudgement(*judgement));
    }
    return tx.PutEvidence(rows);
  };
  const absl::StatusOr<storage::BrakeRow> after = ReleaseBrake(act, scope, fill, also);
  // The refusal stands whether or not it can be written down.
  if (!after.ok() && around.has_value()) KeepBypass(act, *around).IgnoreError();
  RETURN_IF_ERROR(after.status());
  reply.brake = *after;
  reply.needs_second_person = brake == BrakeKind::kHalt && reply.brake.halted;
  const bool released = (brake == BrakeKind::kHalt && before.halted && !reply.brake.halted) ||
                        (brake == BrakeKind::kHold && before.held && !reply.brake.held);
  MutexLock lock(&mu_);
  ReleaseState* release = FindRelease(scope.channel, scope.serial);
  if (released && scope.serial != 0 && release != nullptr) {
    // Windows restart at the mark: old evidence stays on record and does not trip again by itself. One
    // tenant's brake is that tenant's affair: for all others the evidence goes on.
    if (scope.tenant.empty()) {
      release->ClearWindows(FleetNow());
      release->failures_mark = release->activation_failed.size();
    } else if (scope.ring.empty()) {
      release->tenant_windows_from[scope.tenant] = FleetNow();
    }
    release->reverting_unloaded.clear();
    for (Exposure& exposure : release->exposures) {
      const bool in_scope = (scope.tenant.empty() || exposure.stage->row.tenant == scope.tenant) &&
                            (scope.ring.empty() || exposure.stage->row.ring == scope.ring);
      if (in_scope) exposure.revert_ordered = false;
    }
    if (brake == BrakeKind::kHalt && scope.tenant.empty()) {
      release->judgement.Restart();
      release->m_r_mark = release->m_a_mark = 0;
    } else if (scope.tenant.empty()) {
      release->m_r_mark = m_r;
      release->m_a_mark = m_a;
    }
    Changed();
  }
  return reply;
}

}  // namespace ringfence::app
