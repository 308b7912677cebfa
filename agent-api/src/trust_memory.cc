#include "ringfence/agent/trust_memory.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/hash.h"

namespace ringfence::agent {
namespace {

constexpr absl::string_view kTitle = "ringfence-trust-memory/1", kEnd = "sha256 ";

absl::Status Damaged(absl::string_view line) {
  return absl::DataLossError(
      absl::StrCat("the memory of releases is damaged at \"", line.substr(0, 80), "\""));
}

}  // namespace

std::string EncodeTrustMemory(const TrustMemory& memory) {
  std::string text = absl::StrCat(kTitle, "\ntrust ", memory.trust_version, "\n");
  if (memory.newest_release > 0) absl::StrAppend(&text, "newest ", memory.newest_release, "\n");
  for (const auto& [name, channel] : memory.channels) {
    absl::StrAppend(&text, "channel ", name, " ", channel.highest, " ", channel.highest_digest.ToString(),
                    " ", channel.floor, "\n");
    for (const auto& [digest, serial] : channel.factory)
      absl::StrAppend(&text, "factory ", name, " ", digest.ToString(), " ", serial, "\n");
  }
  const std::string sum = Sha256(text).ToString();
  return absl::StrCat(text, kEnd, sum, "\n");
}

absl::StatusOr<TrustMemory> DecodeTrustMemory(absl::string_view text) {
  const size_t end = text.rfind(kEnd);
  if (end == absl::string_view::npos ||
      text.substr(end) != absl::StrCat(kEnd, Sha256(text.substr(0, end)).ToString(), "\n"))
    return Damaged("its checksum");
  TrustMemory memory;
  bool titled = false;
  for (const absl::string_view line : absl::StrSplit(text.substr(0, end), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    bool good = false;
    if (!titled) {
      titled = good = line == kTitle;
    } else if (words.size() == 2 && words[0] == "trust") {
      good = absl::SimpleAtoi(words[1], &memory.trust_version) && memory.trust_version >= 0;
    } else if (words.size() == 2 && words[0] == "newest") {
      good = absl::SimpleAtoi(words[1], &memory.newest_release) && memory.newest_release > 0;
    } else if (words.size() == 5 && words[0] == "channel" && IsSlug(words[1])) {
      TrustMemory::Channel& channel = memory.channels[words[1]];
      const absl::StatusOr<Digest> digest = Digest::Parse(words[3]);
      good = digest.ok() && absl::SimpleAtoi(words[2], &channel.highest) &&
             absl::SimpleAtoi(words[4], &channel.floor);
      if (good) channel.highest_digest = *digest;
    } else if (words.size() == 4 && words[0] == "factory" && IsSlug(words[1])) {
      const absl::StatusOr<Digest> digest = Digest::Parse(words[2]);
      uint64_t serial = 0;
      good = digest.ok() && absl::SimpleAtoi(words[3], &serial);
      if (good) memory.channels[words[1]].factory[*digest] = serial;
    }
    if (!good) return Damaged(line);
  }
  if (!titled || EncodeTrustMemory(memory) != text) return Damaged("the order of its lines");
  return memory;
}

}  // namespace ringfence::agent
