#include "server/gate/gate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "server/gate/content_gate.h"

namespace ringfence::gate {
namespace {

using trust::Refusal;
using trust::RefusalType;
using MaybeRefusal = std::optional<Refusal>;

class ManifestSignatures final : public ReleaseAuthenticator {
 public:
  ManifestSignatures(std::vector<trust::PublicKey> keys, int threshold)
      : keys_(std::move(keys)), threshold_(threshold) {}

  MaybeRefusal Authenticate(const trust::ReleaseClaim& claim, absl::string_view metadata) const override {
    return trust::CheckReleaseClaim(metadata, claim, keys_, threshold_);
  }

 private:
  const std::vector<trust::PublicKey> keys_;
  const int threshold_;
};

MaybeRefusal JudgeBytes(const policy::Release& release, absl::string_view bytes) {
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
  const Digest digest = Sha256(bytes);
  if (digest == release.digest) return std::nullopt;
  return Refusal{RefusalType::kEvidenceMismatch, "manifest", "digest", release.digest.ToString(),
                 absl::StrCat(digest.ToString(), ", that of the bytes at hand")};
}

std::string Shown(const trust::Covered& pair) {
  return absl::StrCat(pair.platform, " with sensor ", pair.sensor);
}

MaybeRefusal JudgeMatrix(const policy::Release& release, const Trust& trust,
                         const std::set<trust::Covered>& covered) {
  std::variant<std::vector<trust::Covered>, Refusal> asked = TestedPairs(release, trust.sensors);
  if (Refusal* refusal = std::get_if<Refusal>(&asked)) return *std::move(refusal);
  const auto& pairs = std::get<std::vector<trust::Covered>>(asked);
  const trust::Covered* missing = nullptr;
  size_t there = 0;
  for (const trust::Covered& pair : pairs) {
    if (covered.contains(pair)) {
      ++there;
    } else if (missing == nullptr) {
      missing = &pair;
    }
  }
  if (missing == nullptr) return std::nullopt;
  std::string tests;
  for (const std::string& test : trust.tests) absl::StrAppend(&tests, tests.empty() ? "" : " and ", test);
  return Refusal{there == 0 ? RefusalType::kUnqualifiedArtifact : RefusalType::kIncompleteSet,
                 "qualification", "predicate.passedTests",
                 absl::StrCat(there, " of ", pairs.size(), " of the matrix, not ", Shown(*missing)),
                 absl::StrCat(tests, " passed on all of it")};
}

// Documents are kept, so they are bounded whether or not anybody reads them here.
MaybeRefusal JudgeDocuments(const Candidate& candidate) {
  const auto too_large = [](const char* part, std::string found, size_t most) {
    return Refusal{RefusalType::kLimitExceeded, part, "", std::move(found), absl::StrCat("at most ", most)};
  };
  if (candidate.qualifications.size() > kMaxQualifications) {
    return too_large("qualification", absl::StrCat(candidate.qualifications.size(), " envelopes"),
                     kMaxQualifications);
  }
  for (const std::string& document : candidate.qualifications) {
    if (document.size() > trust::kMaxEnvelopeBytes)
      return too_large("qualification", absl::StrCat(document.size(), " bytes"), trust::kMaxEnvelopeBytes);
  }
  if (candidate.signature.size() > trust::kMaxEnvelopeBytes)
    return too_large("signature", absl::StrCat(candidate.signature.size(), " bytes"),
                     trust::kMaxEnvelopeBytes);
  return std::nullopt;
}

MaybeRefusal JudgeEvidence(const Candidate& candidate, const Trust& trust) {
  if (candidate.qualifications.empty()) {
    return Refusal{RefusalType::kUnqualifiedArtifact, "qualification", "", "none",
                   "a statement of a trusted laboratory that these bytes passed their tests"};
  }
  std::set<trust::Covered> covered;
  for (size_t i = 0; i < candidate.qualifications.size(); ++i) {
    auto judged = trust::VerifyEvidence(candidate.qualifications[i], candidate.release->digest,
                                        {trust.laboratory, trust.laboratory_threshold}, trust.matrix);
    if (Refusal* refusal = std::get_if<Refusal>(&judged)) {
      if (candidate.qualifications.size() > 1) refusal->part = absl::StrCat("qualification[", i, "]");
      return *std::move(refusal);
    }
    for (trust::Covered& pair :
         trust::CoverageOf(std::get<trust::Qualification>(judged).statement, trust.tests)) {
      covered.insert(std::move(pair));
    }
  }
  return JudgeMatrix(*candidate.release, trust, covered);
}

trust::ReleaseClaim::Selector ToClaim(const policy::Selector& selector) {
  trust::ReleaseClaim::Selector out;
  for (const policy::Requirement& one : selector.all_of) out.emplace_back(one.key, one.any_of);
  return out;
}

}  // namespace

std::unique_ptr<ReleaseAuthenticator> MakeManifestSignatures(std::vector<trust::PublicKey> keys,
                                                             int threshold) {
  return std::make_unique<ManifestSignatures>(std::move(keys), threshold);
}

trust::ReleaseClaim ClaimOf(const policy::Release& release) {
  trust::ReleaseClaim claim;
  claim.channel = release.channel;
  claim.kind = release.kind == policy::ChannelKind::kSensor ? "sensor" : "content";
  claim.serial = release.serial;
  claim.version = release.version;
  claim.sha256 = release.digest;
  claim.size_bytes = release.size_bytes;
  claim.urgent = release.urgent;
  claim.targets = ToClaim(release.targets);
  for (const policy::Selector& platform : release.matrix) claim.matrix.push_back(ToClaim(platform));
  return claim;
}

std::variant<Passed, trust::Refusal> Judge(const Candidate& candidate, const Trust* trust) {
  const policy::Release& release = *candidate.release;
  if (MaybeRefusal refusal = JudgeBytes(release, candidate.bytes)) return *std::move(refusal);
  if (MaybeRefusal refusal = JudgeDocuments(candidate)) return *std::move(refusal);
  Passed passed;
  passed.is_fct1 = release.kind == policy::ChannelKind::kContent &&
                   (LooksLikeFct1(candidate.bytes) ||
                    (trust != nullptr && !trust->opaque_channels.contains(release.channel)));
  if (passed.is_fct1) {
    if (MaybeRefusal refusal = JudgeContent(release, candidate.bytes, trust)) return *std::move(refusal);
  }
  if (trust == nullptr) {
    if (passed.is_fct1) {
      passed.warnings.push_back(
          "the content's inputs were compared with no sensor: this server was started without --trust");
    }
    if (!candidate.qualifications.empty() || !candidate.signature.empty()) {
      passed.warnings.push_back(
          "signature and qualification were not looked at: this server was started without --trust");
    }
    return passed;
  }
  if (trust->authenticator != nullptr) {
    policy::Release sized = release;
    sized.size_bytes = static_cast<int64_t>(candidate.bytes.size());
    if (MaybeRefusal refusal = trust->authenticator->Authenticate(ClaimOf(sized), candidate.signature))
      return *std::move(refusal);
    passed.is_signed = true;
  } else if (!candidate.signature.empty()) {
    passed.warnings.push_back("the signature was not looked at: this server trusts no release keys");
  }
  if (MaybeRefusal refusal = JudgeEvidence(candidate, *trust)) return *std::move(refusal);
  passed.qualified = true;
  return passed;
}

}  // namespace ringfence::gate
