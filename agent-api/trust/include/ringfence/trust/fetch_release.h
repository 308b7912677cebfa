// From a verified repository to a release that this host may stage: the shell around CheckRelease.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/trust/release_check.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::trust {

// A target that is a document: of at most `most` bytes. Every error is a tuf::Failure.
absl::StatusOr<std::string> FetchDocument(tuf::Updater& updater, const std::string& path, size_t most);

// The envelopes that the terms name, as many as can be had: one that passes is enough.
std::vector<std::string> FetchEnvelopes(tuf::Updater& updater, const ReleaseTerms& terms);

// trust.json, of at least this version: the highest that the host ever accepted, 0 if none. Every error is a
// tuf::Failure, kStaleVersion for a lower version.
absl::StatusOr<TrustDocument> FetchTrust(tuf::Updater& updater, int64_t accepted_version);

// All that has to be kept with what is staged, so that it can be judged again without a network: at a load,
// call CheckRelease on these with Step::kKeep.
struct FetchedRelease {
  tuf::TargetFile target;
  ReleaseTerms terms;
  TrustDocument trust;
  std::string artifact;
  std::vector<std::string> envelopes;
};

// Finds the release, and fetches trust.json, the envelopes that it names ("qual/<sha256>") and the bytes, in
// this order, the bytes only if CheckListing passes; then CheckRelease. The metadata must be fresh: an
// expired role is an error, and so is no answer. Nothing is written but what the updater stores. Errors are
// tuf::Failures, or a Refusal as ToStatus gives it. An envelope that cannot be had is left out: one that
// passes is enough.
absl::StatusOr<FetchedRelease> FetchRelease(tuf::Updater& updater, const std::string& path,
                                            const HostFacts& host, Step step, int64_t accepted_trust_version);

}  // namespace ringfence::trust
