// Customers that sign: the chain of their plans, what they say of releases, and what their hosts are handed
// of it.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/deny.h"
#include "ringfence/policy/pinned_plan.h"
#include "ringfence/trust/dsse.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// Of the envelopes in one answer to an agent.
constexpr size_t kMostBytes = 1 << 20;
// Of one release and reason: then only the metric counts.
constexpr int kMostRefusalsOnRecord = 20;

// The chain that the store holds. Everything in it was checked before it was kept, and is again.
absl::StatusOr<std::vector<plan::SignedPlan>> ChainOf(absl::Span<const storage::SignedRow> rows) {
  std::vector<plan::SignedPlan> chain;
  for (const storage::SignedRow& row : rows) {
    if (row.kind != storage::SignedKind::kPlan) continue;
    absl::StatusOr<plan::SignedPlan> link =
        plan::Extend(chain.empty() ? nullptr : &chain.back(), row.envelope);
    if (!link.ok()) {
      return absl::DataLossError(
          absl::StrCat("the signed plans of ", row.tenant, " in the database: ", link.status().message()));
    }
    chain.push_back(*std::move(link));
  }
  return chain;
}

absl::StatusOr<std::string> TenantIn(absl::string_view envelope_json) {
  ASSIGN_OR_RETURN(const trust::Envelope envelope, trust::ParseEnvelope(envelope_json));
  if (envelope.payload_type == plan::kApprovalPayloadType) {
    ASSIGN_OR_RETURN(const plan::ApprovalStatement said, plan::ParseApprovalPayload(envelope.payload));
    return said.tenant;
  }
  ASSIGN_OR_RETURN(const plan::PlanStatement statement, plan::ParsePlanPayload(envelope.payload));
  return statement.plan.tenant;
}

// A word of ours: what a host may write freely makes no metric.
std::string KnownReason(const std::string& word) {
  for (int i = 1; i <= static_cast<int>(policy::kLastReason); ++i) {
    if (word == policy::Name(static_cast<policy::Reason>(i))) return word;
  }
  return word == plan::kForkReason || word == policy::kRollbackReason ? word : "other";
}

SignedPlanInfo LinkInfo(const plan::SignedPlan& link, int64_t revision) {
  return {.revision = revision,
          .version = link.statement.version,
          .sha256 = link.sha256,
          .prev = link.statement.prev,
          .envelope = link.envelope,
          .authority = plan::Authority(&link)};
}

}  // namespace

absl::Status Engine::MayOwnPlan(const Act& act, const std::string& tenant) const {
  const bool own = act.actor.role == Role::kTenantAdmin && act.actor.tenant == tenant;
  const bool internal = act.actor.IsVendor() && tenant == options_.internal_tenant;
  if (own || internal) return absl::OkStatus();
  return absl::PermissionDeniedError("plan.tenant: only the tenant's own admin applies its plan");
}

absl::Status Engine::InstallSigned(uint32_t tenant, absl::Span<const storage::SignedRow> rows) {
  Tenant& signing = tenants_[tenant];
  // The table only grows: fewer rows are an older view of it.
  if (rows.size() < signing.chain.size() + signing.book.entries().size()) return absl::OkStatus();
  ASSIGN_OR_RETURN(signing.chain, ChainOf(rows));
  signing.chain_revisions.clear();
  signing.book = plan::ApprovalBook();
  for (const storage::SignedRow& row : rows) {
    if (row.kind == storage::SignedKind::kPlan) signing.chain_revisions.push_back(row.revision);
  }
  for (const storage::SignedRow& row : rows) {
    if (row.kind != storage::SignedKind::kDecision) continue;
    // One that newer keys did not sign counts no more; its place in the row of numbers stays.
    signing.book.Recall(row.envelope, signing.chain).IgnoreError();
  }
  return absl::OkStatus();
}

const plan::SignedPlan* Engine::SignedInForce(const Tenant& tenant) {
  if (tenant.chain.empty() || !tenant.plan.has_value()) return nullptr;
  return tenant.chain_revisions.back() == tenant.plan->revision ? &tenant.chain.back() : nullptr;
}

absl::StatusOr<storage::PlanRow> Engine::ApplySignedPlan(const Act& act, const std::string& envelope,
                                                         int64_t expected_revision) {
  RETURN_IF_ERROR(CheckAct(act));
  ASSIGN_OR_RETURN(const std::string tenant, TenantIn(envelope));
  RETURN_IF_ERROR(MayOwnPlan(act, tenant));
  const Request request = RequestFor("plan.apply", HashInput().String("signed").Raw(Sha256(envelope).raw()));
  storage::PlanRow row;
  std::vector<storage::SignedRow> documents;
  absl::Status refused;
  const absl::Time now = clock_->Now();
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    refused = absl::OkStatus();
    RETURN_IF_ERROR(Answered(tx, act, request).status());
    ASSIGN_OR_RETURN(const std::vector<storage::PlanRow> history, tx.PlanHistory(tenant));
    ASSIGN_OR_RETURN(documents, tx.SignedDocuments(tenant));
    for (const storage::SignedRow& document : documents) {
      if (document.kind != storage::SignedKind::kPlan || document.envelope != envelope) continue;
      // The same again, the newest or an older one: answered as it was.
      for (const storage::PlanRow& applied : history) {
        if (applied.revision != document.revision) continue;
        row = applied;
        return absl::OkStatus();
      }
    }
    ASSIGN_OR_RETURN(const std::vector<plan::SignedPlan> chain, ChainOf(documents));
    const absl::StatusOr<plan::SignedPlan> next =
        plan::Extend(chain.empty() ? nullptr : &chain.back(), envelope);
    if (!next.ok()) {
      refused = next.status();
      if (!plan::IsFork(refused)) return refused;
      storage::AuditRow audit =
          AuditOf(act, now, "plan_fork", tenant);  // an incident: kept, and nothing else
      audit.tenant = tenant;
      audit.after = std::string(refused.message());
      return tx.AppendAudit(audit);
    }
    row = {next->statement.plan, expected_revision + 1, act.actor.person, now};
    RETURN_IF_ERROR(tx.InsertPlan(row));
    RETURN_IF_ERROR(tx.EnsureBrakes(std::vector<storage::Scope>{{tenant, "", 0, ""}}));
    storage::SignedRow document;
    document.tenant = tenant;
    document.kind = storage::SignedKind::kPlan;
    document.number = next->statement.version;
    document.envelope = envelope;
    document.revision = row.revision;
    document.person = act.actor.person;
    document.role = Name(act.actor.role);
    document.at = now;
    RETURN_IF_ERROR(tx.InsertSigned(document));
    documents.insert(documents.begin() + static_cast<std::ptrdiff_t>(chain.size()), document);
    storage::AuditRow audit = AuditOf(act, now, request.what, tenant);
    audit.tenant = tenant;
    audit.before = absl::StrCat("revision ", expected_revision);
    audit.after = absl::StrCat("revision ", row.revision, ", ", plan::Authority(&*next), ", sha256 ",
                               next->sha256.ToString());
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, now);
  }));
  if (!refused.ok()) {
    if (metrics_ != nullptr) metrics_->PlanForked();
    return refused;
  }
  {
    MutexLock lock(&mu_);
    const uint32_t index = TenantIndex(tenant);
    RETURN_IF_ERROR(InstallSigned(index, documents));
    Tenant& changed = tenants_[index];
    if (!changed.plan.has_value() || changed.plan->revision < row.revision) {
      changed.plan = row;
      PlansChanged();
    }
  }
  TellWatchers();
  return row;
}

absl::StatusOr<storage::ConsentRow> Engine::SignedConsent(const Act& act, const std::string& envelope_json,
                                                          bool approved) {
  RETURN_IF_ERROR(CheckAct(act));
  ASSIGN_OR_RETURN(const trust::Envelope envelope, trust::ParseEnvelope(envelope_json));
  ASSIGN_OR_RETURN(const plan::ApprovalStatement said, plan::ParseApprovalPayload(envelope.payload));
  RETURN_IF_ERROR(MayOwnPlan(act, said.tenant));
  if (said.approve != approved) {
    return absl::InvalidArgumentError(absl::StrCat("envelope: says ", said.approve ? "approve" : "deny",
                                                   ", wanted ", approved ? "approve" : "deny"));
  }
  const absl::Time now = clock_->Now();
  storage::ConsentRow row;
  row.tenant = said.tenant;
  row.channel = said.channel;
  row.serial = said.serial;
  row.ring = said.rings.size() == 1 ? said.rings.front() : "";
  row.approved = said.approve;
  row.person = act.actor.person;
  row.reason = said.reason.empty() ? act.reason : said.reason;
  row.min_age = said.min_age;
  row.at = now;
  {
    MutexLock lock(&mu_);
    const ReleaseState* release = FindRelease(said.channel, said.serial);
    if (release == nullptr)
      return absl::NotFoundError(absl::StrCat("no release ", said.channel, " ", said.serial));
    // A yes to other bytes under the name, or to some of them, would let nobody in: said now.
    for (const Digest& bytes : policy::ArtifactDigests(release->release())) {
      if (!said.approve || std::find(said.digests.begin(), said.digests.end(), bytes) != said.digests.end())
        continue;
      return absl::InvalidArgumentError(absl::StrCat("envelope: sha256: does not name ", bytes.ToString(),
                                                     ", which is what hosts take as ", said.channel, "/",
                                                     said.serial));
    }
    RETURN_IF_ERROR(
        AsksAbout(said.tenant, said.channel, said.rings, act.actor, said.approve, said.min_age.has_value()));
  }
  std::vector<storage::SignedRow> documents;
  const Request request = RequestFor(approved ? "release.approve" : "release.deny",
                                     HashInput().String("signed").Raw(Sha256(envelope_json).raw()));
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(Answered(tx, act, request).status());
    ASSIGN_OR_RETURN(documents, tx.SignedDocuments(said.tenant));
    for (const storage::SignedRow& document : documents) {
      if (document.kind == storage::SignedKind::kDecision && document.envelope == envelope_json) {
        row.person = document.person;  // the same again
        row.at = document.at;
        return absl::OkStatus();
      }
    }
    ASSIGN_OR_RETURN(const std::vector<plan::SignedPlan> chain, ChainOf(documents));
    if (chain.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(said.tenant, " does not sign its plans: approve or deny without a signature"));
    }
    plan::ApprovalBook book;
    for (const storage::SignedRow& document : documents) {
      if (document.kind == storage::SignedKind::kDecision)
        book.Recall(document.envelope, chain).IgnoreError();
    }
    RETURN_IF_ERROR(book.Add(envelope_json, chain));
    storage::SignedRow document;
    document.tenant = said.tenant;
    document.kind = storage::SignedKind::kDecision;
    document.number = said.seq;
    document.envelope = envelope_json;
    document.person = act.actor.person;
    document.role = Name(act.actor.role);
    document.at = now;
    RETURN_IF_ERROR(tx.InsertSigned(document));
    documents.push_back(document);
    storage::DecisionRow decision;
    decision.at = now;
    decision.tenant = row.tenant;
    decision.channel = row.channel;
    decision.serial = row.serial;
    decision.ring = row.ring;
    decision.action = row.approved ? "approve" : "deny";
    decision.rule = "operator";
    decision.actor = row.person;
    decision.why = row.reason.empty() ? "no reason given" : row.reason;
    decision.evidence = absl::StrCat("{\"serial\":", row.serial, ",\"seq\":", said.seq, "}");
    RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    storage::AuditRow audit = AuditOf(act, now, request.what, absl::StrCat(row.channel, "/", row.serial));
    audit.tenant = row.tenant;
    audit.after = absl::StrCat("signed, seq ", said.seq, ", sha256 ", Sha256(envelope.payload).ToString());
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, now);
  }));
  {
    MutexLock lock(&mu_);
    RETURN_IF_ERROR(InstallSigned(TenantIndex(said.tenant), documents));
    Changed();
  }
  TellWatchers();
  return row;
}

std::vector<SignedPlanInfo> Engine::SignedPlans(const std::string& tenant) {
  MutexLock lock(&mu_);
  std::vector<SignedPlanInfo> plans;
  const auto index = tenant_index_.find(tenant);
  if (index == tenant_index_.end()) return plans;
  const Tenant& signing = tenants_[index->second];
  for (size_t i = 0; i < signing.chain.size(); ++i)
    plans.push_back(LinkInfo(signing.chain[i], signing.chain_revisions[i]));
  return plans;
}

uint64_t Engine::NextSeq(const std::string& tenant) {
  MutexLock lock(&mu_);
  const auto index = tenant_index_.find(tenant);
  if (index == tenant_index_.end() || tenants_[index->second].chain.empty()) return 0;
  return tenants_[index->second].book.last_seq() + 1;
}

std::vector<std::string> Engine::FetchPlan(const std::string& tenant, uint64_t from_version,
                                           uint64_t from_seq) {
  MutexLock lock(&mu_);
  std::vector<std::string> envelopes;
  size_t bytes = 0;
  const auto index = tenant_index_.find(tenant);
  if (index == tenant_index_.end()) return envelopes;
  const auto add = [&](const std::string& envelope) {
    if (!envelopes.empty() && bytes + envelope.size() > kMostBytes) return false;
    bytes += envelope.size();
    envelopes.push_back(envelope);
    return true;
  };
  const Tenant& signing = tenants_[index->second];
  for (const plan::SignedPlan& link : signing.chain) {
    if (link.statement.version >= from_version && !add(link.envelope)) return envelopes;
  }
  for (const plan::ApprovalBook::Entry& entry : signing.book.entries()) {
    if (entry.counts && entry.statement.seq >= from_seq && !add(entry.envelope)) return envelopes;
  }
  return envelopes;
}

void Engine::OnPlanRefused(HostRef host, const LabelSet& set, const AgentEvent& event, absl::Time now) {
  const std::string reason = KnownReason(event.metric);
  if (metrics_ != nullptr) metrics_->PlanRefused(reason);
  if (reason == plan::kForkReason && metrics_ != nullptr) metrics_->PlanForked();
  if (++plan_refusals_[{event.digest, reason}] > kMostRefusalsOnRecord) return;
  const Tenant& tenant = tenants_[set.tenant];
  const AgentId agent = fleet_.With(host, [](Row& row) { return row.agent; });
  const auto known = release_by_digest_.find(event.digest);
  storage::DecisionRow decision;
  decision.at = now;
  decision.tenant = tenant.name;
  decision.channel = event.channel;
  if (known != release_by_digest_.end()) {
    decision.channel = releases_[known->second]->release().channel;
    decision.serial = releases_[known->second]->release().serial;
  }
  if (set.ring >= 0) decision.ring = tenant.plan->plan.rings[static_cast<size_t>(set.ring)].name;
  decision.action = "plan_refused";
  decision.rule = reason == plan::kForkReason ? "plan_chain" : "pinned_plan";
  decision.actor = agent.ToString();
  decision.why = event.detail.empty() ? reason : absl::StrCat(reason, ": ", event.detail);
  decision.evidence = absl::StrCat("{\"serial\":", decision.serial, "}");
  storage::AuditRow audit;
  audit.at = now;
  audit.person = agent.ToString();
  audit.role = "agent";
  audit.tenant = tenant.name;
  audit.act = "plan_refused";
  audit.target = absl::StrCat(decision.channel, "/", decision.serial);
  audit.reason = reason;
  audit.after = event.detail;
  if (metrics_ != nullptr) metrics_->Decision(decision.action, decision.rule);
  new_incidents_.emplace_back(std::move(decision), std::move(audit));
  ++version_;
}

}  // namespace ringfence::app
