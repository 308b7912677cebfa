// What a plan would change, in terms of hosts.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "ringfence/v1/plan.pb.h"
#include "server/cli/context.h"

namespace ringfence::cli {

absl::StatusOr<v1::PreviewPlanResponse> Preview(Context& context, const v1::Plan& plan);

// "412 hosts move from n-1 to canary" and what each ring would take instead; a line each. Empty: nothing
// changes for any host.
std::string HostwiseDiff(const Context& context, const v1::PreviewPlanResponse& preview);

// Hosts that are in a ring now and would be in none.
int64_t Stranded(const v1::PreviewPlanResponse& preview);

}  // namespace ringfence::cli
