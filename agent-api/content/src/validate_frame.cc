#include <algorithm>

#include "absl/strings/escaping.h"
#include "crc32c.h"
#include "ringfence/base/hash.h"
#include "validator.h"

namespace ringfence::content {
namespace {

constexpr uint64_t Aligned(uint64_t offset) {
  return (offset + 7) & ~uint64_t{7};
}

std::string Hex(ByteSpan bytes) {
  return absl::BytesToHexString(Text(bytes));
}

bool IsZero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

Refusal Validator::Frame() {
  if (Refusal refusal = SizeAndVersion()) return refusal;
  if (Refusal refusal = Integrity()) return refusal;
  if (Refusal refusal = SignedBy()) return refusal;
  return Sections();
}

Refusal Validator::SizeAndVersion() const {
  if (bytes_.size() < kMinFileBytes) {
    return Reject(Code::kTooShort, 0, "file", absl::StrCat(bytes_.size(), " bytes"),
                  absl::StrCat("at least ", kMinFileBytes));
  }
  if (bytes_.size() > kMaxFileBytes) {
    return Reject(Code::kTooLarge, 0, "file", absl::StrCat(bytes_.size(), " bytes"),
                  absl::StrCat("at most ", kMaxFileBytes));
  }
  const ByteSpan magic = bytes_.first(kMagic.size());
  if (!std::equal(magic.begin(), magic.end(), kMagic.begin())) {
    return Reject(Code::kBadMagic, 0, "header.magic", IsZero(magic) ? "zeros" : Hex(magic), Hex(kMagic));
  }
  if (Number(header::kMajorAt, 2) != kMajor) {
    return Reject(Code::kUnsupported, header::kMajorAt, "header.major",
                  absl::StrCat(Number(header::kMajorAt, 2)),
                  absl::StrCat(kMajor, ", the version that this reader knows"));
  }
  if (Number(header::kHeaderLenAt, 4) != kHeaderBytes) {
    return Reject(Code::kUnsupported, header::kHeaderLenAt, "header.header_len",
                  absl::StrCat(Number(header::kHeaderLenAt, 4)), absl::StrCat(kHeaderBytes));
  }
  constexpr std::pair<uint64_t, uint64_t> kZeros[] = {
      {header::kFlagsAt, 4}, {header::kReserved16At, 2}, {header::kReserved32At, 4}};
  constexpr const char* kNames[] = {"header.flags", "header.reserved16", "header.reserved32"};
  for (size_t i = 0; i < std::size(kZeros); ++i) {
    const uint64_t value = Number(kZeros[i].first, kZeros[i].second);
    if (value != 0) return Reject(Code::kUnsupported, kZeros[i].first, kNames[i], absl::StrCat(value), "0");
  }
  if (Number(header::kTotalLenAt, 8) != bytes_.size()) {
    return Reject(Code::kLength, header::kTotalLenAt, "header.total_len",
                  absl::StrCat(Number(header::kTotalLenAt, 8)),
                  absl::StrCat(bytes_.size(), ", the size of the file"));
  }
  return std::nullopt;
}

Refusal Validator::Integrity() const {
  std::array<uint8_t, kHeaderBytes> head;
  std::copy_n(bytes_.begin(), head.size(), head.begin());
  std::fill_n(head.begin() + header::kCrcAt, 4, uint8_t{0});
  if (Number(header::kCrcAt, 4) != Crc32c(head)) {
    return Reject(Code::kCrc, header::kCrcAt, "header.crc32c",
                  absl::StrCat(absl::Hex(Number(header::kCrcAt, 4))),
                  absl::StrCat(absl::Hex(Crc32c(head)), ", that of the header"));
  }
  const uint64_t trailer_at = bytes_.size() - kTrailerBytes;
  const ByteSpan end_magic = bytes_.subspan(trailer_at + trailer::kMagicAt);
  if (!std::equal(end_magic.begin(), end_magic.end(), kEndMagic.begin(), kEndMagic.end())) {
    return Reject(Code::kBadMagic, trailer_at + trailer::kMagicAt, "trailer.magic",
                  IsZero(end_magic) ? "zeros" : Hex(end_magic), Hex(kEndMagic));
  }
  const Digest digest = Sha256(Text(bytes_.first(trailer_at)));
  const ByteSpan claimed = bytes_.subspan(trailer_at + trailer::kSha256At, digest.bytes.size());
  if (Text(claimed) != digest.raw()) {
    return Reject(Code::kDigest, trailer_at + trailer::kSha256At, "trailer.sha256", Hex(claimed),
                  absl::StrCat(digest.ToString(), ", that of all bytes before it"));
  }
  return std::nullopt;
}

Refusal Validator::SignedBy() {
  const uint64_t trailer_at = bytes_.size() - kTrailerBytes;
  const ByteSpan key_id = bytes_.subspan(trailer_at + trailer::kKeyIdAt, layout_.claimed_key_id_.size());
  std::copy(key_id.begin(), key_id.end(), layout_.claimed_key_id_.begin());
  if (!checks_.build_keys.has_value()) return std::nullopt;

  const uint64_t signature_at = trailer_at + trailer::kSignatureAt;
  const absl::string_view signature = Text(bytes_.subspan(signature_at, 64));
  std::string message(kSigned, sizeof(kSigned));
  const absl::string_view digest = Text(bytes_.subspan(trailer_at + trailer::kSha256At, 32));
  message.append(digest.data(), digest.size());
  bool known = false;
  for (const trust::PublicKey& key : *checks_.build_keys) {
    if (key.KeyId().raw().substr(0, key_id.size()) != Text(key_id)) continue;
    known = true;
    if (!trust::Verify(key, message, signature)) continue;
    layout_.signed_by_ = key;
    return std::nullopt;
  }
  if (known) {
    return Reject(Code::kSignature, signature_at, "trailer.signature", "another signature",
                  absl::StrCat("the one of key ", Hex(key_id), " over this file"));
  }
  return Reject(Code::kSignature, trailer_at + trailer::kKeyIdAt, "trailer.keyid",
                IsZero(key_id) ? "zeros: not signed" : Hex(key_id),
                checks_.build_keys->empty() ? "a trusted build key, but none is trusted here"
                                            : "one of the trusted build keys");
}

Refusal Validator::Sections() {
  const uint64_t count = Number(header::kSectionCountAt, 4);
  const uint64_t trailer_at = bytes_.size() - kTrailerBytes;
  if (count < 1 || count > kMaxSections || !Fits(kHeaderBytes, count * kTableEntryBytes, trailer_at)) {
    return Reject(Code::kBadLayout, header::kSectionCountAt, "header.section_count", absl::StrCat(count),
                  absl::StrCat("1 to ", kMaxSections, " sections whose table fits into the file"));
  }
  uint64_t next = kHeaderBytes + count * kTableEntryBytes;
  for (uint32_t i = 0; i < count; ++i) {
    if (Refusal refusal = Section(i, next, &next)) return refusal;
  }
  if (next != trailer_at) {
    return Reject(Code::kBadLayout, next, "sections", absl::StrCat(trailer_at - next, " bytes left over"),
                  "the trailer right after the last section");
  }
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t at = kHeaderBytes + i * kTableEntryBytes;
    const uint64_t offset = Number(at + entry::kOffsetAt, 8), size = Number(at + entry::kSizeAt, 8);
    const Digest digest = Sha256(Text(bytes_.subspan(offset, size)));
    const ByteSpan claimed = bytes_.subspan(at + entry::kSha256At, digest.bytes.size());
    if (Text(claimed) != digest.raw()) {
      return Reject(Code::kDigest, at + entry::kSha256At, absl::StrCat("sections[", i, "].sha256"),
                    Hex(claimed), absl::StrCat(digest.ToString(), ", that of the section"));
    }
  }
  constexpr const char* kNames[] = {"identity", "fields", "rules", "strings"};
  for (uint32_t i = 0; i < kKnownSections; ++i) {
    // No section can lie at 0, where the header is.
    if (layout_.sections_[i].offset != 0) continue;
    return Reject(Code::kMissingSection, kHeaderBytes, "sections", absl::StrCat("no section of type ", i + 1),
                  absl::StrCat("the ", kNames[i], ", section type ", i + 1));
  }
  return std::nullopt;
}

// Checks one entry of the table and the place it names; `*next_offset` is then where the next section must
// begin.
Refusal Validator::Section(uint32_t index, uint64_t expected_offset, uint64_t* next_offset) {
  const uint64_t at = kHeaderBytes + index * kTableEntryBytes;
  const uint64_t trailer_at = bytes_.size() - kTrailerBytes;
  const uint64_t type = Number(at + entry::kTypeAt, 4), flags = Number(at + entry::kFlagsAt, 4);
  const uint64_t offset = Number(at + entry::kOffsetAt, 8), size = Number(at + entry::kSizeAt, 8);
  const std::string name = absl::StrCat("sections[", index, "]");  // at most 64 times

  const bool known = type >= 1 && type <= kKnownSections;
  if (type == 0 || (!known && flags != kOptionalSection)) {
    return Reject(Code::kUnsupported, at + entry::kTypeAt, name + ".type", absl::StrCat(type),
                  absl::StrCat("1 to ", kKnownSections, ", or a section marked as optional"));
  }
  if (known && flags != 0) {
    return Reject(Code::kUnsupported, at + entry::kFlagsAt, name + ".flags", absl::StrCat(flags), "0");
  }
  for (uint32_t earlier = 0; earlier < index; ++earlier) {
    const uint64_t other = Number(kHeaderBytes + earlier * kTableEntryBytes + entry::kTypeAt, 4);
    if (other == type) {
      return Reject(Code::kDupSection, at + entry::kTypeAt, name + ".type",
                    absl::StrCat(type, " a second time"), "each type once");
    }
    if (other > type) {
      return Reject(Code::kBadLayout, at + entry::kTypeAt, name + ".type",
                    absl::StrCat(type, " after ", other), "types in rising order");
    }
  }
  if (offset != expected_offset) {
    return Reject(Code::kBadLayout, at + entry::kOffsetAt, name + ".offset", absl::StrCat(offset),
                  absl::StrCat(expected_offset, ", right after what comes before"));
  }
  if (!Fits(offset, size, trailer_at) || Aligned(offset + size) > trailer_at) {
    return Reject(Code::kBadLayout, at + entry::kSizeAt, name + ".size", absl::StrCat(size),
                  absl::StrCat("at most ", trailer_at > offset ? trailer_at - offset : 0,
                               ", the bytes before the trailer"));
  }
  *next_offset = Aligned(offset + size);
  if (!IsZero(bytes_.subspan(offset + size, *next_offset - offset - size))) {
    return Reject(Code::kBadLayout, offset + size, name, "padding that is not zero",
                  "zeros up to a multiple of 8");
  }
  if (known) layout_.sections_[type - 1] = {offset, size};
  return std::nullopt;
}

}  // namespace ringfence::content
