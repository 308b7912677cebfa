#include "server/app/brake_act.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"

namespace ringfence::app {
namespace {

std::string Describe(const storage::BrakeRow& row) {
  return absl::StrCat(row.tenant_paused ? "tenant_paused " : "", row.vendor_paused ? "vendor_paused " : "",
                      row.held ? "held " : "", row.halted ? "halted " : "", row.reverting ? "reverting " : "",
                      row.recalled ? "recalled " : "",
                      row.first_approver.empty() ? "" : absl::StrCat("approved by ", row.first_approver));
}

}  // namespace

void BrakeChange::ApplyTo(storage::BrakeRow& row) const {
  const bool was_halted = row.halted;
  ++row.epoch;
  row.scope = scope;
  if (tenant_paused.has_value()) row.tenant_paused = *tenant_paused;
  if (vendor_paused.has_value()) row.vendor_paused = *vendor_paused;
  if (held.has_value()) row.held = *held;
  if (halted.has_value()) row.halted = *halted;
  if (reverting.has_value()) row.reverting = *reverting;
  if (recalled.has_value()) row.recalled = *recalled;
  if (first_approver.has_value()) row.first_approver = *first_approver;
  // Halted once more while a first person's order waits: whoever halts wants it looked at again.
  if (halted.value_or(false) && (!was_halted || first_approver == "")) row.resume_order.clear();
  if (row.halted && !was_halted) row.halted_at = at;
  if (resume_order.has_value()) row.resume_order = *resume_order;
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

const char* Name(Stop stop) {
  switch (stop) {
    case Stop::kPause:
      return "pause";
    case Stop::kHalt:
      return "halt";
    case Stop::kRollBack:
      return "rollback";
    case Stop::kRecall:
      return "recall";
  }
  return "unknown";
}

absl::Status CheckBrakeAct(const Act& act, const storage::Scope& scope, bool needs_release) {
  RETURN_IF_ERROR(CheckAct(act));
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
  if (!scope.ring.empty() && (scope.tenant.empty() || (scope.serial == 0 && !scope.channel.empty()))) {
    return absl::InvalidArgumentError("scope.ring: needs the tenant, and of channel and serial both or none");
  }
  return absl::OkStatus();
}

BrakeAct OperatorAct(const Act& act, const char* what, const storage::Scope& scope, absl::Time at) {
  BrakeAct brake;
  brake.change.scope = scope;
  brake.change.rule = "operator";
  brake.change.reason = act.reason;
  brake.change.actor = act.actor.person;
  brake.change.at = at;
  brake.decision.at = brake.change.at;
  brake.decision.tenant = scope.tenant;
  brake.decision.channel = scope.channel;
  brake.decision.serial = scope.serial;
  brake.decision.ring = scope.ring;
  brake.decision.action = what;
  brake.decision.rule = "operator";
  brake.decision.actor = act.actor.person;
  brake.decision.why = act.reason;
  std::string target = scope.channel.empty() ? "every release" : scope.channel;
  if (scope.serial != 0) absl::StrAppend(&target, "/", scope.serial);
  if (!scope.ring.empty()) absl::StrAppend(&target, "/", scope.ring);
  brake.audit = AuditOf(act, at, absl::StrCat("rollout.", what), target);
  brake.audit->tenant = scope.tenant;
  const Digest fingerprint = Sha256(
      absl::StrCat(what, "\n", scope.tenant, "\n", scope.channel, "\n", scope.serial, "\n", scope.ring));
  brake.request = Kept(act, {what, fingerprint}, at);
  return brake;
}

BrakeAct StopAct(Stop stop, const Act& act, const storage::Scope& scope, absl::Time at) {
  BrakeAct brake = OperatorAct(act, Name(stop), scope, at);
  BrakeChange& change = brake.change;
  switch (stop) {
    case Stop::kPause:
      (act.actor.IsVendor() ? change.vendor_paused : change.tenant_paused) = true;
      return brake;
    case Stop::kRecall:
      change.recalled = true;
      change.halted = true;
      change.reverting = true;
      return brake;
    case Stop::kRollBack:
      change.reverting = true;
      [[fallthrough]];
    case Stop::kHalt:
      change.halted = true;
      change.first_approver = "";
      return brake;
  }
  return brake;
}

absl::StatusOr<storage::BrakeRow> WriteBrake(
    storage::Transaction& tx, BrakeAct brake, bool& repeated,
    absl::FunctionRef<absl::Status(const storage::BrakeRow&, BrakeChange&)> decide) {
  repeated = false;
  std::optional<storage::RequestRow> known;
  // The lock first: another replica may be writing the same request at this moment.
  ASSIGN_OR_RETURN(storage::BrakeRow row, tx.LockBrake(brake.change.scope));
  if (brake.request.has_value()) {
    ASSIGN_OR_RETURN(known, Answered(tx, *brake.request));
  }
  repeated = known.has_value();
  if (repeated) return row;
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
    if (brake.decision.action == kResumeAct && !row.first_approver.empty()) {
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

}  // namespace ringfence::app
