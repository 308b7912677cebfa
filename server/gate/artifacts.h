// A release as its signed listing describes it, artifact by artifact, judged as every agent that may get it
// will judge it. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "ringfence/policy/release.h"
#include "ringfence/trust/release_check.h"
#include "server/gate/gate.h"

namespace ringfence::gate {

// Verified: its signatures, thresholds and versions hold.
struct ListedArtifact {
  tuf::TargetFile target;
  trust::ReleaseTerms terms;
};

// The release, or why not, as trust::ToStatus gives a refusal. `set` is not empty, of one channel and serial;
// `bytes` has the bytes of each, by its path. `envelope` gives a listed one by its sha256; one that cannot be
// had is left out, as an agent leaves it out. See VerifyRepository for the order.
absl::StatusOr<policy::Release> JudgeRelease(
    const Trust& trust, const trust::TrustDocument& document, const std::vector<ListedArtifact>& set,
    const std::map<std::string, std::string>& bytes,
    absl::FunctionRef<absl::StatusOr<std::string>(const Digest&)> envelope);

}  // namespace ringfence::gate
