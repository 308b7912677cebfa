// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace ringfence {

// The offset of the first byte that is not part of well-formed UTF-8, or begins a control character (C0, DEL,
// C1). Absent if the text is fit to store and to show.
std::optional<size_t> FirstBadByte(absl::string_view text);

// What of it is fit to store and to show, at most `most` bytes: what is not becomes a question mark, and no
// character is cut in two. With `lines`, tab and line feed stay.
std::string Legible(absl::string_view text, size_t most, bool lines = false);

}  // namespace ringfence
