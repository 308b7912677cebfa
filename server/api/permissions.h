// Who may call what, as one table. Deny by default: an RPC that is not in the table is denied to everybody.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/app/messages.h"

namespace ringfence::api {

// Whose credential an RPC takes.
enum class Audience : uint8_t {
  kAnyone = 1,     // none: the request itself holds what admits it
  kAgents = 2,     // an agent's secret
  kOperators = 3,  // a person's token, with one of `roles`
};

struct Permission {
  const char* method;  // "ringfence.v1.PlanService/ApplyPlan"
  Audience audience;
  uint8_t roles;  // bits 1 << role; with kOperators only
};

absl::Span<const Permission> Permissions();

// Null when the table does not name the RPC.
const Permission* FindPermission(absl::string_view method);

// PermissionDenied, naming person, role and RPC, unless the table lets the role call it.
absl::Status CheckRole(absl::string_view method, const app::Actor& actor);

// PermissionDenied unless the person may act on this tenant's affairs: the vendor's people on every tenant's,
// a tenant's people on their own. An empty `tenant` means every tenant.
absl::Status CheckTenant(const app::Actor& actor, absl::string_view tenant);

// PermissionDenied unless the person may set this tenant's plan: the tenant's own people; the vendor's for
// the internal tenant only. `internal_tenant` is empty when there is none.
absl::Status CheckPlanOwner(const app::Actor& actor, absl::string_view tenant,
                            absl::string_view internal_tenant);

// "tenant-viewer", ... as in the operators' file.
const char* RoleName(app::Role role);

}  // namespace ringfence::api
