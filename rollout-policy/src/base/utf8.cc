#include "ringfence/base/utf8.h"

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

}  // namespace

std::optional<size_t> FirstBadByte(absl::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  for (size_t at = 0; at < text.size();) {
    const Form form = FormOf(byte(at));
    if (form.length == 0 || form.length > text.size() - at) return at;
    for (size_t i = 1; i < form.length; ++i) {
      const bool good = i == 1 ? byte(at + i) >= form.second_least && byte(at + i) <= form.second_most
                               : (byte(at + i) & 0xc0) == 0x80;
      if (!good) return at;
    }
    at += form.length;
  }
  return std::nullopt;
}

}  // namespace ringfence
