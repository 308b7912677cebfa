// How a run is told: one JSON object per line, or a few lines for people.
#pragma once

#include <string>

#include "run.h"

namespace ringfence::replay {

std::string ToJson(const RunResult& result, bool with_decisions);
std::string ToText(const RunResult& result, bool with_decisions);

}  // namespace ringfence::replay
