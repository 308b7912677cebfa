// Urgent releases: announced to every tenant, acknowledged by its people, moved by its plan alone.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

std::string EffectOf(const policy::Plan& plan) {
  if (!plan.urgent.has_value() || plan.urgent->mode != policy::UrgentMode::kAllow)
    return "the plan lets nothing move faster";
  const policy::Urgent& urgent = *plan.urgent;
  std::vector<std::string> parts;
  if (urgent.min_age.has_value())
    parts.push_back(absl::StrCat("age ", absl::FormatDuration(*urgent.min_age)));
  if (urgent.soak.has_value()) parts.push_back(absl::StrCat("soak ", absl::FormatDuration(*urgent.soak)));
  if (urgent.outside_windows) parts.push_back("outside windows");
  return absl::StrCat("the plan allows in ",
                      urgent.rings.empty() ? std::string("every ring")
                                           : absl::StrCat("ring ", absl::StrJoin(urgent.rings, ", ")),
                      ": ", parts.empty() ? "nothing more" : absl::StrJoin(parts, ", "));
}

}  // namespace

UrgentInfo Engine::UrgentOf(const ReleaseState& release, const Tenant& tenant) {
  UrgentInfo info;
  info.release = release.row;
  info.tenant = tenant.name;
  info.effect = tenant.plan.has_value() ? EffectOf(tenant.plan->plan) : "no plan: nothing moves";
  const auto found = acknowledged_.find({tenant.name, release.release().channel, release.release().serial});
  if (found != acknowledged_.end()) info.acknowledged = found->second;
  return info;
}

int64_t Engine::Unacknowledged(const ReleaseState& release, const std::string& tenant) const {
  if (!release.release().urgent || release.row.state == storage::ReleaseState::kRecalled) return 0;
  const policy::Release& r = release.release();
  int64_t count = 0;
  for (const Tenant& one : tenants_) {
    const bool announced = one.plan.has_value() && (tenant.empty() || one.name == tenant) &&
                           policy::FindRule(one.plan->plan, r.channel) != nullptr;
    if (announced && !acknowledged_.contains({one.name, r.channel, r.serial})) ++count;
  }
  return count;
}

absl::StatusOr<std::vector<UrgentInfo>> Engine::UrgentReleases(const std::string& tenant) {
  MutexLock lock(&mu_);
  std::vector<UrgentInfo> all;
  for (const auto& release : releases_) {
    if (!release->release().urgent) continue;
    for (const Tenant& one : tenants_) {
      const bool wanted = tenant.empty() ? one.plan.has_value() : one.name == tenant;
      if (!wanted) continue;
      if (one.plan.has_value() && policy::FindRule(one.plan->plan, release->release().channel) == nullptr)
        continue;
      all.push_back(UrgentOf(*release, one));
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const UrgentInfo& a, const UrgentInfo& b) {
    return a.release.rollout > b.release.rollout;
  });
  return all;
}

absl::StatusOr<UrgentInfo> Engine::Acknowledge(const Act& act, storage::AcknowledgementRow wanted) {
  RETURN_IF_ERROR(CheckAct(act));
  const bool own = act.actor.role == Role::kTenantAdmin && act.actor.tenant == wanted.tenant;
  const bool internal = act.actor.IsVendor() && wanted.tenant == options_.internal_tenant;
  if (!own && !internal) {
    return absl::PermissionDeniedError("tenant: only the tenant's own admin acknowledges for it");
  }
  wanted.person = act.actor.person;
  wanted.reason = act.reason;
  wanted.at = absl::FromUnixMicros(absl::ToUnixMicros(clock_->Now()));
  const std::string target = absl::StrCat(wanted.channel, "/", wanted.serial);
  {
    MutexLock lock(&mu_);
    const ReleaseState* release = wanted.serial == 0 ? nullptr : FindRelease(wanted.channel, wanted.serial);
    if (release == nullptr) return absl::NotFoundError(absl::StrCat("no release ", target));
    if (!release->release().urgent)
      return absl::FailedPreconditionError(absl::StrCat(target, " is not urgent: nothing to acknowledge"));
    if (!tenant_index_.contains(wanted.tenant))
      return absl::NotFoundError(absl::StrCat("tenant: \"", wanted.tenant, "\" is not known"));
  }
  const Request request = RequestFor(
      "release.acknowledge", HashInput().String(wanted.tenant).String(wanted.channel).U64(wanted.serial));
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, request));
    ASSIGN_OR_RETURN(const std::vector<storage::AcknowledgementRow> rows, tx.Acknowledgements());
    for (const storage::AcknowledgementRow& row : rows) {
      if (row.tenant != wanted.tenant || row.channel != wanted.channel || row.serial != wanted.serial)
        continue;
      if (!known.has_value()) {
        return absl::FailedPreconditionError(
            absl::StrCat(target, " was acknowledged by ", row.person, " already"));
      }
      wanted = row;  // the same again: answered like the first time
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(tx.InsertAcknowledgement(wanted));
    storage::DecisionRow decision;
    decision.at = wanted.at;
    decision.tenant = wanted.tenant;
    decision.channel = wanted.channel;
    decision.serial = wanted.serial;
    decision.action = "acknowledge";
    decision.rule = "operator";
    decision.actor = wanted.person;
    decision.why = wanted.reason;
    decision.evidence = "{\"urgent\":true}";
    RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    storage::AuditRow audit = AuditOf(act, wanted.at, request.what, target);
    audit.tenant = wanted.tenant;
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, wanted.at);
  }));
  UrgentInfo info;
  {
    MutexLock lock(&mu_);
    acknowledged_[{wanted.tenant, wanted.channel, wanted.serial}] = wanted;
    info = UrgentOf(*FindRelease(wanted.channel, wanted.serial), tenants_[tenant_index_[wanted.tenant]]);
  }
  if (metrics_ != nullptr) metrics_->Decision("acknowledge", "operator");
  TellWatchers();
  return info;
}

}  // namespace ringfence::app
