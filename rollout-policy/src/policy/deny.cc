#include "ringfence/policy/deny.h"

namespace ringfence::policy {

std::vector<Digest> ArtifactDigests(const Release& release) {
  std::vector<Digest> digests;
  for (const Artifact& artifact : release.artifacts) digests.push_back(artifact.digest);
  return digests;
}

const Denied* FindDenied(const Plan& plan, const Release& release) {
  const Denied* denied = FindDenied(plan, release.channel, release.version, release.digest);
  for (size_t i = 0; denied == nullptr && i < release.artifacts.size(); ++i)
    denied = FindDenied(plan, release.channel, release.version, release.artifacts[i].digest);
  return denied;
}

}  // namespace ringfence::policy
