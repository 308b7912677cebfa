// Content files at the publish gate.
#pragma once

#include <optional>

#include "server/gate/gate.h"

namespace ringfence::gate {

// Do the bytes say of themselves that they are content?
bool LooksLikeFct1(absl::string_view bytes);

// The format, the build signature, the registered inputs, and that the file is the release that the manifest
// names. Absent: passed. `trust` null: format and agreement alone.
std::optional<trust::Refusal> JudgeContent(const policy::Release& release, absl::string_view bytes,
                                           const Trust* trust);

}  // namespace ringfence::gate
