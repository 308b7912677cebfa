#include "artifacts.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "server/simulate/plan_builder.h"
#include "server/simulate/rng.h"
#include "tests/content/repair.h"

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
  for (const CohortSpec& cohort : scenario.fleet.cohorts) {
    AddSensors(cohort.labels, values);
    const bool says = std::any_of(cohort.labels.begin(), cohort.labels.end(),
                                  [](const auto& pair) { return pair.first == kSensorLabel; });
    if (!says) values.insert("");
  }
  for (const ScenarioEvent& event : scenario.events) AddSensors(event.labels_after, values);
  for (const FaultSpec& fault : scenario.faults) AddSensors(fault.to_labels, values);
  for (const ReleaseSpec& release : scenario.releases) {
    AddSensors(release.targets, values);
    for (const policy::Selector& platform : release.matrix) AddSensors(platform, values);
  }
  if (values.empty()) values.insert("");
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

// Every combination of one value for each key, by rising key; a combination once.
std::vector<std::string> PlatformsOf(const std::vector<policy::Selector>& matrix) {
  std::vector<std::string> platforms;
  for (const policy::Selector& selector : matrix) {
    std::map<std::string, std::vector<std::string>> by_key;
    for (const policy::Requirement& one : selector.all_of) by_key[one.key] = one.any_of;
    std::vector<std::string> names = {""};
    for (const auto& [key, values] : by_key) {
      std::vector<std::string> longer;
      for (const std::string& name : names) {
        for (const std::string& value : values)
          longer.push_back(absl::StrCat(name, name.empty() ? "" : ",", key, "=", value));
      }
      names = std::move(longer);
    }
    for (std::string& name : names) {
      if (name.empty()) name = "any";
      if (std::find(platforms.begin(), platforms.end(), name) == platforms.end())
        platforms.push_back(std::move(name));
    }
  }
  return platforms;
}

std::vector<gate::RegisteredSensor> RegisteredSensors(const Scenario& scenario) {
  std::vector<gate::RegisteredSensor> sensors;
  for (const std::string& label : SensorsOf(scenario))
    sensors.push_back(gate::Throwaway::Sensor(label, absl::StrCat("1.", sensors.size(), ".0"), kInputs));
  return sensors;
}

}  // namespace

Artifacts::Artifacts(const Scenario& scenario)
    : repository_(RegisteredSensors(scenario)),
      trust_(std::make_shared<const gate::Trust>(repository_.trust())) {}

// For the sensors that targets and matrix let in.
Artifacts::Range Artifacts::SensorsFor(const policy::Release& release) const {
  const auto lets_in = [](const policy::Selector& selector, const std::string& label) {
    return std::all_of(selector.all_of.begin(), selector.all_of.end(), [&](const policy::Requirement& one) {
      return one.key != kSensorLabel ||
             std::find(one.any_of.begin(), one.any_of.end(), label) != one.any_of.end();
    });
  };
  Range range{trust_->sensors.back().schema.sensor, trust_->sensors.front().schema.sensor};
  for (const gate::RegisteredSensor& sensor : trust_->sensors) {
    const bool targeted =
        lets_in(release.targets, sensor.label) &&
        std::any_of(release.matrix.begin(), release.matrix.end(),
                    [&](const policy::Selector& platform) { return lets_in(platform, sensor.label); });
    if (!targeted) continue;
    range.from = std::min(range.from, sensor.schema.sensor);
    range.to = std::max(range.to, sensor.schema.sensor);
  }
  if (range.to < range.from) std::swap(range.from, range.to);
  return range;
}

std::string Artifacts::ContentFile(const policy::Release& release, const Range& range, size_t size,
                                   ArtifactForm form) const {
  const size_t inputs = form == ArtifactForm::kSchemaMismatch ? kInputs + 1 : kInputs;
  std::string file =
      gate::Throwaway::FileOf(gate::Throwaway::ContentOf(release, range.from, range.to, inputs, size));
  if (form == ArtifactForm::kOversized) {
    content::SetNumber(&file, content::header::kFieldCountAt, content::kMaxFields + 1, 2);
    const trust::SigningKey key = gate::ThrowawayKey("build");
    content::Repair(&file, &key);
  }
  return Damage(std::move(file), form, size);
}

app::PublishRequest Artifacts::Make(const ReleaseSpec& spec, ArtifactForm form, Evidence evidence,
                                    const std::string& version, uint64_t serial) {
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
  const Range range = SensorsFor(release);
  const std::string bytes = release.kind == policy::ChannelKind::kContent
                                ? ContentFile(release, range, size, form)
                                : Damage(PackageOf(release, size), form, size);
  release.digest = Sha256(bytes);
  release.size_bytes = static_cast<int64_t>(bytes.size());
  request.skip_rings = spec.skip_rings_requested;

  const std::vector<std::string> platforms = PlatformsOf(spec.matrix);
  std::vector<trust::Covered> tested =
      gate::Throwaway::PairsOf(platforms, trust_->sensors, range.from, range.to);
  if (form == ArtifactForm::kIncompleteSet) {
    // One platform was never tested; of a set of one, another was.
    std::erase_if(tested, [&](const trust::Covered& pair) { return pair.platform == platforms.back(); });
    if (tested.empty()) tested.push_back({"another platform", "any"});
  }
  std::vector<std::string> envelopes;
  switch (evidence) {
    case Evidence::kThisArtifact:
      envelopes = {gate::Throwaway::Evidence(release.digest, tested)};
      break;
    case Evidence::kOtherArtifact:
      envelopes = {gate::Throwaway::Evidence(Sha256(absl::StrCat("tested: ", version)), tested)};
      break;
    case Evidence::kNone:
      break;
  }
  const size_t inputs = form == ArtifactForm::kSchemaMismatch ? kInputs + 1 : kInputs;
  repository_.ListNothing();
  repository_.List(gate::ThrowawayRepository::Terms(release, platforms, range.from, range.to, inputs),
                   absl::StrCat(serial, ".bin"), bytes, envelopes);
  repository_.release_signers = {form == ArtifactForm::kWrongKey ? "somebody else" : "release"};
  if (form == ArtifactForm::kUnsigned) repository_.release_signers.clear();
  repository_.spoil_signature = form == ArtifactForm::kBadSignature;
  request.repository = repository_.Publish();
  return request;
}

app::PublishRequest Artifacts::MakeBaseline(const ReleaseSpec& spec, uint64_t serial) {
  ReleaseSpec nobody = spec;
  nobody.emergency = nobody.skip_rings_requested = false;
  nobody.targets.all_of.push_back({"replay-baseline", {"no host has this label"}});
  return Make(nobody, ArtifactForm::kWellFormed, Evidence::kThisArtifact,
              absl::StrCat("before ", spec.version), serial);
}

}  // namespace ringfence::replay
