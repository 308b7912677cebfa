#include "ringfence/base/ids.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ringfence {
namespace {

// -1 for anything that is not a lower-case hex digit.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Reads 2*N lower-case hex digits; false if any is not one.
template <size_t N>
bool ReadHex(absl::string_view hex, std::array<uint8_t, N>& out) {
  if (hex.size() != 2 * N) return false;
  for (size_t i = 0; i < N; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

}  // namespace

absl::StatusOr<AgentId> AgentId::Parse(absl::string_view text) {
  static constexpr size_t kDashes[] = {8, 13, 18, 23};
  std::string hex;
  bool ok = text.size() == 36;
  for (size_t i = 0; ok && i < text.size(); ++i) {
    const bool dash = std::find(std::begin(kDashes), std::end(kDashes), i) != std::end(kDashes);
    if (dash) {
      ok = text[i] == '-';
    } else {
      hex.push_back(text[i]);
    }
  }
  AgentId id;
  if (!ok || !ReadHex(hex, id.bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("agent_id: \"", absl::CHexEscape(text.substr(0, 64)), "\" is not a lower-case UUID"));
  }
  return id;
}

absl::StatusOr<AgentId> AgentId::FromBytes(absl::string_view raw) {
  AgentId id;
  if (raw.size() != id.bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat("agent_id: ", raw.size(), " bytes, wanted 16"));
  }
  std::memcpy(id.bytes.data(), raw.data(), raw.size());
  return id;
}

std::string AgentId::ToString() const {
  const std::string hex = absl::BytesToHexString(raw());
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-", hex.substr(16, 4),
                      "-", hex.substr(20));
}

absl::StatusOr<Digest> Digest::Parse(absl::string_view hex) {
  Digest digest;
  if (!ReadHex(hex, digest.bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("digest: \"", absl::CHexEscape(hex.substr(0, 72)),
                                                   "\" is not 64 lower-case hex digits"));
  }
  return digest;
}

absl::StatusOr<Digest> Digest::FromBytes(absl::string_view raw) {
  Digest digest;
  if (raw.size() != digest.bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat("digest: ", raw.size(), " bytes, wanted 32"));
  }
  std::memcpy(digest.bytes.data(), raw.data(), raw.size());
  return digest;
}

std::string Digest::ToString() const {
  return absl::BytesToHexString(raw());
}

bool IsSlug(absl::string_view text) {
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace ringfence
