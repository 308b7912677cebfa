// Content files at the publish gate.
#pragma once

#include <optional>

#include "server/gate/gate.h"

namespace ringfence::gate {

// Do the bytes say of themselves that they are content?
bool LooksLikeFct1(absl::string_view bytes);

// The format, and that the file is the release that the manifest names; signature and inputs are not looked
// at. Absent: passed.
std::optional<trust::Refusal> JudgeContent(const policy::Release& release, absl::string_view bytes);

}  // namespace ringfence::gate
