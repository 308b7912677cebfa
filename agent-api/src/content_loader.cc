#include "ringfence/agent/content_loader.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/ids.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/content/view.h"

namespace ringfence::agent {
namespace {

constexpr int kMode = 0600;

bool LooksLikeContent(absl::string_view bytes) {
  return absl::StartsWith(bytes, absl::string_view(reinterpret_cast<const char*>(content::kMagic.data()),
                                                   content::kMagic.size()));
}

absl::Status Refuse(absl::string_view word, absl::string_view field, absl::string_view found,
                    absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat(word, ": ", field, ": found ", found, ", wanted ", wanted));
}

// "channel serial sha256" on each line. What cannot be read says nothing: a memory that is lost forbids
// nothing.
std::map<std::string, ContentLoader::Seen, std::less<>> ParseSerials(absl::string_view text) {
  std::map<std::string, ContentLoader::Seen, std::less<>> serials;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    ContentLoader::Seen seen;
    if (words.size() != 3 || !IsSlug(words[0]) || !absl::SimpleAtoi(words[1], &seen.serial)) continue;
    const absl::StatusOr<Digest> digest = Digest::Parse(words[2]);
    if (!digest.ok()) continue;
    seen.digest = *digest;
    serials[words[0]] = seen;
  }
  return serials;
}

}  // namespace

ContentLoader::ContentLoader(Loader* inner, FileSystem* files, ContentRules rules)
    : inner_(inner), files_(files), rules_(std::move(rules)) {}

absl::StatusOr<ContentLoader::Seen> ContentLoader::Validate(absl::string_view channel,
                                                            const std::string& path) const {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  const bool must_be = rules_.channels.contains(std::string(channel));
  if (!error && size > content::kMaxFileBytes) {
    if (!must_be) return Seen{};
    return Refuse("limit_exceeded", "artifact", absl::StrCat(size, " bytes"),
                  absl::StrCat("at most ", content::kMaxFileBytes));
  }
  ASSIGN_OR_RETURN(const std::string bytes, files_->Read(path));
  const Digest digest = Sha256(bytes);
  const absl::StatusOr<Digest> named = Digest::Parse(std::filesystem::path(path).filename().string());
  if (named.ok() && *named != digest) {
    return Refuse("evidence_mismatch", "artifact", digest.ToString(),
                  absl::StrCat(named->ToString(), ", its name"));
  }
  if (!must_be && !LooksLikeContent(bytes)) return Seen{};
  content::Checks checks;
  checks.build_keys = std::nullopt;
  checks.sensors = std::nullopt;
  if (rules_.build_keys.has_value())
    checks.build_keys = std::span<const trust::PublicKey>(*rules_.build_keys);
  if (rules_.sensors.has_value()) checks.sensors = std::span<const content::SensorSchema>(*rules_.sensors);
  const auto validated =
      content::Validate({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, checks);
  if (const auto* rejection = std::get_if<content::Rejection>(&validated)) {
    return absl::InvalidArgumentError(absl::StrCat(content::RefusalOf(rejection->code), ": ",
                                                   content::ToString(*rejection), "; sha256 ",
                                                   digest.ToString()));
  }
  const auto& layout = std::get<content::Layout>(validated);
  const absl::string_view its_channel = content::View(layout).channel();
  if (its_channel != channel) return Refuse("evidence_mismatch", "channel", its_channel, channel);
  return Seen{layout.serial(), digest};
}

ContentLoader::Seen ContentLoader::Highest(absl::string_view channel) const {
  const absl::StatusOr<std::string> text = files_->Read(rules_.serials_file);
  if (!text.ok()) return {};
  const auto serials = ParseSerials(*text);
  const auto found = serials.find(std::string(channel));
  return found == serials.end() ? Seen{} : found->second;
}

absl::Status ContentLoader::Remember(absl::string_view channel, const Seen& seen) {
  const absl::StatusOr<std::string> before = files_->Read(rules_.serials_file);
  if (!before.ok() && !absl::IsNotFound(before.status())) return before.status();
  auto serials = ParseSerials(before.ok() ? *before : "");
  Seen& highest = serials[std::string(channel)];
  if (highest.serial >= seen.serial) return absl::OkStatus();
  highest = seen;
  std::string text;
  for (const auto& [name, value] : serials)
    absl::StrAppend(&text, name, " ", value.serial, " ", value.digest.ToString(), "\n");
  const std::string draft = rules_.serials_file + ".draft";
  RETURN_IF_ERROR(files_->Write(draft, text, kMode));
  RETURN_IF_ERROR(files_->Sync(draft));
  RETURN_IF_ERROR(files_->Rename(draft, rules_.serials_file));
  return files_->SyncFolder(std::filesystem::path(rules_.serials_file).parent_path().string());
}

absl::Status ContentLoader::Check(absl::string_view channel, const std::string& path) {
  ASSIGN_OR_RETURN(const Seen seen, Validate(channel, path));
  const Seen highest = Highest(channel);
  if (seen.serial > 0 && seen.serial <= highest.serial && seen.digest != highest.digest) {
    return Refuse("stale_version", "header.serial", absl::StrCat(seen.serial),
                  absl::StrCat("above ", highest.serial, ", which ran here before"));
  }
  return inner_->Check(channel, path);
}

// Remembered before it runs: after a power cut in between, the same bytes may still be taken.
absl::Status ContentLoader::Flip(absl::string_view channel, const std::string& path) {
  ASSIGN_OR_RETURN(const Seen seen, Validate(channel, path));
  if (seen.serial > 0) RETURN_IF_ERROR(Remember(channel, seen));
  return inner_->Flip(channel, path);
}

}  // namespace ringfence::agent
