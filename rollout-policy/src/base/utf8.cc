#include "ringfence/base/utf8.h"

#include <algorithm>
#include <cstdint>

namespace ringfence {
namespace {

struct Form {
  uint8_t length;  // 0: no such lead byte
  uint8_t second_least, second_most;
};

constexpr Form FormOf(uint8_t lead) {
  if (lead < 0x20 || lead == 0x7f) return {0, 0, 0};
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xc2) return {0, 0, 0};         // a continuation, or an overlong form
  if (lead == 0xc2) return {2, 0xa0, 0xbf};  // not the C1 controls
  if (lead < 0xe0) return {2, 0x80, 0xbf};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};
  if (lead == 0xed) return {3, 0x80, 0x9f};  // not the surrogates
  if (lead < 0xf0) return {3, 0x80, 0xbf};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead < 0xf4) return {4, 0x80, 0xbf};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

// Bytes of the character that begins the text, which is not empty; 0 if none does.
size_t CharacterBytes(absl::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const Form form = FormOf(byte(0));
  if (form.length > text.size()) return 0;
  for (size_t i = 1; i < form.length; ++i) {
    const bool good =
        i == 1 ? byte(1) >= form.second_least && byte(1) <= form.second_most : (byte(i) & 0xc0) == 0x80;
    if (!good) return 0;
  }
  return form.length;
}

}  // namespace

std::optional<size_t> FirstBadByte(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = CharacterBytes(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::string Legible(absl::string_view text, size_t most, bool lines) {
  std::string legible;
  while (!text.empty()) {
    const size_t length = CharacterBytes(text);
    const size_t taken = std::max<size_t>(length, 1);
    if (legible.size() + taken > most) break;
    const bool kept = length > 0 || (lines && (text[0] == '\n' || text[0] == '\t'));
    legible.append(kept ? text.substr(0, taken).data() : "?", kept ? taken : 1);
    text.remove_prefix(taken);
  }
  return legible;
}

}  // namespace ringfence
