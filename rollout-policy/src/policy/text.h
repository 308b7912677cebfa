// Text that strangers hand us: is it fit to store and show, and how to show it when it is not.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace ringfence::policy {

// Of a version's name, in a release as in a plan.
inline constexpr size_t kMaxVersionBytes = 128;

// Well-formed UTF-8 (no surrogates, no overlong forms) without control characters (C0, DEL, C1).
bool IsPlainText(absl::string_view text);

// In double quotes, escaped, at most 64 bytes of it: safe in a message whatever it holds.
std::string Quoted(absl::string_view text);

}  // namespace ringfence::policy
