#include "artifacts.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "server/simulate/plan_builder.h"
#include "server/simulate/rng.h"
#include "tests/content/repair.h"
#include "tests/gate/throwaway.h"

namespace ringfence::replay {
namespace {

constexpr size_t kInputs = 20;
constexpr size_t kDefaultBytes = 4096;
constexpr char kSensorLabel[] = "sensor";

void AddSensors(const LabelPairs& labels, std::set<std::string>& values) {
  for (const auto& [key, value] : labels)
    if (key == kSensorLabel) values.insert(value);
}

void AddSensors(const policy::Selector& selector, std::set<std::string>& values) {
  for (const policy::Requirement& one : selector.all_of)
    if (one.key == kSensorLabel) values.insert(one.any_of.begin(), one.any_of.end());
}

std::set<std::string> SensorsOf(const Scenario& scenario) {
  std::set<std::string> values;
  for (const CohortSpec& cohort : scenario.fleet.cohorts) AddSensors(cohort.labels, values);
  for (const ScenarioEvent& event : scenario.events) AddSensors(event.labels_after, values);
  for (const FaultSpec& fault : scenario.faults) AddSensors(fault.to_labels, values);
  for (const ReleaseSpec& release : scenario.releases) {
    AddSensors(release.targets, values);
    for (const policy::Selector& platform : release.matrix) AddSensors(platform, values);
  }
  if (values.empty()) values.insert("any");  // no host says which sensor it has
  return values;
}

// A package: bytes of which no two releases have the same.
std::string PackageOf(const policy::Release& release, size_t size) {
  std::string bytes = absl::StrCat("ringfence replay package ", release.channel, " ", release.version, "\n");
  Rng rng(HeadBigEndian(Sha256(bytes)), "artifact bytes");
  while (bytes.size() < size) bytes.push_back(static_cast<char>('a' + rng.Below(26)));
  return bytes;
}

std::string Damage(std::string good, ArtifactForm form, size_t size) {
  switch (form) {
    case ArtifactForm::kEmpty:
      return "";
    case ArtifactForm::kZeroFilled:
      return std::string(size, '\0');
    case ArtifactForm::kZeroRun:
      std::fill(good.begin() + static_cast<std::ptrdiff_t>(good.size() / 4),
                good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2), '\0');
      return good;
    case ArtifactForm::kTruncated:
      return good.substr(0, good.size() / 2);
    case ArtifactForm::kBitFlipped:
      good[good.size() / 2] = static_cast<char>(good[good.size() / 2] ^ 1);
      return good;
    case ArtifactForm::kWellFormed:
    case ArtifactForm::kSchemaMismatch:
    case ArtifactForm::kOversized:
    case ArtifactForm::kIncompleteSet:
    case ArtifactForm::kUnsigned:
    case ArtifactForm::kBadSignature:
    case ArtifactForm::kWrongKey:
    case ArtifactForm::kStaleVersion:
      return good;
  }
  return good;
}

std::string SignatureOf(const policy::Release& release, ArtifactForm form) {
  if (form == ArtifactForm::kUnsigned) return "";
  if (form == ArtifactForm::kWrongKey) return gate::Throwaway::Signature(release, "somebody else");
  const std::string good = gate::Throwaway::Signature(release);
  if (form != ArtifactForm::kBadSignature) return good;
  absl::StatusOr<trust::Envelope> envelope = trust::ParseEnvelope(good);
  RF_CHECK(envelope.ok());
  envelope->signatures[0].bytes[0] = static_cast<char>(envelope->signatures[0].bytes[0] ^ 1);
  return trust::SerializeEnvelope(*envelope);
}

}  // namespace

Artifacts::Artifacts(const Scenario& scenario) {
  std::vector<gate::RegisteredSensor> sensors;
  for (const std::string& label : SensorsOf(scenario))
    sensors.push_back(gate::Throwaway::Sensor(label, absl::StrCat("1.", sensors.size(), ".0"), kInputs));
  trust_ = std::make_shared<const gate::Trust>(gate::Throwaway::MakeTrust(sensors));
}

std::string Artifacts::ContentFile(const policy::Release& release, const ReleaseSpec& spec,
                                   ArtifactForm form) const {
  const size_t size = spec.size_bytes > 0 ? static_cast<size_t>(spec.size_bytes) : kDefaultBytes;
  // For the sensors that targets and matrix let in, and no others.
  const auto lets_in = [](const policy::Selector& selector, const std::string& label) {
    return std::all_of(selector.all_of.begin(), selector.all_of.end(), [&](const policy::Requirement& one) {
      return one.key != kSensorLabel ||
             std::find(one.any_of.begin(), one.any_of.end(), label) != one.any_of.end();
    });
  };
  content::SensorVersion from = trust_->sensors.back().schema.sensor,
                         to = trust_->sensors.front().schema.sensor;
  for (const gate::RegisteredSensor& sensor : trust_->sensors) {
    const bool targeted =
        lets_in(release.targets, sensor.label) &&
        std::any_of(release.matrix.begin(), release.matrix.end(),
                    [&](const policy::Selector& platform) { return lets_in(platform, sensor.label); });
    if (!targeted) continue;
    from = std::min(from, sensor.schema.sensor);
    to = std::max(to, sensor.schema.sensor);
  }
  if (to < from) std::swap(from, to);
  const size_t inputs = form == ArtifactForm::kSchemaMismatch ? kInputs + 1 : kInputs;
  std::string file = gate::Throwaway::FileOf(gate::Throwaway::ContentOf(release, from, to, inputs, size));
  if (form == ArtifactForm::kOversized) {
    content::SetNumber(&file, content::header::kFieldCountAt, content::kMaxFields + 1, 2);
    const trust::SigningKey key = gate::ThrowawayKey("build");
    content::Repair(&file, &key);
  }
  return Damage(std::move(file), form, size);
}

app::PublishRequest Artifacts::Make(const ReleaseSpec& spec, ArtifactForm form, Evidence evidence,
                                    const std::string& version, uint64_t serial) const {
  app::PublishRequest request;
  policy::Release& release = request.release;
  release.channel = spec.channel;
  release.kind =
      spec.channel == kContentChannel ? policy::ChannelKind::kContent : policy::ChannelKind::kSensor;
  release.serial = serial;
  release.version = version;
  release.targets = spec.targets;
  release.matrix = spec.matrix;
  release.urgent = spec.emergency;
  const size_t size = spec.size_bytes > 0 ? static_cast<size_t>(spec.size_bytes) : kDefaultBytes;
  request.bytes = release.kind == policy::ChannelKind::kContent
                      ? ContentFile(release, spec, form)
                      : Damage(PackageOf(release, size), form, size);
  release.digest = Sha256(request.bytes);
  release.size_bytes = static_cast<int64_t>(request.bytes.size());
  request.signature = SignatureOf(release, form);
  request.skip_rings = spec.skip_rings_requested;

  std::vector<trust::Covered> tested = gate::Throwaway::PairsOf(release, *trust_);
  if (form == ArtifactForm::kIncompleteSet) {
    // One platform was never tested; of a set of one, another was.
    tested.pop_back();
    if (tested.empty()) tested.push_back({"another platform", "any"});
  }
  switch (evidence) {
    case Evidence::kThisArtifact:
      request.qualifications = {gate::Throwaway::Evidence(release.digest, tested)};
      break;
    case Evidence::kOtherArtifact:
      request.qualifications = {gate::Throwaway::Evidence(Sha256(absl::StrCat("tested: ", version)), tested)};
      break;
    case Evidence::kNone:
      break;
  }
  return request;
}

app::PublishRequest Artifacts::MakeBaseline(const ReleaseSpec& spec, uint64_t serial) const {
  ReleaseSpec nobody = spec;
  nobody.emergency = nobody.skip_rings_requested = false;
  nobody.targets.all_of.push_back({"replay-baseline", {"no host has this label"}});
  return Make(nobody, ArtifactForm::kWellFormed, Evidence::kThisArtifact,
              absl::StrCat("before ", spec.version), serial);
}

}  // namespace ringfence::replay
