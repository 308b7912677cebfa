// Keys that nobody keeps, and releases made with them: what a publisher, a laboratory and a build do, in a
// few lines.
#pragma once

#include <string>
#include <vector>

#include "ringfence/content/model.h"
#include "server/gate/gate.h"

namespace ringfence::gate {

// A key by name: the same name, the same key, in every run.
trust::SigningKey ThrowawayKey(absl::string_view name);

// Inputs named field_0, field_1, ... all of text.
std::vector<content::Field> TextFields(size_t count);

struct Throwaway {
  // Trusts "release", "laboratory" and "build", asks for the test "load".
  static Trust MakeTrust(const std::vector<RegisteredSensor>& sensors);
  // A sensor of this version and label that supplies `fields` text inputs for schema 1.
  static RegisteredSensor Sensor(const std::string& label, absl::string_view version, size_t fields);

  // Content for every sensor of that range, with rules until it is at least `size` bytes long.
  static content::Content ContentOf(const policy::Release& release, content::SensorVersion from,
                                    content::SensorVersion to, size_t fields, size_t size);
  // Its file, signed by "build".
  static std::string FileOf(const content::Content& content);

  // Evidence by the laboratory `lab` that the bytes passed "load" on all of `pairs`.
  static std::string Evidence(const Digest& bytes, const std::vector<trust::Covered>& pairs,
                              absl::string_view lab = "laboratory");
  static std::vector<trust::Covered> PairsOf(const policy::Release& release, const Trust& trust);
  static std::string Signature(const policy::Release& release, absl::string_view key = "release");
};

}  // namespace ringfence::gate
