// Brakes: memory first, the store as soon as it answers, and the rules of who may release what (invariants 2
// and 9).
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

constexpr char kResume[] = "resume";

absl::Status NothingElse(storage::Transaction&) {
  return absl::OkStatus();
}

absl::Status AsItIs(const storage::BrakeRow&, BrakeChange&) {
  return absl::OkStatus();
}

std::string Describe(const storage::BrakeRow& row) {
  return absl::StrCat(row.tenant_paused ? "tenant_paused " : "", row.vendor_paused ? "vendor_paused " : "",
                      row.held ? "held " : "", row.halted ? "halted " : "", row.reverting ? "reverting " : "",
                      row.recalled ? "recalled " : "",
                      row.first_approver.empty() ? "" : absl::StrCat("approved by ", row.first_approver));
}

}  // namespace

void BrakeChange::ApplyTo(storage::BrakeRow& row) const {
  ++row.epoch;
  row.scope = scope;
  if (tenant_paused.has_value()) row.tenant_paused = *tenant_paused;
  if (vendor_paused.has_value()) row.vendor_paused = *vendor_paused;
  if (held.has_value()) row.held = *held;
  if (halted.has_value()) row.halted = *halted;
  if (reverting.has_value()) row.reverting = *reverting;
  if (recalled.has_value()) row.recalled = *recalled;
  if (first_approver.has_value()) row.first_approver = *first_approver;
  if (hold_revert_at.has_value()) row.hold_revert_at = *hold_revert_at;
  if (mark_resume) {
    row.m_r_mark = m_r_mark;
    row.m_a_mark = m_a_mark;
    row.resumed_at = at;
    row.hold_revert_at = absl::InfiniteFuture();
  }
  row.rule = rule;
  row.reason = reason;
  row.actor = actor;
  row.at = at;
}

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
    if (!ring.empty()) scopes.push_back({tenant, channel, serial, ring});
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
  Brake(PendingBrake{std::move(change), std::move(decision), std::nullopt, std::nullopt});
}

void Engine::Brake(PendingBrake brake) {
  storage::BrakeRow& row = brakes_[brake.change.scope];
  const storage::BrakeRow before = row;
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

absl::StatusOr<storage::BrakeRow> Engine::WriteBrake(
    storage::Transaction& tx, PendingBrake brake, bool& repeated,
    absl::FunctionRef<absl::Status(const storage::BrakeRow&, BrakeChange&)> decide) {
  repeated = false;
  std::optional<storage::RequestRow> known;
  if (brake.request.has_value()) {
    ASSIGN_OR_RETURN(known, tx.FindRequest(brake.request->request_id));
  }
  ASSIGN_OR_RETURN(storage::BrakeRow row, tx.LockBrake(brake.change.scope));
  if (known.has_value()) {
    if (known->fingerprint != brake.request->fingerprint || known->person != brake.request->person) {
      return absl::InvalidArgumentError("request_id: was used for another request");
    }
    repeated = true;
    return row;
  }
  RETURN_IF_ERROR(decide(row, brake.change));
  const std::string before = Describe(row);
  brake.change.ApplyTo(row);
  RETURN_IF_ERROR(tx.PutBrake(row));
  if (brake.change.recalled.value_or(false)) {
    RETURN_IF_ERROR(
        tx.SetReleaseState(row.scope.channel, row.scope.serial, storage::ReleaseState::kRecalled));
  }
  if (brake.audit.has_value()) {
    brake.decision.evidence = absl::StrCat("{\"epoch\":", row.epoch, "}");
    // The first of two persons: nothing goes on yet.
    if (brake.decision.action == kResume && !row.first_approver.empty()) {
      brake.decision.action = "approve_resume";
      brake.audit->act = "rollout.approve_resume";
    }
    brake.audit->before = before;
    brake.audit->after = Describe(row);
    RETURN_IF_ERROR(tx.AppendAudit(*brake.audit));
  }
  RETURN_IF_ERROR(tx.AppendDecision(brake.decision).status());
  if (brake.request.has_value()) RETURN_IF_ERROR(tx.PutRequest(*brake.request));
  return row;
}

absl::Status Engine::FlushBrakes() {
  MutexLock flushing(&flush_mu_);
  std::vector<PendingBrake> queue;
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
  storage::BrakeRow& here = brakes_[row.scope];
  const storage::BrakeRow before = here;
  here = row;
  // What is decided and not written yet is not in the row, and stays on.
  for (const PendingBrake& pending : brake_queue_) {
    if (pending.change.scope == row.scope) pending.change.ApplyTo(here);
  }
  RevertsMayBegin(before, here);
  if (row.recalled) {
    if (ReleaseState* release = FindRelease(row.scope.channel, row.scope.serial)) {
      release->row.state = storage::ReleaseState::kRecalled;
    }
  }
  Changed();
}

absl::Status Engine::MayBrake(const Act& act, const storage::Scope& scope, bool needs_release) {
  if (act.request_id.empty() || act.request_id.size() > 64) {
    return absl::InvalidArgumentError("request_id: wanted 1 to 64 bytes");
  }
  if (act.reason.empty() || act.reason.size() > 512) {
    return absl::InvalidArgumentError("reason: wanted 1 to 512 bytes");
  }
  if (act.actor.role == Role::kTenantViewer)
    return absl::PermissionDeniedError("a tenant-viewer may not do this");
  if (!act.actor.IsVendor() && (scope.tenant.empty() || scope.tenant != act.actor.tenant)) {
    return absl::PermissionDeniedError("scope.tenant: a tenant's people act on their own tenant only");
  }
  if (scope.serial != 0 && scope.channel.empty())
    return absl::InvalidArgumentError("scope.channel: needed with serial");
  if (needs_release && (scope.channel.empty() || scope.serial == 0)) {
    return absl::InvalidArgumentError("scope: channel and serial are needed");
  }
  if (scope.tenant.empty() && scope.serial == 0) {
    return absl::InvalidArgumentError("scope: name a tenant, or a channel and serial");
  }
  if (!scope.ring.empty() && (scope.tenant.empty() || scope.serial == 0)) {
    return absl::InvalidArgumentError("scope.ring: needs tenant, channel and serial");
  }
  MutexLock lock(&mu_);
  if (!scope.tenant.empty() && !tenant_index_.contains(scope.tenant)) {
    return absl::NotFoundError(absl::StrCat("scope.tenant: \"", scope.tenant, "\" is not known"));
  }
  if (scope.serial != 0 && FindRelease(scope.channel, scope.serial) == nullptr) {
    return absl::NotFoundError(absl::StrCat("scope: no release ", scope.channel, " ", scope.serial));
  }
  if (!scope.ring.empty() &&
      CurrentStage(tenant_index_[scope.tenant], scope.channel, scope.ring) == nullptr) {
    return absl::NotFoundError(absl::StrCat("scope.ring: \"", scope.ring, "\" works on nothing"));
  }
  return absl::OkStatus();
}

absl::StatusOr<storage::BrakeRow> Engine::WriteStop(const PendingBrake& brake, bool& repeated) {
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

absl::StatusOr<storage::BrakeRow> Engine::Operate(
    const Act& act, const char* what, const storage::Scope& scope, bool stops,
    absl::FunctionRef<absl::Status(const storage::BrakeRow&, BrakeChange&)> fill,
    absl::FunctionRef<absl::Status(storage::Transaction&)> also) {
  PendingBrake brake;
  brake.change.scope = scope;
  brake.change.rule = "operator";
  brake.change.reason = act.reason;
  brake.change.actor = act.actor.person;
  brake.change.at = clock_->Now();
  brake.decision.at = brake.change.at;
  brake.decision.tenant = scope.tenant;
  brake.decision.channel = scope.channel;
  brake.decision.serial = scope.serial;
  brake.decision.ring = scope.ring;
  brake.decision.action = what;
  brake.decision.rule = "operator";
  brake.decision.actor = act.actor.person;
  brake.decision.why = act.reason;
  storage::AuditRow& audit = brake.audit.emplace();
  audit.at = brake.change.at;
  audit.person = act.actor.person;
  audit.role = Name(act.actor.role);
  audit.tenant = scope.tenant;
  audit.act = absl::StrCat("rollout.", what);
  audit.target = scope.channel.empty() ? "every release"
                                       : absl::StrCat(scope.channel, scope.serial == 0 ? "" : "/",
                                                      scope.serial == 0 ? "" : absl::StrCat(scope.serial),
                                                      scope.ring.empty() ? "" : "/", scope.ring);
  audit.reason = act.reason;
  audit.request_id = act.request_id;
  const Digest fingerprint = Sha256(
      absl::StrCat(what, "\n", scope.tenant, "\n", scope.channel, "\n", scope.serial, "\n", scope.ring));
  brake.request = {act.request_id, act.actor.person, what, fingerprint, "", brake.change.at};

  bool repeated = false;
  storage::BrakeRow row;
  if (stops) {
    RETURN_IF_ERROR(fill(row, brake.change));
    const absl::StatusOr<storage::BrakeRow> stopped = WriteStop(brake, repeated);
    if (absl::IsUnavailable(stopped.status())) {
      if (wake_) wake_();
      TellWatchers();
    }
    RETURN_IF_ERROR(stopped.status());
    row = *stopped;
  } else {
    RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(row, WriteBrake(tx, brake, repeated, fill));
      return repeated ? absl::OkStatus() : also(tx);
    }));
    // Also when it is a repeat: the first answer may have been lost in doubt, and with it what it changed.
    MutexLock lock(&mu_);
    Installed(row);
    row = brakes_[scope];
  }
  if (!repeated && metrics_ != nullptr) metrics_->Decision(what, "operator");
  TellWatchers();
  return row;
}

absl::StatusOr<storage::BrakeRow> Engine::Pause(const Act& act, const storage::Scope& scope) {
  RETURN_IF_ERROR(MayBrake(act, scope, false));
  const auto fill = [&](const storage::BrakeRow&, BrakeChange& change) {
    (act.actor.IsVendor() ? change.vendor_paused : change.tenant_paused) = true;
    return absl::OkStatus();
  };
  return Operate(act, "pause", scope, true, fill, NothingElse);
}

absl::StatusOr<storage::BrakeRow> Engine::Halt(const Act& act, const storage::Scope& scope) {
  RETURN_IF_ERROR(MayBrake(act, scope, true));
  const auto fill = [&](const storage::BrakeRow&, BrakeChange& change) {
    change.halted = true;
    change.first_approver = "";
    return absl::OkStatus();
  };
  return Operate(act, "halt", scope, true, fill, NothingElse);
}

absl::StatusOr<RollBackReply> Engine::RollBack(const Act& act, const storage::Scope& scope) {
  RETURN_IF_ERROR(MayBrake(act, scope, true));
  RollBackReply reply;
  const auto fill = [&](const storage::BrakeRow&, BrakeChange& change) {
    change.halted = true;
    change.reverting = true;
    change.first_approver = "";
    return absl::OkStatus();
  };
  ASSIGN_OR_RETURN(reply.brake, Operate(act, "rollback", scope, true, fill, NothingElse));
  MutexLock lock(&mu_);
  if (ReleaseState* release = FindRelease(scope.channel, scope.serial)) {
    for (const Exposure& exposure : release->exposures) {
      const bool in_scope = (scope.tenant.empty() || exposure.stage->row.tenant == scope.tenant) &&
                            (scope.ring.empty() || exposure.stage->row.ring == scope.ring);
      if (in_scope && exposure.committed && exposure.standing != Standing::kFree && !exposure.left)
        ++reply.hosts;
    }
  }
  return reply;
}

absl::StatusOr<ResumeReply> Engine::Resume(const Act& act, const storage::Scope& scope, BrakeKind brake) {
  RETURN_IF_ERROR(MayBrake(act, scope, brake != BrakeKind::kPause));
  double m_r = 0, m_a = 0;
  storage::BrakeRow before;
  {
    MutexLock lock(&mu_);
    before = brakes_[scope];
    if (const ReleaseState* release = FindRelease(scope.channel, scope.serial); scope.serial != 0) {
      m_r = release->m_r;
      m_a = release->m_a;
    }
  }
  ResumeReply reply;
  bool anew = false;  // the evidence starts again at nothing
  const auto fill = [&](const storage::BrakeRow& row, BrakeChange& change) -> absl::Status {
    anew = false;
    const bool vendor = act.actor.IsVendor();
    if (row.recalled) return absl::FailedPreconditionError("the release was recalled: it never runs again");
    switch (brake) {
      case BrakeKind::kPause:
        if (!(vendor ? row.vendor_paused : row.tenant_paused)) {
          return absl::FailedPreconditionError(
              absl::StrCat("no pause of ", vendor ? "the vendor" : "the tenant", " is on this scope",
                           row.halted ? ": it is halted, which two persons of the vendor resume (brake halt)"
                           : row.held ? ": it is held, which one person of the vendor resumes (brake hold)"
                                      : ""));
        }
        (vendor ? change.vendor_paused : change.tenant_paused) = false;
        return absl::OkStatus();
      case BrakeKind::kHold:
        if (!vendor) return absl::PermissionDeniedError("a hold is decided by the vendor's people");
        if (!row.held) return absl::FailedPreconditionError("nothing is held on this scope");
        change.held = false;
        change.reverting = row.halted && row.reverting;
        break;
      case BrakeKind::kHalt:
        if (!vendor) return absl::PermissionDeniedError("a halt is decided by two of the vendor's people");
        if (!row.halted) return absl::FailedPreconditionError("nothing is halted on this scope");
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
    return tx.PutEvidence(rows);
  };
  ASSIGN_OR_RETURN(reply.brake, Operate(act, kResume, scope, false, fill, also));
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
      release->ResetEvidence();
    } else if (scope.tenant.empty()) {
      release->m_r_mark = m_r;
      release->m_a_mark = m_a;
    }
    Changed();
  }
  return reply;
}

}  // namespace ringfence::app
