// Who would get which release when: today's plan and the proposed one side by side.
#pragma once

#include <string>

#include "ringfence/v1/plan.pb.h"
#include "server/cli/context.h"

namespace ringfence::cli {

// A table of waves, the holds, and a line of bars for each release's exposure over time; empty without
// releases.
std::string ProjectionText(const Context& context, const v1::PreviewPlanResponse& preview);

}  // namespace ringfence::cli
