#include "ringfence/policy/deny.h"

#include <algorithm>

#include "ringfence/base/hash.h"

namespace ringfence::policy {

Digest DigestOfSet(std::vector<Artifact> artifacts) {
  if (artifacts.size() == 1) return artifacts[0].digest;
  std::sort(artifacts.begin(), artifacts.end(),
            [](const Artifact& a, const Artifact& b) { return a.path < b.path; });
  HashInput input;
  input.String("ringfence-set/1").U64(artifacts.size());
  for (const Artifact& one : artifacts) input.String(one.path).Raw(one.digest.raw());
  return Sha256(input.bytes());
}

std::vector<Digest> ArtifactDigests(const Release& release) {
  std::vector<Digest> digests;
  for (const Artifact& artifact : release.artifacts) digests.push_back(artifact.digest);
  if (digests.empty()) digests.push_back(release.digest);
  return digests;
}

const Denied* FindDenied(const Plan& plan, const Release& release) {
  const Denied* denied = FindDenied(plan, release.channel, release.version, release.digest);
  for (size_t i = 0; denied == nullptr && i < release.artifacts.size(); ++i)
    denied = FindDenied(plan, release.channel, release.version, release.artifacts[i].digest);
  return denied;
}

}  // namespace ringfence::policy
