#include "server/api/permissions.h"

#include "absl/strings/str_cat.h"

namespace ringfence::api {
namespace {

constexpr uint8_t Bit(app::Role role) {
  return static_cast<uint8_t>(1U << static_cast<unsigned>(role));
}

constexpr uint8_t kViewer = Bit(app::Role::kTenantViewer);
constexpr uint8_t kAdmin = Bit(app::Role::kTenantAdmin);
constexpr uint8_t kSre = Bit(app::Role::kSre);
constexpr uint8_t kManager = Bit(app::Role::kReleaseManager);
constexpr uint8_t kVendor = kSre | kManager;
constexpr uint8_t kEveryRole = kViewer | kAdmin | kVendor;

// docs/identity.md shows the same table; tests/api/permissions_test.cc walks every RPC of the descriptors
// through it.
constexpr Permission kPermissions[] = {
    {"ringfence.v1.AgentService/Enroll", Audience::kAnyone, 0},
    {"ringfence.v1.AgentService/CheckIn", Audience::kAgents, 0},
    {"ringfence.v1.AgentService/Lease", Audience::kAgents, 0},
    {"ringfence.v1.AgentService/GetArtifact", Audience::kAgents, 0},
    {"ringfence.v1.AgentService/FetchMetadata", Audience::kAgents, 0},
    {"ringfence.v1.AgentService/FetchPlan", Audience::kAgents, 0},

    {"ringfence.v1.ReleaseService/PublishRelease", Audience::kOperators, kManager},
    {"ringfence.v1.ReleaseService/ListReleases", Audience::kOperators, kEveryRole},
    {"ringfence.v1.ReleaseService/GetRelease", Audience::kOperators, kEveryRole},
    {"ringfence.v1.ReleaseService/RecallRelease", Audience::kOperators, kVendor},
    {"ringfence.v1.ReleaseService/ListUrgentReleases", Audience::kOperators, kEveryRole},
    {"ringfence.v1.ReleaseService/AcknowledgeRelease", Audience::kOperators, kAdmin | kVendor},

    {"ringfence.v1.PlanService/ValidatePlan", Audience::kOperators, kEveryRole},
    {"ringfence.v1.PlanService/ApplyPlan", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.PlanService/GetPlan", Audience::kOperators, kEveryRole},
    {"ringfence.v1.PlanService/ListPlanRevisions", Audience::kOperators, kEveryRole},
    {"ringfence.v1.PlanService/PreviewPlan", Audience::kOperators, kEveryRole},
    {"ringfence.v1.PlanService/ApproveRelease", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.PlanService/DenyRelease", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.PlanService/ListApprovals", Audience::kOperators, kEveryRole},

    {"ringfence.v1.RolloutService/ListRollouts", Audience::kOperators, kEveryRole},
    {"ringfence.v1.RolloutService/GetRollout", Audience::kOperators, kEveryRole},
    {"ringfence.v1.RolloutService/WatchRollout", Audience::kOperators, kEveryRole},
    {"ringfence.v1.RolloutService/PauseRollout", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.RolloutService/ResumeRollout", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.RolloutService/HaltRollout", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.RolloutService/RollBackRollout", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.RolloutService/RequestBypass", Audience::kOperators, kAdmin | kVendor},
    {"ringfence.v1.RolloutService/ExcludeCohort", Audience::kOperators, kVendor},
    {"ringfence.v1.RolloutService/UnblockCohort", Audience::kOperators, kVendor},
    {"ringfence.v1.RolloutService/ListDecisions", Audience::kOperators, kEveryRole},
    {"ringfence.v1.RolloutService/ListEvidence", Audience::kOperators, kVendor},

    {"ringfence.v1.FleetService/ListAgents", Audience::kOperators, kEveryRole},
    {"ringfence.v1.FleetService/GetAgent", Audience::kOperators, kEveryRole},
    {"ringfence.v1.FleetService/ExplainAgent", Audience::kOperators, kEveryRole},
    {"ringfence.v1.FleetService/ExplainRelease", Audience::kOperators, kEveryRole},
    {"ringfence.v1.FleetService/DeleteAgent", Audience::kOperators, kAdmin | kSre},
    {"ringfence.v1.FleetService/CreateEnrolmentToken", Audience::kOperators, kAdmin | kSre},
    {"ringfence.v1.FleetService/GetServerStatus", Audience::kOperators, kEveryRole},
    {"ringfence.v1.FleetService/ListAuditEvents", Audience::kOperators, kEveryRole},
};

std::string Who(const app::Actor& actor) {
  return absl::StrCat(actor.person, " (", RoleName(actor.role), ")");
}

}  // namespace

absl::Span<const Permission> Permissions() {
  return kPermissions;
}

const Permission* FindPermission(absl::string_view method) {
  for (const Permission& permission : kPermissions) {
    if (method == permission.method) return &permission;
  }
  return nullptr;
}

absl::Status CheckRole(absl::string_view method, const app::Actor& actor) {
  const Permission* permission = FindPermission(method);
  if (permission != nullptr && permission->audience == Audience::kOperators &&
      (permission->roles & Bit(actor.role)) != 0) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(Who(actor), " may not call ", method));
}

absl::Status CheckTenant(const app::Actor& actor, absl::string_view tenant) {
  if (actor.IsVendor()) return absl::OkStatus();
  if (!actor.tenant.empty() && tenant == actor.tenant) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(Who(actor), " may act for tenant \"", actor.tenant, "\" only, not for ",
                   tenant.empty() ? "every tenant" : absl::StrCat("\"", tenant, "\"")));
}

absl::Status CheckPlanOwner(const app::Actor& actor, absl::string_view tenant,
                            absl::string_view internal_tenant) {
  if (!actor.IsVendor()) return CheckTenant(actor, tenant);
  if (!internal_tenant.empty() && tenant == internal_tenant) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(Who(actor), " may not set the plan of \"", tenant, "\": a plan belongs to its tenant"));
}

const char* RoleName(app::Role role) {
  switch (role) {
    case app::Role::kTenantViewer:
      return "tenant-viewer";
    case app::Role::kTenantAdmin:
      return "tenant-admin";
    case app::Role::kSre:
      return "sre";
    case app::Role::kReleaseManager:
      return "release-manager";
  }
  return "unknown";
}

}  // namespace ringfence::api
