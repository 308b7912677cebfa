#include "ringfence/loader/record.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"

namespace ringfence::loader {
namespace {

constexpr absl::string_view kMagic = "RFSLOTS1";
constexpr size_t kDigestBytes = 32;
// magic, generation, active, last_good, healthy, starts, number in quarantine, two slots
constexpr size_t kFixedBytes = 8 + 8 + 4 + 4 + 2 * kDigestBytes;

void Put(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t Get(absl::string_view bytes, size_t at, int size) {
  uint64_t value = 0;
  for (int i = size - 1; i >= 0; --i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]);
  return value;
}

Digest DigestAt(absl::string_view bytes, size_t at) {
  Digest digest;
  std::copy_n(bytes.data() + at, kDigestBytes, reinterpret_cast<char*>(digest.bytes.data()));
  return digest;
}

absl::Status Damaged(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("loader record: ", what));
}

}  // namespace

const char* Name(Slot slot) {
  switch (slot) {
    case Slot::kBuiltIn:
      return "built-in";
    case Slot::kA:
      return "a";
    case Slot::kB:
      return "b";
  }
  return "?";
}

const Digest& Record::DigestOf(Slot slot) const {
  static const Digest kNothing;
  return slot == Slot::kBuiltIn ? kNothing : slots[static_cast<size_t>(slot) - 1];
}

bool Record::IsQuarantined(const Digest& digest) const {
  return std::find(quarantine.begin(), quarantine.end(), digest) != quarantine.end();
}

std::string EncodeRecord(const Record& record) {
  std::string out(kMagic);
  Put(&out, record.generation, 8);
  Put(&out, static_cast<uint64_t>(record.active), 1);
  Put(&out, static_cast<uint64_t>(record.last_good), 1);
  Put(&out, record.healthy ? 1 : 0, 1);
  Put(&out, record.starts, 1);
  Put(&out, record.quarantine.size(), 4);
  for (const Digest& digest : record.slots) absl::StrAppend(&out, digest.raw());
  for (const Digest& digest : record.quarantine) absl::StrAppend(&out, digest.raw());
  absl::StrAppend(&out, Sha256(out).raw());
  return out;
}

absl::StatusOr<Record> DecodeRecord(absl::string_view bytes) {
  if (bytes.size() < kFixedBytes + kDigestBytes || bytes.substr(0, kMagic.size()) != kMagic)
    return Damaged("too short, or begins with something else");
  const uint64_t quarantined = Get(bytes, 20, 4);
  if (quarantined > kMaxQuarantined || bytes.size() != kFixedBytes + (quarantined + 1) * kDigestBytes)
    return Damaged("another length than it says");
  const size_t body = bytes.size() - kDigestBytes;
  if (Sha256(bytes.substr(0, body)).raw() != bytes.substr(body)) return Damaged("the checksum does not fit");
  const uint64_t active = Get(bytes, 16, 1), last_good = Get(bytes, 17, 1), healthy = Get(bytes, 18, 1);
  if (active > 2 || last_good > 2 || healthy > 1) return Damaged("a slot that does not exist");
  Record record;
  record.generation = Get(bytes, 8, 8);
  record.active = static_cast<Slot>(active);
  record.last_good = static_cast<Slot>(last_good);
  record.healthy = healthy == 1;
  record.starts = static_cast<uint8_t>(Get(bytes, 19, 1));
  for (size_t i = 0; i < 2; ++i) record.slots[i] = DigestAt(bytes, 24 + i * kDigestBytes);
  for (uint64_t i = 0; i < quarantined; ++i)
    record.quarantine.push_back(DigestAt(bytes, kFixedBytes + i * kDigestBytes));
  return record;
}

}  // namespace ringfence::loader
