// Which paths a delegation is about, and whether bytes are those that were listed.
#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::tuf {
namespace {

// One folder's name against one part of a pattern. Goes back to the last star only: in time proportional to
// the product of both lengths at worst, without recursion.
bool MatchesPart(absl::string_view text, absl::string_view pattern) {
  size_t t = 0, p = 0, star = absl::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string HexOf(const char* algorithm, absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  size_t size = 0;
  RF_CHECK(EVP_Q_digest(nullptr, algorithm, nullptr, bytes.data(), bytes.size(), digest, &size) == 1);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
}

// Hex digits of the largest number with so many bits.
size_t SuffixDigits(int bits) {
  return static_cast<size_t>((bits + 3) / 4);
}

}  // namespace

bool MatchesPattern(absl::string_view path, absl::string_view pattern) {
  const std::vector<absl::string_view> folders = absl::StrSplit(path, '/');
  const std::vector<absl::string_view> parts = absl::StrSplit(pattern, '/');
  return folders.size() == parts.size() &&
         std::equal(folders.begin(), folders.end(), parts.begin(), MatchesPart);
}

bool Covers(const Delegation& delegation, absl::string_view path) {
  if (!delegation.path_hash_prefixes.empty()) {
    const std::string hash = Sha256(path).ToString();
    return std::any_of(delegation.path_hash_prefixes.begin(), delegation.path_hash_prefixes.end(),
                       [&](const std::string& prefix) { return absl::StartsWith(hash, prefix); });
  }
  return std::any_of(delegation.paths.begin(), delegation.paths.end(),
                     [&](const std::string& pattern) { return MatchesPattern(path, pattern); });
}

std::string RoleFor(const SuccinctRoles& roles, absl::string_view path) {
  const auto head = static_cast<uint32_t>(HeadBigEndian(Sha256(path)) >> 32);
  const uint32_t bin = head >> (32 - roles.bit_length);
  std::string digits = absl::StrCat(absl::Hex(bin));
  digits.insert(0, SuffixDigits(roles.bit_length) - digits.size(), '0');
  return absl::StrCat(roles.name_prefix, "-", digits);
}

bool IsRoleOf(const SuccinctRoles& roles, absl::string_view name) {
  const std::string prefix = absl::StrCat(roles.name_prefix, "-");
  if (!absl::StartsWith(name, prefix)) return false;
  const absl::string_view digits = name.substr(prefix.size());
  // Digit by digit: the library's reader takes signs, prefixes and blanks as well.
  const bool hex = std::all_of(digits.begin(), digits.end(),
                               [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); });
  uint64_t bin = 0;
  return hex && digits.size() == SuffixDigits(roles.bit_length) && absl::SimpleHexAtoi(digits, &bin) &&
         bin < (uint64_t{1} << roles.bit_length);
}

absl::Status CheckBytes(const FileInfo& info, absl::string_view bytes, absl::string_view what) {
  if (info.length.has_value() && bytes.size() != static_cast<uint64_t>(*info.length)) {
    return Failure(
        Fault::kDigestMismatch, what,
        absl::StrCat("found ", bytes.size(), " bytes, wanted the ", *info.length, " that are listed"));
  }
  bool known = info.hashes.empty();
  for (const auto& [algorithm, hex] : info.hashes) {
    const char* name = algorithm == "sha256" ? "SHA256" : algorithm == "sha512" ? "SHA512" : nullptr;
    if (name == nullptr) continue;
    known = true;
    if (HexOf(name, bytes) != hex) {
      return Failure(
          Fault::kDigestMismatch, what,
          absl::StrCat("found bytes with another ", algorithm, ", wanted ", absl::Utf8SafeCEscape(hex)));
    }
  }
  if (known) return absl::OkStatus();
  return Failure(Fault::kDigestMismatch, what, "found only hashes of unknown kinds, wanted sha256 or sha512");
}

}  // namespace ringfence::tuf
