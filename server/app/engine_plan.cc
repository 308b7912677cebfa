// What tenants' plans say of this moment: windows, freezes, blackouts, consent, barriers.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/deny.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// In a wave that was shut and opens again, hosts ask within so many check-in intervals.
constexpr int kAskWithin = 3;

}  // namespace

const storage::ConsentRow* Engine::FindConsent(const std::string& tenant, const std::string& channel,
                                               uint64_t serial, const std::string& ring) const {
  for (const std::string& scope : {ring, std::string()}) {
    const auto found = consents_.find({tenant, channel, serial, scope});
    if (found != consents_.end()) return &found->second;
  }
  return nullptr;
}

policy::Consent Engine::ConsentOf(uint32_t tenant, const std::string& channel, uint64_t serial,
                                  const std::string& ring) const {
  const storage::ConsentRow* row = FindConsent(tenants_[tenant].name, channel, serial, ring);
  if (!tenants_[tenant].chain.empty()) {
    // Its hosts go by what is signed; the server alone can only say no besides.
    if (row != nullptr && !row->approved) return policy::Consent::kDenied;
    const ReleaseState* release = FindRelease(channel, serial);
    if (release == nullptr) return policy::Consent::kNone;
    // Of a set every host's own bytes: it goes by these.
    policy::Consent consent = policy::Consent::kApproved;
    for (const Digest& bytes : policy::ArtifactDigests(release->release())) {
      const policy::Consent said = tenants_[tenant].book.Of(channel, serial, bytes, ring, clock_->Now());
      if (said == policy::Consent::kDenied) return said;
      if (said == policy::Consent::kNone) consent = said;
    }
    return consent;
  }
  if (row == nullptr) return policy::Consent::kNone;
  return row->approved ? policy::Consent::kApproved : policy::Consent::kDenied;
}

std::optional<plan::Haste> Engine::HasteOf(uint32_t tenant, const std::string& channel, uint64_t serial,
                                           const policy::Ring& ring) const {
  if (!ring.hasten_to.has_value()) return std::nullopt;
  const storage::ConsentRow* row = FindConsent(tenants_[tenant].name, channel, serial, ring.name);
  if (tenants_[tenant].chain.empty()) {
    if (row == nullptr || !row->approved || !row->min_age.has_value()) return std::nullopt;
    return plan::Haste{*row->min_age};
  }
  const ReleaseState* release = FindRelease(channel, serial);
  if (release == nullptr || (row != nullptr && !row->approved)) return std::nullopt;
  // Of a set all bytes must be hastened: the ring takes it for all its hosts.
  std::optional<plan::Haste> all;
  for (const Digest& bytes : policy::ArtifactDigests(release->release())) {
    const std::optional<plan::Haste> one =
        tenants_[tenant].book.HasteOf(channel, serial, bytes, ring.name, clock_->Now());
    if (!one.has_value()) return std::nullopt;
    all = !all.has_value()
              ? *one
              : plan::Haste{std::max(all->min_age, one->min_age), std::min(all->until, one->until)};
  }
  return all;
}

policy::Reason Engine::PassingReason(uint32_t tenant, int ring, const policy::Release& release,
                                     absl::Time now) const {
  const policy::Plan& plan = tenants_[tenant].plan->plan;
  const policy::Consent consent =
      ConsentOf(tenant, release.channel, release.serial, plan.rings[static_cast<size_t>(ring)].name);
  return policy::PassingReason(plan, ring, release, consent, now);
}

void Engine::ViewCalendar(const Stage& stage, absl::Time now, policy::StageView& view) const {
  const policy::Release& release = stage.release->release();
  view.closed = PassingReason(stage.tenant, stage.ring, release, now);
  // A no that came while the wave was open lets nobody in any more, as the deny list does; the stage ends on
  // the proof of those that took it, and its ring is free for the next.
  if (view.closed == policy::Reason::kDenied && stage.row.state == policy::StageState::kOpen) {
    view.closed = policy::Reason::kNone;
    return;
  }
  const policy::Plan& plan = tenants_[stage.tenant].plan->plan;
  if (view.closed != policy::Reason::kNone) {
    const policy::Calendar calendar = policy::CalendarOf(plan, plan.rings[static_cast<size_t>(stage.ring)],
                                                         release.channel, release.urgent);
    if (policy::ClosedNow(calendar, now) == view.closed) view.closed_until = policy::Ask(calendar, now).until;
    return;
  }
  // Nobody asked while it was shut. A wave that passed for that, at the first moment of a window, would have
  // let in next to nobody.
  if (stage.row.state != policy::StageState::kOpen) return;
  const absl::Duration asked_within = absl::Nanoseconds(kAskWithin * h_);
  view.closed = PassingReason(stage.tenant, stage.ring, release, now - asked_within);
  if (view.closed != policy::Reason::kNone) view.closed_until = now + asked_within;
}

void Engine::WatchCalendars(absl::Time now) {
  bool changed = false;
  for (Tenant& tenant : tenants_) {
    if (now < tenant.calendar_changes_at || !tenant.plan.has_value()) continue;
    changed = changed || tenant.calendar_changes_at != absl::InfinitePast();
    tenant.calendar_changes_at = absl::InfiniteFuture();
    const policy::Plan& plan = tenant.plan->plan;
    if (plan.valid_until.has_value() && !policy::HasExpired(plan, now))
      tenant.calendar_changes_at = *plan.valid_until;
    for (const policy::Ring& ring : plan.rings) {
      for (const policy::ChannelRule& rule : plan.channels) {
        const policy::Calendar calendar = policy::CalendarOf(plan, ring, rule.channel, false);
        if (calendar.windows.empty() && calendar.freezes.empty() && calendar.blackouts.empty()) continue;
        tenant.calendar_changes_at = std::min(tenant.calendar_changes_at, policy::Ask(calendar, now).until);
      }
    }
  }
  if (changed) Changed();
}

ReleaseState* Engine::BarrierBefore(const policy::ChannelRule& rule,
                                    const std::vector<storage::Running>& running,
                                    const policy::Release& wanted) const {
  if (rule.barriers.empty()) return nullptr;
  uint64_t runs = 0;
  for (const storage::Running& one : running) {
    const auto it = release_by_digest_.find(one.digest);
    if (one.channel != rule.channel || it == release_by_digest_.end()) continue;
    runs = releases_[it->second]->release().serial;
  }
  std::vector<policy::Milestone> published;
  for (const auto& release : releases_) {
    if (release->release().channel != rule.channel) continue;
    published.push_back({release->release().serial, release->release().version});
  }
  const policy::Milestone* first = policy::BarrierBefore(rule, published, runs, wanted.serial);
  if (first == nullptr) return nullptr;
  for (const auto& release : releases_) {
    if (release->release().channel == rule.channel && release->release().serial == first->serial)
      return release.get();
  }
  return nullptr;
}

bool Engine::IsBarrier(const policy::Release& release) const {
  return std::any_of(tenants_.begin(), tenants_.end(), [&](const Tenant& tenant) {
    const policy::ChannelRule* rule =
        tenant.plan.has_value() ? policy::FindRule(tenant.plan->plan, release.channel) : nullptr;
    return rule != nullptr &&
           std::find(rule->barriers.begin(), rule->barriers.end(), release.version) != rule->barriers.end();
  });
}

Stage* Engine::OfferingStageTo(const std::vector<storage::Running>& running, uint32_t tenant,
                               const std::string& channel, const std::string& ring) {
  Stage* stage = OfferingStage(tenant, channel, ring);
  const policy::ChannelRule* rule = policy::FindRule(tenants_[tenant].plan->plan, channel);
  if (stage == nullptr || rule == nullptr) return stage;
  const ReleaseState* barrier = BarrierBefore(*rule, running, stage->release->release());
  if (barrier == nullptr) return stage;
  for (const auto& earlier : stages_) {
    if (earlier->tenant != tenant || earlier->row.ring != ring || earlier->release != barrier) continue;
    return barrier->live && policy::GivesLeases(earlier->row.state) ? earlier.get() : nullptr;
  }
  return nullptr;
}

absl::Status Engine::AsksAbout(const std::string& name, const std::string& channel,
                               const std::vector<std::string>& rings, const Actor& actor, bool approve,
                               bool hastens) const {
  const auto tenant = tenant_index_.find(name);
  if (tenant == tenant_index_.end() || !tenants_[tenant->second].plan.has_value()) {
    return absl::NotFoundError(absl::StrCat("tenant: \"", name, "\" has no plan"));
  }
  const policy::Plan& plan = tenants_[tenant->second].plan->plan;
  for (const std::string& ring : rings) {
    if (policy::FindRing(plan, ring) == nullptr)
      return absl::NotFoundError(absl::StrCat("ring: the plan has no ring \"", ring, "\""));
  }
  bool asks = false, can_hasten = false;
  const policy::Ring* refuses = nullptr;  // a yes of this person
  for (const policy::Ring& ring : plan.rings) {
    if (!rings.empty() && std::find(rings.begin(), rings.end(), ring.name) == rings.end()) continue;
    const bool hastened = hastens && ring.hasten_to.has_value();
    can_hasten = can_hasten || hastened;
    if (!hastened && policy::EffectiveApproval(plan, ring, channel) != policy::Approval::kExplicit) continue;
    asks = true;
    if (!policy::MayApprove(plan, ring, channel, actor.person, Name(actor.role))) refuses = &ring;
  }
  if (hastens && !can_hasten) {
    return absl::FailedPreconditionError(
        "min_age: the plan lets no approval shorten the age there (hasten_to)");
  }
  if (!asks) return absl::FailedPreconditionError("the plan asks nobody about this release there");
  // A no keeps hosts as they are: any admin may say it.
  if (approve && refuses != nullptr) {
    return absl::PermissionDeniedError(absl::StrCat(
        "ring ", refuses->name, " asks ", absl::StrJoin(policy::ApproversOf(plan, *refuses, channel), " or "),
        ", not ", actor.person));
  }
  return absl::OkStatus();
}

absl::StatusOr<storage::ConsentRow> Engine::Consent(const Act& act, storage::ConsentRow wanted) {
  RETURN_IF_ERROR(CheckAct(act));
  const bool own = act.actor.role == Role::kTenantAdmin && act.actor.tenant == wanted.tenant;
  const bool internal = act.actor.IsVendor() && wanted.tenant == options_.internal_tenant;
  if (!own && !internal) {
    return absl::PermissionDeniedError("tenant: only the tenant's own admin approves for it, or denies");
  }
  wanted.person = act.actor.person;
  wanted.reason = act.reason;
  wanted.at = clock_->Now();
  std::string version;
  {
    MutexLock lock(&mu_);
    const ReleaseState* release = FindRelease(wanted.channel, wanted.serial);
    if (release == nullptr || wanted.serial == 0) {
      return absl::NotFoundError(absl::StrCat("no release ", wanted.channel, " ", wanted.serial));
    }
    version = release->release().version;
    const std::vector<std::string> rings =
        wanted.ring.empty() ? std::vector<std::string>() : std::vector{wanted.ring};
    RETURN_IF_ERROR(AsksAbout(wanted.tenant, wanted.channel, rings, act.actor, wanted.approved,
                              wanted.min_age.has_value()));
    if (wanted.approved && !tenants_[tenant_index_.at(wanted.tenant)].chain.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          wanted.tenant, " signs its plans: its hosts take a release on a signed approval only (--key)"));
    }
  }
  const std::string target = absl::StrCat(wanted.channel, "/", wanted.serial,
                                          wanted.ring.empty() ? "" : absl::StrCat(" in ring ", wanted.ring));
  HashInput said =
      HashInput().String(wanted.tenant).String(wanted.channel).U64(wanted.serial).String(wanted.ring);
  if (wanted.min_age.has_value()) said.U64(static_cast<uint64_t>(absl::ToInt64Microseconds(*wanted.min_age)));
  const Request request = RequestFor(wanted.approved ? "release.approve" : "release.deny", said);
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, request));
    ASSIGN_OR_RETURN(const std::vector<storage::ConsentRow> rows, tx.Consents());
    for (const storage::ConsentRow& row : rows) {
      if (row.tenant != wanted.tenant || row.channel != wanted.channel || row.serial != wanted.serial)
        continue;
      if (known.has_value() && row.ring == wanted.ring) {
        wanted = row;  // the same again: answered like the first time
        return absl::OkStatus();
      }
      // A no for every ring is a no for each.
      if (row.ring == wanted.ring || (row.ring.empty() && !row.approved)) {
        return absl::FailedPreconditionError(
            absl::StrCat(target, " was ", row.approved ? "approved" : "denied", " by ", row.person,
                         row.approved ? "; to stop it, halt or pause it" : "; a later release is needed"));
      }
    }
    RETURN_IF_ERROR(tx.InsertConsent(wanted));
    storage::DecisionRow decision;
    decision.at = wanted.at;
    decision.tenant = wanted.tenant;
    decision.channel = wanted.channel;
    decision.serial = wanted.serial;
    decision.ring = wanted.ring;
    decision.action = wanted.approved ? "approve" : "deny";
    decision.rule = "operator";
    decision.actor = wanted.person;
    decision.why = wanted.reason.empty() ? "no reason given" : wanted.reason;
    decision.evidence = absl::StrCat("{\"serial\":", wanted.serial, "}");
    RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    storage::AuditRow audit = AuditOf(act, wanted.at, request.what, target);
    audit.tenant = wanted.tenant;
    audit.after =
        absl::StrCat("version ", version,
                     wanted.min_age.has_value()
                         ? absl::StrCat(", asks for an age of ", absl::FormatDuration(*wanted.min_age))
                         : "");
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, wanted.at);
  }));
  {
    MutexLock lock(&mu_);
    consents_[{wanted.tenant, wanted.channel, wanted.serial, wanted.ring}] = wanted;
    Changed();
  }
  TellWatchers();
  return wanted;
}

absl::StatusOr<std::vector<ApprovalInfo>> Engine::Approvals(const std::string& tenant) {
  MutexLock lock(&mu_);
  const auto index = tenant_index_.find(tenant);
  if (index == tenant_index_.end() || !tenants_[index->second].plan.has_value()) {
    return absl::NotFoundError(absl::StrCat("tenant: \"", tenant, "\" has no plan"));
  }
  const policy::Plan& plan = tenants_[index->second].plan->plan;
  const absl::Time now = clock_->Now();
  std::vector<ApprovalInfo> approvals;
  std::vector<const ReleaseState*> newest_first;
  for (const auto& release : releases_) newest_first.push_back(release.get());
  std::sort(newest_first.begin(), newest_first.end(),
            [](const auto* a, const auto* b) { return a->row.rollout > b->row.rollout; });
  for (const ReleaseState* state : newest_first) {
    const policy::Release& release = state->release();
    const policy::ChannelRule* rule = policy::FindRule(plan, release.channel);
    if (rule == nullptr) continue;
    for (const policy::Ring& ring : plan.rings) {
      const bool asks = policy::EffectiveApproval(plan, ring, release.channel) == policy::Approval::kExplicit;
      if (!asks && !ring.hasten_to.has_value()) continue;
      ApprovalInfo info;
      const storage::ConsentRow* row = FindConsent(tenant, release.channel, release.serial, ring.name);
      info.decided = row != nullptr;
      if (row != nullptr) info.row = *row;
      info.row.tenant = tenant;
      info.row.channel = release.channel;
      info.row.serial = release.serial;
      info.row.ring = ring.name;
      info.version = release.version;
      const Tenant& signing = tenants_[index->second];
      for (const plan::ApprovalBook::Entry& entry : signing.book.entries()) {
        const plan::ApprovalStatement& said = entry.statement;
        const bool meant = entry.counts && said.channel == release.channel && said.serial == release.serial &&
                           (said.rings.empty() ||
                            std::find(said.rings.begin(), said.rings.end(), ring.name) != said.rings.end());
        if (!meant || (info.decided && !info.row.approved)) continue;  // a no is a no for good
        if (said.approve && now >= said.not_after) continue;           // it has ended
        info.decided = true;
        info.seq = said.seq;
        info.row.approved = said.approve;
        info.row.person = "signed";
        info.row.reason = said.reason;
        info.row.min_age = said.min_age;
      }
      if (!asks && !info.decided) continue;  // nobody waits there
      approvals.push_back(std::move(info));
    }
  }
  return approvals;
}

}  // namespace ringfence::app
