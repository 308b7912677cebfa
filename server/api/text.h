// What counts as text in a request.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace ringfence::api {

// Length of the UTF-8 sequence that starts `bytes`; 0 if none does (overlong forms and surrogates included).
size_t Utf8Length(absl::string_view bytes);

// Valid UTF-8 without control characters; tab and line feed are allowed with `lines`.
bool IsText(absl::string_view bytes, bool lines = false);

// For messages: `text` shortened and made printable, so that a fault never echoes megabytes or a terminal
// code.
std::string Shown(absl::string_view text);

}  // namespace ringfence::api
