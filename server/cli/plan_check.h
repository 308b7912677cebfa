// Is a plan file legal? Everything that can be told without a server, with line and column.
#pragma once

#include <vector>

#include "ringfence/policy/plan.h"
#include "server/cli/plan_yaml.h"

namespace ringfence::cli {

struct CheckedPlan {
  policy::Plan plan;              // usable only without faults
  std::vector<YamlFault> faults;  // of form and of meaning, in the order of the file
};

// A fault of form does not hide those of meaning elsewhere: only what rests on the malformed part is left
// out.
CheckedPlan CheckPlan(const Parsed<v1::Plan>& parsed);

}  // namespace ringfence::cli
