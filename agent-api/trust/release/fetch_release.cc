#include "ringfence/trust/fetch_release.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::trust {
namespace {

// More evidence than this about one release is no evidence.
constexpr size_t kMaxEnvelopes = 32;

}  // namespace

absl::StatusOr<std::string> FetchDocument(tuf::Updater& updater, const std::string& path, size_t most) {
  ASSIGN_OR_RETURN(const tuf::TargetFile target, updater.Find(path));
  if (*target.info.length > static_cast<int64_t>(most))
    return tuf::Failure(tuf::Fault::kLimitExceeded, path,
                        absl::StrCat("found ", *target.info.length, " bytes, wanted at most ", most));
  return updater.Download(target);
}

std::vector<std::string> FetchEnvelopes(tuf::Updater& updater, const ReleaseTerms& terms) {
  std::vector<std::string> envelopes;
  for (const QualificationRef& ref : terms.qualification) {
    if (envelopes.size() == kMaxEnvelopes) break;
    auto envelope = FetchDocument(updater, absl::StrCat("qual/", ref.envelope.ToString()), kMaxEnvelopeBytes);
    if (envelope.ok()) envelopes.push_back(*std::move(envelope));
  }
  return envelopes;
}

absl::StatusOr<TrustDocument> FetchTrust(tuf::Updater& updater, int64_t accepted_version) {
  ASSIGN_OR_RETURN(const std::string bytes, FetchDocument(updater, kTrustTarget, kMaxTrustBytes));
  ASSIGN_OR_RETURN(TrustDocument document, ParseTrustDocument(bytes));
  if (document.version >= accepted_version) return document;
  return tuf::Failure(
      tuf::Fault::kStaleVersion, kTrustTarget,
      absl::StrCat("found version ", document.version, ", wanted at least the accepted ", accepted_version));
}

absl::StatusOr<FetchedRelease> FetchRelease(tuf::Updater& updater, const std::string& path,
                                            const HostFacts& host, Step step,
                                            int64_t accepted_trust_version) {
  FetchedRelease release;
  ASSIGN_OR_RETURN(release.target, updater.Find(path));
  ASSIGN_OR_RETURN(release.trust, FetchTrust(updater, accepted_trust_version));
  auto judged = CheckListing(release.target, host, step);
  if (const auto* refusal = std::get_if<Refusal>(&judged)) return ToStatus(*refusal);
  release.terms = std::get<ReleaseTerms>(judged);
  release.envelopes = FetchEnvelopes(updater, release.terms);
  if (release.terms.kind == ReleaseKind::kContent &&
      static_cast<uint64_t>(*release.target.info.length) > content::kMaxFileBytes) {
    return ToStatus({RefusalType::kLimitExceeded, "artifact", "length",
                     absl::StrCat(*release.target.info.length),
                     absl::StrCat("at most ", content::kMaxFileBytes)});
  }
  ASSIGN_OR_RETURN(release.artifact, updater.Download(release.target));
  judged = CheckRelease(release.target, release.artifact, release.envelopes, release.trust, host, step);
  if (const auto* refusal = std::get_if<Refusal>(&judged)) return ToStatus(*refusal);
  return release;
}

}  // namespace ringfence::trust
