// What hosts have of a release: the bytes for each platform, or the one artifact that it is.
#pragma once

#include <vector>

#include "ringfence/base/ids.h"
#include "ringfence/policy/release.h"

namespace ringfence::app {

inline std::vector<Digest> BytesOf(const policy::Release& release) {
  std::vector<Digest> all;
  for (const policy::Artifact& artifact : release.artifacts) all.push_back(artifact.digest);
  if (all.empty()) all.push_back(release.digest);
  return all;
}

}  // namespace ringfence::app
