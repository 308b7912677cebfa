#include "text.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ringfence::policy {
namespace {

constexpr uint32_t kMalformed = 0xffffffff;

// Takes one code point off the front of `text`; kMalformed if there is none.
uint32_t TakeCodePoint(absl::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  size_t length = 1;
  uint32_t code = first;
  uint32_t least = 0;
  if (first >= 0x80) {
    if (first >= 0xc2 && first <= 0xdf) {
      length = 2, code = first & 0x1f, least = 0x80;
    } else if (first >= 0xe0 && first <= 0xef) {
      length = 3, code = first & 0x0f, least = 0x800;
    } else if (first >= 0xf0 && first <= 0xf4) {
      length = 4, code = first & 0x07, least = 0x10000;
    } else {
      return kMalformed;
    }
    if (text.size() < length) return kMalformed;
    for (size_t i = 1; i < length; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return kMalformed;
      code = code << 6 | (byte(i) & 0x3f);
    }
  }
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return kMalformed;
  text.remove_prefix(length);
  return code;
}

}  // namespace

bool IsPlainText(absl::string_view text) {
  while (!text.empty()) {
    const uint32_t code = TakeCodePoint(text);
    if (code == kMalformed || code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
  }
  return true;
}

std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 64;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)), text.size() > kShown ? "...\"" : "\"");
}

}  // namespace ringfence::policy
