// What the scenario's release engineers, build and laboratory make: files as each form describes them, signed
// and qualified with throwaway keys, as the server's publish gate wants them.
#pragma once

#include <memory>
#include <string>

#include "server/gate/gate.h"
#include "server/simulate/artifact_maker.h"

namespace ringfence::replay {

// Immutable; the same scenario gives the same bytes, keys and documents.
class Artifacts final : public ArtifactMaker {
 public:
  // Every value of the label `sensor` that the scenario knows is a registered sensor with 20 inputs.
  explicit Artifacts(const Scenario& scenario);

  // What the server is to believe. Content is FCT1; sensors are packages of no format that the server knows.
  const std::shared_ptr<const gate::Trust>& trust() const { return trust_; }

  // One file, its manifest and its documents. Damage is done before digest, signatures and evidence are made,
  // so that nothing but the form itself is wrong.
  app::PublishRequest Make(const ReleaseSpec& spec, ArtifactForm form, Evidence evidence,
                           const std::string& version, uint64_t serial) const override;

  // A sound release for no host at all: what a stale one is older than.
  app::PublishRequest MakeBaseline(const ReleaseSpec& spec, uint64_t serial) const override;

 private:
  std::string ContentFile(const policy::Release& release, const ReleaseSpec& spec, ArtifactForm form) const;

  std::shared_ptr<const gate::Trust> trust_;
};

}  // namespace ringfence::replay
