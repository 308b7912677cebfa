// Keys that nobody keeps, and releases made with them: what a publisher, a laboratory and a build do, in a
// few lines. Marked as throwaway wherever a mark can be.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ringfence/content/model.h"
#include "ringfence/trust/qualification.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/trust/trust_document.h"
#include "server/gate/repository.h"

namespace ringfence::gate {

// A key by name: the same name, the same key, in every run.
trust::SigningKey ThrowawayKey(absl::string_view name);

// Inputs named field_0, field_1, ... all of text.
std::vector<content::Field> TextFields(size_t count);

struct Throwaway {
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
  // Every platform with every one of the sensors that is in the range.
  static std::vector<trust::Covered> PairsOf(const std::vector<std::string>& platforms,
                                             const std::vector<RegisteredSensor>& sensors,
                                             content::SensorVersion from, content::SensorVersion to);
};

// A release repository in memory, each role with one key of its own name and threshold one; "laboratory"
// signs evidence, "build" content.
class ThrowawayRepository {
 public:
  explicit ThrowawayRepository(std::vector<RegisteredSensor> sensors);

  // The trusted start.
  const Trust& trust() const { return trust_; }
  // What is said of a release of these sensors and this many inputs; urgency, floor and the rest to be
  // changed.
  static trust::ReleaseTerms Terms(const policy::Release& release, std::vector<std::string> platforms,
                                   content::SensorVersion from, content::SensorVersion to, size_t fields);
  // Lists bytes under the terms, with this evidence; its path, "content/<channel>/<name>".
  std::string List(trust::ReleaseTerms terms, const std::string& name, const std::string& bytes,
                   const std::vector<std::string>& evidence);
  // Lists what is listed there as recalled.
  void Revoke(const std::string& path);
  void ListNothing() {
    listed_.clear();
    envelopes_.clear();
  }

  // Everything that is listed, with metadata of the next version, signed anew.
  RepositoryFiles Publish();

  // ---- what the next Publish does wrong
  std::vector<std::string> release_signers = {"release"};  // names of keys; the right one is "release"
  bool spoil_signature = false;
  absl::Time expires;  // of all roles
  int64_t trust_version = 1;

 private:
  struct Listed {
    trust::ReleaseTerms terms;
    std::string bytes;
  };
  std::string Signed(const std::string& document, const std::vector<std::string>& keys) const;

  Trust trust_;
  std::map<std::string, Listed> listed_;          // by path
  std::map<std::string, std::string> envelopes_;  // by path
  std::set<std::string> channels_;
  int64_t version_ = 0;
};

}  // namespace ringfence::gate
