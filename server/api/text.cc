#include "server/api/text.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ringfence::api {

size_t Utf8Length(absl::string_view bytes) {
  if (bytes.empty()) return 0;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = 0;
  uint32_t least = 0;
  uint32_t code = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, least = 0x80, code = lead & 0x1f;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, least = 0x800, code = lead & 0x0f;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, least = 0x10000, code = lead & 0x07;
  } else {
    return 0;
  }
  if (bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < least || code > 0x10ffff || surrogate ? 0 : length;
}

bool IsText(absl::string_view bytes, bool lines) {
  while (!bytes.empty()) {
    const size_t length = Utf8Length(bytes);
    if (length == 0) return false;
    if (length == 1) {
      const char c = bytes[0];
      const bool control = static_cast<uint8_t>(c) < 0x20 || c == 0x7f;
      if (control && !(lines && (c == '\n' || c == '\t'))) return false;
    }
    bytes.remove_prefix(length);
  }
  return true;
}

std::string Shown(absl::string_view text) {
  constexpr size_t kMost = 80;
  if (text.size() <= kMost) return IsText(text) ? std::string(text) : absl::CHexEscape(text);
  return absl::StrCat(absl::CHexEscape(text.substr(0, kMost)), "... (", text.size(), " bytes)");
}

}  // namespace ringfence::api
