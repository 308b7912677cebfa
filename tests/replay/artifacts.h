// What the scenario's release engineers, build and laboratory make: files as each form describes them, signed
// and qualified with throwaway keys, as the server's publish gate wants them.
#pragma once

#include <memory>
#include <string>

#include "server/gate/gate.h"
#include "server/simulate/artifact_maker.h"
#include "tests/gate/throwaway.h"

namespace ringfence::replay {

// The same scenario gives the same files and keys.
class Artifacts final : public ArtifactMaker {
 public:
  // Every value of the label `sensor` that the scenario knows is a registered sensor with 20 inputs; so is
  // what hosts have that say nothing of theirs.
  explicit Artifacts(const Scenario& scenario);

  // What the server is to believe. Content is FCT1; sensors are packages of no format that the server knows.
  const std::shared_ptr<const gate::Trust>& trust() const { return trust_; }

  // One file, listed in a throwaway repository, with its evidence. Damage is done before digest, signatures
  // and evidence are made, so that nothing but the form itself is wrong.
  app::PublishRequest Make(const ReleaseSpec& spec, ArtifactForm form, Evidence evidence,
                           const std::string& version, uint64_t serial) override;

  // A sound release for no host at all: what a stale one is older than.
  app::PublishRequest MakeBaseline(const ReleaseSpec& spec, uint64_t serial) override;

 private:
  struct Range {
    content::SensorVersion from, to;
  };
  Range SensorsFor(const policy::Release& release) const;
  std::string ContentFile(const policy::Release& release, const Range& range, size_t size,
                          ArtifactForm form) const;

  gate::ThrowawayRepository repository_;
  std::shared_ptr<const gate::Trust> trust_;
};

}  // namespace ringfence::replay
