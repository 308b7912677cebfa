// Bounded reading of untrusted bytes. Every load says how far it reads and answers "absent" instead of
// reading past the end; numbers are put together from bytes, so that neither alignment nor the host's byte
// order matters, and nothing is ever cast to a struct.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/strings/string_view.h"

namespace ringfence::content {

using ByteSpan = std::span<const uint8_t>;

// Does [offset, offset + size) lie inside `total`? Written so that no sum can overflow.
constexpr bool Fits(uint64_t offset, uint64_t size, uint64_t total) {
  return offset <= total && size <= total - offset;
}

// The number of `size` bytes (1 to 8) at `offset`; absent if they are not all there.
constexpr std::optional<uint64_t> Load(ByteSpan bytes, uint64_t offset, uint64_t size) {
  if (size > 8 || !Fits(offset, size, bytes.size())) return std::nullopt;
  uint64_t value = 0;
  for (uint64_t i = size; i > 0; --i) value = value << 8 | bytes[offset + i - 1];
  return value;
}

// The part of `bytes` at [offset, offset + size); absent if it is not all there.
constexpr std::optional<ByteSpan> Part(ByteSpan bytes, uint64_t offset, uint64_t size) {
  if (!Fits(offset, size, bytes.size())) return std::nullopt;
  return bytes.subspan(offset, size);
}

// The same bytes as text. char may alias anything; this is the only cast of the library.
inline absl::string_view Text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace ringfence::content
