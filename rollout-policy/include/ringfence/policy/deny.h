// By what names a release is known that may consist of several artifacts, and what a plan's deny list says of
// it.
#pragma once

#include <vector>

#include "ringfence/policy/plan.h"
#include "ringfence/policy/release.h"

namespace ringfence::policy {

// A release's own digest by its artifacts, in whatever order: of one, that of its bytes; of a set, the sha256
// of "ringfence-set/1", their number, and each one's path and digest in rising order of the paths. Server and
// hosts make it from the same signed listing.
Digest DigestOfSet(std::vector<Artifact> artifacts);

// What hosts have of a release: the sha256 of each of its artifacts; of a release that lists none, its own.
std::vector<Digest> ArtifactDigests(const Release& release);

// The entry that bars the release, or null: by channel and version, by its own digest, or by that of any of
// its artifacts. A customer who saw the bytes of one platform fail knows only their sha256, and a release is
// taken whole or not at all.
const Denied* FindDenied(const Plan& plan, const Release& release);

}  // namespace ringfence::policy
