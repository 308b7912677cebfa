// What release engineers, build and laboratory make of a scenario's releases: bytes and documents.
#pragma once

#include <string>

#include "server/app/messages.h"
#include "server/simulate/scenario.h"

namespace ringfence::replay {

class ArtifactMaker {
 public:
  virtual ~ArtifactMaker() = default;
  // One file, what is said of it, and its documents; equal arguments give equal bytes of the file. Metadata
  // rises from call to call: what was made later is published later.
  virtual app::PublishRequest Make(const ReleaseSpec& spec, ArtifactForm form, Evidence evidence,
                                   const std::string& version, uint64_t serial) = 0;
  // A sound release for no host at all: what a stale one is older than.
  virtual app::PublishRequest MakeBaseline(const ReleaseSpec& spec, uint64_t serial) = 0;
};

}  // namespace ringfence::replay
