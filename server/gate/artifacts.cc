#include "server/gate/artifacts.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/deny.h"
#include "server/gate/repository.h"

namespace ringfence::gate {
namespace {

using trust::Refusal;
using trust::RefusalType;

// More evidence than this about one artifact is no evidence.
constexpr size_t kMaxEnvelopes = 32;
constexpr char kSensorLabel[] = "sensor";

// A sensor that an artifact is for: what it supplies, and what hosts with it say.
struct Sensor {
  content::SensorVersion version;
  std::vector<std::string> labels;  // none: nobody registered it
};

std::vector<Sensor> SensorsInRange(const Trust& trust, const trust::ReleaseTerms& terms) {
  std::map<content::SensorVersion, std::set<std::string>> found;
  for (const RegisteredSensor& one : trust.sensors) {
    if (one.schema.sensor < terms.sensor_min || one.schema.sensor > terms.sensor_max) continue;
    found[one.schema.sensor].insert(one.label);
  }
  std::vector<Sensor> sensors;
  for (const auto& [version, labels] : found)
    sensors.push_back({version, std::vector<std::string>(labels.begin(), labels.end())});
  return sensors;
}

// Of a platform and its later ones the tests are about the first.
std::string NameOf(const std::string& platform) {
  return absl::StrContains(platform, '=') ? platform : std::string(absl::StripSuffix(platform, "+"));
}

// With several artifacts the part says which one.
absl::Status Named(Refusal refusal, const ListedArtifact& of, bool several) {
  if (several) absl::StrAppend(&refusal.part, "[", of.target.path, "]");
  return trust::ToStatus(refusal);
}

// Does a platform's own label `sensor`, if it has one, mean this sensor?
bool MeansSensor(const policy::Selector& platform, const Sensor& sensor) {
  for (const policy::Requirement& one : platform.all_of) {
    if (one.key != kSensorLabel) continue;
    return std::find(sensor.labels.begin(), sensor.labels.end(), one.any_of.front()) != sensor.labels.end();
  }
  return true;
}

class ArtifactJudge {
 public:
  ArtifactJudge(const Trust& trust, const trust::TrustDocument& document, const ListedArtifact& listed,
                const std::string& bytes)
      : document_(document), listed_(listed), bytes_(bytes), sensors_(SensorsInRange(trust, listed.terms)) {
    for (const RegisteredSensor& one : trust.sensors) schemas_.push_back(one.schema);
  }

  std::optional<Refusal> Judge(std::vector<std::string> envelopes) {
    envelopes_ = std::move(envelopes);
    if (auto refusal = JudgeBytes(bytes_)) return refusal;
    const trust::ReleaseTerms& terms = listed_.terms;
    if (sensors_.empty() && terms.kind == trust::ReleaseKind::kContent) {
      return Refusal{RefusalType::kSchemaMismatch, "release", "requires.sensor_min",
                     absl::StrCat(terms.sensor_min.ToString(), " to ", terms.sensor_max.ToString()),
                     "a range with a sensor in it whose inputs are registered with this server"};
    }
    // A package of a sensor: nothing in it is compared with inputs.
    if (sensors_.empty()) sensors_.push_back({terms.sensor_min, {}});
    if (terms.platforms.empty() || terms.platforms.size() * sensors_.size() > kMaxTestedPairs) {
      return Refusal{RefusalType::kLimitExceeded, "release", "platforms",
                     absl::StrCat(terms.platforms.size(), " with ", sensors_.size(), " sensors"),
                     absl::StrCat("1 to ", kMaxTestedPairs, " pairs")};
    }
    if (auto refusal = CheckNames()) return refusal;
    return CheckPairs();
  }

  policy::Artifact Artifact() const {
    policy::Artifact artifact;
    artifact.path = listed_.target.path;
    artifact.digest = Sha256(bytes_);
    artifact.size_bytes = static_cast<int64_t>(bytes_.size());
    for (const std::string& envelope : envelopes_) artifact.qualifications.push_back(Sha256(envelope));
    std::vector<std::string> labels;
    for (const Sensor& sensor : sensors_)
      labels.insert(labels.end(), sensor.labels.begin(), sensor.labels.end());
    for (const std::string& platform : listed_.terms.platforms) {
      policy::Selector selector = PlatformSelector(platform);
      const bool says_sensor = std::any_of(selector.all_of.begin(), selector.all_of.end(),
                                           [](const auto& one) { return one.key == kSensorLabel; });
      const bool asked = !labels.empty() && std::find(labels.begin(), labels.end(), "") == labels.end();
      if (!says_sensor && asked) selector.all_of.push_back({kSensorLabel, labels});
      artifact.matrix.push_back(std::move(selector));
    }
    return artifact;
  }

 private:
  // Twice the same platform, or one that no host can have.
  std::optional<Refusal> CheckNames() const {
    std::set<std::string> seen;
    for (size_t i = 0; i < listed_.terms.platforms.size(); ++i) {
      const std::string& platform = listed_.terms.platforms[i];
      std::vector<policy::Fault> faults;
      policy::Validate(PlatformSelector(platform), "", faults);
      if (faults.empty() && !absl::StrContains(platform, '|') && seen.insert(platform).second) continue;
      return Refusal{RefusalType::kMalformed, "release", absl::StrCat("platforms[", i, "]"), platform,
                     "each platform once, as `linux/x86_64/debian-12` or `key=value,key=value`"};
    }
    return std::nullopt;
  }

  // Everything with the first platform of each sensor; with the others what depends on the platform.
  std::optional<Refusal> CheckPairs() {
    size_t there = 0, pairs = 0;
    std::optional<Refusal> first;
    std::string missing;
    for (const Sensor& sensor : sensors_) {
      bool whole = true;
      for (const std::string& platform : listed_.terms.platforms) {
        if (!MeansSensor(PlatformSelector(platform), sensor)) continue;
        ++pairs;
        const std::string name = NameOf(platform);
        std::optional<Refusal> refusal = whole ? CheckWhole(name, sensor) : CheckEvidence(name, sensor);
        whole = false;
        if (!refusal.has_value()) {
          ++there;
          continue;
        }
        if (refusal->type != RefusalType::kUnqualifiedArtifact) return refusal;
        if (first.has_value()) continue;
        first = std::move(refusal);
        missing = absl::StrCat(name, " with sensor ", sensor.version.ToString());
      }
    }
    if (!first.has_value() && pairs > 0) return std::nullopt;
    if (there == 0 && first.has_value()) return first;
    return Refusal{
        RefusalType::kIncompleteSet, "qualification", "predicate.passedTests",
        absl::StrCat(there, " of ", pairs, " of the matrix", missing.empty() ? "" : ", not ", missing),
        "the tests of trust.json passed on all of it"};
  }

  std::optional<Refusal> CheckWhole(const std::string& platform, const Sensor& sensor) const {
    trust::HostFacts host;
    host.platform = platform;
    host.sensor = sensor.version;
    host.schemas = schemas_;
    auto judged =
        trust::CheckRelease(listed_.target, bytes_, envelopes_, document_, host, trust::Step::kForward);
    if (Refusal* refusal = std::get_if<Refusal>(&judged)) return std::move(*refusal);
    return std::nullopt;
  }

  std::optional<Refusal> CheckEvidence(const std::string& platform, const Sensor& sensor) const {
    return trust::CheckQualified(listed_.terms, Sha256(bytes_), envelopes_, document_, platform,
                                 sensor.version);
  }

  static std::optional<Refusal> JudgeBytes(const std::string& bytes);

  const trust::TrustDocument& document_;
  const ListedArtifact& listed_;
  const std::string& bytes_;
  std::vector<Sensor> sensors_;
  std::vector<content::SensorSchema> schemas_;
  std::vector<std::string> envelopes_;
};

std::optional<Refusal> ArtifactJudge::JudgeBytes(const std::string& bytes) {
  return gate::JudgeBytes(bytes);
}

// What the artifacts of one release have in common.
std::optional<Refusal> CheckSame(const trust::ReleaseTerms& a, const trust::ReleaseTerms& b) {
  const auto differ = [](const char* field, std::string found, std::string wanted) {
    return Refusal{RefusalType::kEvidenceMismatch, "release", field, std::move(found),
                   absl::StrCat(wanted, ", as the release's other artifacts say")};
  };
  if (a.kind != b.kind) return differ("kind", "another", "the same");
  if (a.version != b.version) return differ("version", b.version, a.version);
  if (a.urgent != b.urgent) return differ("urgency", "another", "the same");
  for (const std::string& platform : b.platforms) {
    if (std::find(a.platforms.begin(), a.platforms.end(), platform) != a.platforms.end())
      return differ("platforms", platform, "a platform for one artifact only");
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<policy::Release> JudgeRelease(
    const Trust& trust, const trust::TrustDocument& document, const std::vector<ListedArtifact>& set,
    const std::map<std::string, std::string>& bytes,
    absl::FunctionRef<absl::StatusOr<std::string>(const Digest&)> envelope) {
  const trust::ReleaseTerms& terms = set.front().terms;
  const bool several = set.size() > 1;
  policy::Release release;
  release.channel = terms.channel;
  release.kind = terms.kind == trust::ReleaseKind::kContent ? policy::ChannelKind::kContent
                                                            : policy::ChannelKind::kSensor;
  release.serial = terms.serial;
  release.version = terms.version;
  release.urgent = terms.urgent;
  for (size_t i = 0; i < set.size(); ++i) {
    for (size_t before = 0; before < i; ++before)
      if (auto refusal = CheckSame(set[before].terms, set[i].terms)) return Named(*refusal, set[i], several);
    std::vector<std::string> envelopes;
    for (const trust::QualificationRef& ref : set[i].terms.qualification) {
      if (envelopes.size() == kMaxEnvelopes) break;
      absl::StatusOr<std::string> found = envelope(ref.envelope);
      if (found.ok()) envelopes.push_back(*std::move(found));
    }
    ArtifactJudge judge(trust, document, set[i], bytes.at(set[i].target.path));
    if (auto refusal = judge.Judge(std::move(envelopes))) return Named(*std::move(refusal), set[i], several);
    release.artifacts.push_back(judge.Artifact());
    const policy::Artifact& artifact = release.artifacts.back();
    release.size_bytes = std::max(release.size_bytes, artifact.size_bytes);
    release.matrix.insert(release.matrix.end(), artifact.matrix.begin(), artifact.matrix.end());
  }
  release.digest = policy::DigestOfSet(release.artifacts);
  if (const std::vector<policy::Fault> faults = policy::Validate(release); !faults.empty()) {
    return trust::ToStatus(
        {RefusalType::kMalformed, "release", faults[0].path, faults[0].found, faults[0].wanted});
  }
  return release;
}

}  // namespace ringfence::gate
