#include "server/gate/gate.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "server/gate/content_gate.h"

namespace ringfence::gate {

using trust::Refusal;
using trust::RefusalType;

std::optional<trust::Refusal> JudgeBytes(absl::string_view bytes) {
  if (bytes.empty()) {
    return Refusal{RefusalType::kMalformed, "artifact", "bytes", "an empty file", "the bytes of a release"};
  }
  if (bytes.size() > static_cast<size_t>(policy::kMaxArtifactBytes)) {
    return Refusal{RefusalType::kLimitExceeded, "artifact", "bytes", absl::StrCat(bytes.size(), " bytes"),
                   absl::StrCat("at most ", policy::kMaxArtifactBytes)};
  }
  // Whatever the format: nobody builds this on purpose.
  if (bytes.find_first_not_of('\0') == absl::string_view::npos) {
    return Refusal{RefusalType::kMalformed, "artifact", "bytes", absl::StrCat(bytes.size(), " zeros"),
                   "the bytes that were built: this file was lost on the way"};
  }
  return std::nullopt;
}

std::variant<Passed, trust::Refusal> Judge(const Candidate& candidate) {
  const policy::Release& release = *candidate.release;
  if (std::optional<Refusal> refusal = JudgeBytes(candidate.bytes)) return *std::move(refusal);
  if (const Digest digest = Sha256(candidate.bytes); digest != release.digest) {
    return Refusal{RefusalType::kEvidenceMismatch, "manifest", "digest", release.digest.ToString(),
                   absl::StrCat(digest.ToString(), ", that of the bytes at hand")};
  }
  Passed passed;
  passed.is_fct1 = release.kind == policy::ChannelKind::kContent && LooksLikeFct1(candidate.bytes);
  if (!passed.is_fct1) return passed;
  if (std::optional<Refusal> refusal = JudgeContent(release, candidate.bytes)) return *std::move(refusal);
  passed.warnings.push_back(
      "the content's inputs were compared with no sensor: this server was started without --trust-root");
  return passed;
}

}  // namespace ringfence::gate
