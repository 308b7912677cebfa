#include "tests/gate/throwaway.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualify.h"

namespace ringfence::gate {
namespace {

constexpr uint32_t kSchema = 1;
constexpr size_t kTextBytes = 1000;
constexpr char kTest[] = "load";

}  // namespace

trust::SigningKey ThrowawayKey(absl::string_view name) {
  absl::StatusOr<trust::SigningKey> key =
      trust::SigningKey::FromSeed(Sha256(absl::StrCat("throwaway key ", name)).raw());
  RF_CHECK(key.ok());
  return *std::move(key);
}

std::vector<content::Field> TextFields(size_t count) {
  std::vector<content::Field> fields;
  for (size_t i = 0; i < count; ++i) fields.push_back({absl::StrCat("field_", i), content::FieldType::kText});
  return fields;
}

Trust Throwaway::MakeTrust(const std::vector<RegisteredSensor>& sensors) {
  Trust trust;
  trust.throwaway = true;
  trust.laboratory = {ThrowawayKey("laboratory").public_key()};
  trust.tests = {kTest};
  trust.authenticator = MakeManifestSignatures({ThrowawayKey("release").public_key()}, 1);
  trust.build_keys = {ThrowawayKey("build").public_key()};
  trust.sensors = sensors;
  return trust;
}

RegisteredSensor Throwaway::Sensor(const std::string& label, absl::string_view version, size_t fields) {
  const absl::StatusOr<content::SensorVersion> parsed = content::SensorVersion::Parse(version);
  RF_CHECK(parsed.ok());
  return {label, {*parsed, kSchema, "throwaway", TextFields(fields)}};
}

content::Content Throwaway::ContentOf(const policy::Release& release, content::SensorVersion from,
                                      content::SensorVersion to, size_t fields, size_t size) {
  content::Content content;
  content.channel = release.channel;
  content.version = release.version;
  content.serial = release.serial;
  content.schema_id = kSchema;
  content.sensor_min = from;
  content.sensor_max = to;
  content.fields = TextFields(fields);
  for (size_t i = 0; i == 0 || i * kTextBytes < size; ++i) {
    content::Rule rule{absl::StrCat("rule ", i), content::Action::kLog, {}};
    // The last input too: the one that nobody looked at on the day.
    const auto field = static_cast<uint16_t>(fields - 1 - i % fields);
    rule.conditions.push_back(
        {field, content::Op::kContains, std::string(kTextBytes, static_cast<char>('a' + i % 26)), 0});
    content.rules.push_back(std::move(rule));
  }
  return content;
}

std::string Throwaway::FileOf(const content::Content& content) {
  const trust::SigningKey key = ThrowawayKey("build");
  absl::StatusOr<std::string> file = content::Build(content, &key, std::nullopt);
  RF_CHECK(file.ok());
  return *std::move(file);
}

std::string Throwaway::Evidence(const Digest& bytes, const std::vector<trust::Covered>& pairs,
                                absl::string_view lab) {
  trust::TestResults results;
  for (const trust::Covered& pair : pairs) results.passed.insert({pair.platform, pair.sensor, kTest});
  const absl::StatusOr<std::string> envelope =
      trust::SealStatement(trust::MakeTestStatement("artifact", bytes, results, {}, ""), ThrowawayKey(lab));
  RF_CHECK(envelope.ok());
  return *envelope;
}

std::vector<trust::Covered> Throwaway::PairsOf(const policy::Release& release, const Trust& trust) {
  auto pairs = TestedPairs(release, trust.sensors);
  RF_CHECK(std::holds_alternative<std::vector<trust::Covered>>(pairs));
  return std::get<std::vector<trust::Covered>>(std::move(pairs));
}

std::string Throwaway::Signature(const policy::Release& release, absl::string_view key) {
  const absl::StatusOr<std::string> envelope = trust::SealReleaseClaim(ClaimOf(release), ThrowawayKey(key));
  RF_CHECK(envelope.ok());
  return *envelope;
}

}  // namespace ringfence::gate
