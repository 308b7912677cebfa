// How a run is told: one JSON object per line, or a few lines for people.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "run.h"

namespace ringfence::replay {

std::string ToJson(const RunResult& result, bool with_decisions);
std::string ToText(const RunResult& result, bool with_decisions);

// By scenario and bound: how it went with each seed ("held", "missed: ...", "unsupported").
using StretchTable = std::map<std::pair<std::string, std::string>, std::map<uint64_t, std::string>>;
// The rows of a Markdown table.
std::string ToText(const StretchTable& table);

}  // namespace ringfence::replay
