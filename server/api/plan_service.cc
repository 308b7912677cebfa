// Tenants' plans.
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/v1/plan.pb.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/api/pages.h"
#include "server/api/permissions.h"
#include "server/api/rpc.h"
#include "server/api/services.h"

namespace ringfence::api {
namespace {

constexpr int kMostApprovals = 1000;

class PlanService final : public RpcService {
 public:
  explicit PlanService(Environment* env) : RpcService(env, "ringfence.v1.PlanService") {
    AddOperatorCall<v1::ValidatePlanRequest, v1::ValidatePlanResponse>(
        "ValidatePlan",
        [this](const auto& actor, const auto& in, auto* out) { return Validate(actor, in, out); });
    AddOperatorCall<v1::ApplyPlanRequest, v1::ApplyPlanResponse>(
        "ApplyPlan", [this](const auto& actor, const auto& in, auto* out) { return Apply(actor, in, out); });
    AddOperatorCall<v1::GetPlanRequest, v1::GetPlanResponse>(
        "GetPlan", [this](const auto& actor, const auto& in, auto* out) { return Get(actor, in, out); });
    AddOperatorCall<v1::ListPlanRevisionsRequest, v1::ListPlanRevisionsResponse>(
        "ListPlanRevisions",
        [this](const auto& actor, const auto& in, auto* out) { return List(actor, in, out); });
    AddOperatorCall<v1::PreviewPlanRequest, v1::PreviewPlanResponse>(
        "PreviewPlan",
        [this](const auto& actor, const auto& in, auto* out) { return Preview(actor, in, out); });
    AddOperatorCall<v1::ApproveReleaseRequest, v1::ApproveReleaseResponse>(
        "ApproveRelease",
        [this](const auto& actor, const auto& in, auto* out) { return Consent(actor, in, true, out); });
    AddOperatorCall<v1::DenyReleaseRequest, v1::DenyReleaseResponse>(
        "DenyRelease",
        [this](const auto& actor, const auto& in, auto* out) { return Consent(actor, in, false, out); });
    AddOperatorCall<v1::ListApprovalsRequest, v1::ListApprovalsResponse>(
        "ListApprovals",
        [this](const auto& actor, const auto& in, auto* out) { return Approvals(actor, in, out); });
  }

 private:
  // Faults are the answer here, not an error.
  absl::Status Validate(const app::Actor& actor, const v1::ValidatePlanRequest& in,
                        v1::ValidatePlanResponse* out) {
    Faults faults;
    const policy::Plan plan = DecodePlan(in.plan(), "", faults);
    for (const policy::Fault& fault : faults.list()) {
      v1::Fault* to = out->add_faults();
      to->set_path(fault.path);
      to->set_found(fault.found);
      to->set_wanted(fault.wanted);
    }
    if (!faults.empty()) return absl::OkStatus();
    AddWarnings(plan, out);
    // Whose hosts these are, is theirs to know.
    if (CheckTenant(actor, plan.tenant).ok()) {
      out->set_authority(AuthorityOf(plan.tenant));
      for (std::string& warning : env()->app->PreviewPlan(plan).warnings)
        out->add_warnings(std::move(warning));
    }
    return absl::OkStatus();
  }

  template <typename Response>
  void AddWarnings(const policy::Plan& plan, Response* out) {
    const absl::Time now = env()->app->Status().now;
    for (std::string& warning : policy::Warnings(plan, now)) out->add_warnings(std::move(warning));
  }

  absl::Status Preview(const app::Actor& actor, const v1::PreviewPlanRequest& in,
                       v1::PreviewPlanResponse* out) {
    RETURN_IF_ERROR(CheckTenant(actor, in.plan().tenant()));
    Faults faults;
    const policy::Plan plan = DecodePlan(in.plan(), "plan", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    AddWarnings(plan, out);
    out->set_authority(AuthorityOf(plan.tenant));
    const app::PreviewReply preview = env()->app->PreviewPlan(plan);
    Encode(preview, out);
    if (in.with_label_mix()) {
      for (const policy::MixEntry& entry : preview.mix) Encode(entry, out->add_label_mix());
    }
    return absl::OkStatus();
  }

  // Where the vendor's people reach for a customer's plan, that is on record.
  absl::Status Owns(const app::Actor& actor, const std::string& tenant, const std::string& request_id,
                    const std::string& reason, const char* asked) {
    const absl::Status owns = CheckPlanOwner(actor, tenant, env()->internal_tenant);
    if (owns.ok() || !actor.IsVendor() || !IsSlug(tenant)) return owns;
    Faults faults;
    CheckRequestId(request_id, "request_id", faults);
    CheckReason(reason, faults);
    if (faults.empty()) {
      const app::Act act{.actor = actor, .request_id = request_id, .reason = reason};
      const app::Bypass bypass{app::BypassKind::kIgnorePlan, {tenant, "", 0, ""}, asked};
      // The refusal stands whether or not it can be written down.
      env()->app->DenyBypass(act, bypass).IgnoreError();
    }
    return owns;
  }

  // Of the plan in force.
  std::string AuthorityOf(const std::string& tenant) {
    const std::vector<app::SignedPlanInfo> chain = env()->app->SignedPlans(tenant);
    return chain.empty() ? plan::kVendorManaged : chain.back().authority;
  }

  // With what is signed of it.
  static void EncodeRevision(const storage::PlanRow& row, const std::vector<app::SignedPlanInfo>& chain,
                             v1::PlanRevision* out) {
    Encode(row, out);
    out->set_authority(plan::kVendorManaged);
    for (const app::SignedPlanInfo& link : chain) {
      if (link.revision != row.revision) continue;
      out->set_authority(link.authority);
      out->set_plan_version(link.version);
      out->set_sha256(std::string(link.sha256.raw()));
      if (!link.prev.IsZero()) out->set_prev_sha256(std::string(link.prev.raw()));
    }
  }

  static std::optional<absl::Duration> HastenedTo(const v1::DenyReleaseRequest&, Faults&) {
    return std::nullopt;
  }
  static std::optional<absl::Duration> HastenedTo(const v1::ApproveReleaseRequest& in, Faults& faults) {
    if (!in.has_min_age()) return std::nullopt;
    const absl::Duration age = DecodeDuration(true, in.min_age(), "min_age", faults);
    if (age < absl::ZeroDuration() || age > absl::Hours(24 * 365))
      faults.Add("min_age", absl::FormatDuration(age), "0 to 8760h");
    return age;
  }

  template <typename Request, typename Response>
  absl::Status SignedConsent(const app::Actor& actor, const Request& in, bool approved, Response* out) {
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    if (!in.reason().empty()) CheckReason(in.reason(), faults);
    if (in.envelope().size() > trust::kMaxEnvelopeBytes)
      faults.Add("envelope", absl::StrCat(in.envelope().size(), " bytes"), "at most 256 KiB");
    RETURN_IF_ERROR(faults.ToStatus());
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    app::ApprovalInfo info;
    ASSIGN_OR_RETURN(info.row, env()->app->SignedConsent(act, in.envelope(), approved));
    info.decided = true;
    info.seq = env()->app->NextSeq(info.row.tenant) - 1;
    Encode(info, out->mutable_approval());
    return absl::OkStatus();
  }

  template <typename Request, typename Response>
  absl::Status Consent(const app::Actor& actor, const Request& in, bool approved, Response* out) {
    const std::string tenant = TenantOf(actor, in.tenant());
    RETURN_IF_ERROR(
        Owns(actor, tenant, in.request_id(), in.reason(), approved ? "to approve for it" : "to deny for it"));
    if (!in.envelope().empty()) return SignedConsent(actor, in, approved, out);
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    CheckSlug(tenant, "tenant", faults);
    CheckSlug(in.channel(), "channel", faults);
    CheckSerial(in.serial(), "serial", faults);
    CheckSlugOrEmpty(in.ring(), "ring", faults);
    storage::ConsentRow wanted;
    wanted.min_age = HastenedTo(in, faults);
    RETURN_IF_ERROR(faults.ToStatus());
    wanted.tenant = tenant;
    wanted.channel = in.channel();
    wanted.serial = in.serial();
    wanted.ring = in.ring();
    wanted.approved = approved;
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    app::ApprovalInfo info;
    ASSIGN_OR_RETURN(info.row, env()->app->Consent(act, wanted));
    info.decided = true;
    Encode(info, out->mutable_approval());
    return absl::OkStatus();
  }

  absl::Status Approvals(const app::Actor& actor, const v1::ListApprovalsRequest& in,
                         v1::ListApprovalsResponse* out) {
    Faults faults;
    const std::string tenant = TenantOf(actor, in.tenant());
    CheckSlug(tenant, "tenant", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    RETURN_IF_ERROR(CheckTenant(actor, tenant));
    ASSIGN_OR_RETURN(const std::vector<app::ApprovalInfo> approvals, env()->app->Approvals(tenant));
    out->set_authority(AuthorityOf(tenant));
    out->set_next_seq(env()->app->NextSeq(tenant));
    for (const app::ApprovalInfo& approval : approvals) {
      if (in.waiting_only() && approval.decided) continue;
      if (out->approvals_size() == kMostApprovals) break;
      Encode(approval, out->add_approvals());
    }
    return absl::OkStatus();
  }

  absl::Status Apply(const app::Actor& actor, const v1::ApplyPlanRequest& in, v1::ApplyPlanResponse* out) {
    if (!in.envelope().empty()) return ApplySigned(actor, in, out);
    // Whose plan it is comes before what is in it: a stranger learns nothing.
    RETURN_IF_ERROR(Owns(actor, in.plan().tenant(), in.request_id(), in.reason(), "to set its plan"));
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    if (in.expected_revision() < 0) {
      faults.Add("expected_revision", absl::StrCat(in.expected_revision()), "zero or more");
    }
    const policy::Plan plan = DecodePlan(in.plan(), "plan", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    ASSIGN_OR_RETURN(const storage::PlanRow row, env()->app->ApplyPlan(act, plan, in.expected_revision()));
    EncodeRevision(row, {}, out->mutable_applied());
    AddWarnings(row.plan, out);
    return absl::OkStatus();
  }

  // The application sees to it that only the tenant's own people bring it.
  absl::Status ApplySigned(const app::Actor& actor, const v1::ApplyPlanRequest& in,
                           v1::ApplyPlanResponse* out) {
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    if (in.has_plan()) faults.Add("plan", "a plan", "none beside a signed one");
    if (in.envelope().size() > trust::kMaxEnvelopeBytes)
      faults.Add("envelope", absl::StrCat(in.envelope().size(), " bytes"), "at most 256 KiB");
    if (in.expected_revision() < 0)
      faults.Add("expected_revision", absl::StrCat(in.expected_revision()), "zero or more");
    RETURN_IF_ERROR(faults.ToStatus());
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    ASSIGN_OR_RETURN(const storage::PlanRow row,
                     env()->app->ApplySignedPlan(act, in.envelope(), in.expected_revision()));
    EncodeRevision(row, env()->app->SignedPlans(row.plan.tenant), out->mutable_applied());
    AddWarnings(row.plan, out);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<storage::PlanRow>> History(const app::Actor& actor, const std::string& tenant) {
    RETURN_IF_ERROR(CheckTenant(actor, tenant));
    return env()->app->PlanHistory(tenant);
  }

  // None named: a tenant's people mean their own.
  static std::string TenantOf(const app::Actor& actor, const std::string& named) {
    return named.empty() && !actor.IsVendor() ? actor.tenant : named;
  }

  absl::Status Get(const app::Actor& actor, const v1::GetPlanRequest& in, v1::GetPlanResponse* out) {
    Faults faults;
    const std::string tenant = TenantOf(actor, in.tenant());
    CheckSlug(tenant, "tenant", faults);
    if (in.revision() < 0) faults.Add("revision", absl::StrCat(in.revision()), "zero or more");
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const std::vector<storage::PlanRow> rows, History(actor, tenant));
    for (const storage::PlanRow& row : rows) {
      if (in.revision() != 0 && row.revision != in.revision()) continue;
      const std::vector<app::SignedPlanInfo> chain = env()->app->SignedPlans(tenant);
      EncodeRevision(row, chain, out->mutable_current());
      for (const app::SignedPlanInfo& link : chain) {
        if (link.revision == row.revision) out->set_envelope(link.envelope);
      }
      return absl::OkStatus();
    }
    return absl::NotFoundError(absl::StrCat("plan: \"", tenant, "\" has no ",
                                            in.revision() == 0 ? "plan" : "such revision of its plan"));
  }

  absl::Status List(const app::Actor& actor, const v1::ListPlanRevisionsRequest& in,
                    v1::ListPlanRevisionsResponse* out) {
    Faults faults;
    const std::string tenant = TenantOf(actor, in.tenant());
    CheckSlug(tenant, "tenant", faults);
    const Page page = DecodePage(in.page_size(), in.page_token(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const std::vector<storage::PlanRow> rows, History(actor, tenant));
    const std::vector<app::SignedPlanInfo> chain = env()->app->SignedPlans(tenant);
    out->set_next_page_token(ShowPage(
        rows, page, [](const storage::PlanRow& row) { return row.revision; },
        [&](const storage::PlanRow& row) { EncodeRevision(row, chain, out->add_revisions()); }));
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<RpcService> MakePlanService(Environment* env) {
  return std::make_unique<PlanService>(env);
}

}  // namespace ringfence::api
