#include "tests/content/repair.h"

#include <algorithm>

#include "ringfence/base/hash.h"
#include "ringfence/content/format.h"

namespace ringfence::content {
namespace {

// Bit by bit, not by the table of the code under test.
uint32_t SlowCrc32c(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

}  // namespace

uint64_t NumberAt(const std::string& file, uint64_t at, int size) {
  uint64_t value = 0;
  for (int i = size - 1; i >= 0; --i)
    value = value << 8 | static_cast<uint8_t>(file.at(at + static_cast<uint64_t>(i)));
  return value;
}

void SetNumber(std::string* file, uint64_t at, uint64_t value, int size) {
  for (int i = 0; i < size; ++i)
    file->at(at + static_cast<uint64_t>(i)) = static_cast<char>(value >> (8 * i));
}

void Repair(std::string* file, const trust::SigningKey* key) {
  if (file->size() < kMinFileBytes) return;
  const uint64_t trailer_at = file->size() - kTrailerBytes;
  const uint64_t count = std::min<uint64_t>(NumberAt(*file, header::kSectionCountAt, 4), kMaxSections);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = kHeaderBytes + i * kTableEntryBytes;
    if (at + kTableEntryBytes > trailer_at) break;
    const uint64_t offset = NumberAt(*file, at + entry::kOffsetAt, 8),
                   size = NumberAt(*file, at + entry::kSizeAt, 8);
    if (offset > trailer_at || size > trailer_at - offset) continue;
    const Digest digest = Sha256(absl::string_view(*file).substr(offset, size));
    file->replace(at + entry::kSha256At, 32, std::string(digest.raw()));
  }
  std::string head = file->substr(0, kHeaderBytes);
  SetNumber(&head, header::kCrcAt, 0, 4);
  SetNumber(file, header::kCrcAt, SlowCrc32c(head), 4);
  const Digest digest = Sha256(absl::string_view(*file).substr(0, trailer_at));
  file->replace(trailer_at, 32, std::string(digest.raw()));
  if (key == nullptr) return;
  const trust::Signature signature =
      key->Sign(std::string(kSigned, sizeof(kSigned)) + std::string(digest.raw()));
  file->replace(trailer_at + trailer::kKeyIdAt, 8, std::string(key->public_key().KeyId().raw().substr(0, 8)));
  file->replace(trailer_at + trailer::kSignatureAt, signature.size(),
                std::string(reinterpret_cast<const char*>(signature.data()), signature.size()));
}

}  // namespace ringfence::content
