#include "tests/gate/throwaway.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualify.h"
#include "ringfence/tuf/documents.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::gate {
namespace {

constexpr uint32_t kSchema = 1;
constexpr size_t kTextBytes = 1000;
constexpr char kTest[] = "load";
constexpr char kRelease[] = "release";
constexpr absl::Duration kGoodFor = absl::Hours(100 * 365 * 24);

Digest MatrixDigest() {
  return Sha256("throwaway matrix");
}

template <typename T>
T Value(absl::StatusOr<T> value) {
  RF_CHECK(value.ok());
  return *std::move(value);
}

// The list of signatures stands before what was signed.
void DropSignatures(std::string* document) {
  const size_t begin = document->find('['), end = document->find(']');
  document->replace(begin, end - begin + 1, "[]");
}

void SpoilSignature(std::string* document) {
  const size_t at = document->find('"', document->find("\"sig\"") + 5) + 1;
  (*document)[at] = (*document)[at] == '0' ? '1' : '0';
}

tuf::RolePlan OneKey(absl::string_view name) {
  return {{ThrowawayKey(name).public_key()}, 1};
}

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
  const absl::StatusOr<std::string> envelope = trust::SealStatement(
      trust::MakeTestStatement("artifact", bytes, results,
                               {{"matrix", {{"sha256", MatrixDigest().ToString()}}}}, ""),
      ThrowawayKey(lab));
  RF_CHECK(envelope.ok());
  return *envelope;
}

std::vector<trust::Covered> Throwaway::PairsOf(const std::vector<std::string>& platforms,
                                               const std::vector<RegisteredSensor>& sensors,
                                               content::SensorVersion from, content::SensorVersion to) {
  std::vector<trust::Covered> pairs;
  for (const std::string& platform : platforms) {
    for (const RegisteredSensor& sensor : sensors)
      if (sensor.schema.sensor >= from && sensor.schema.sensor <= to)
        pairs.push_back({platform, sensor.schema.sensor.ToString()});
  }
  return pairs;
}

ThrowawayRepository::ThrowawayRepository(std::vector<RegisteredSensor> sensors)
    : expires(absl::FromUnixSeconds(1'700'000'000) + kGoodFor) {
  const std::string root = Value(tuf::MakeRoot(1, expires,
                                               {{tuf::kRoot, OneKey("root")},
                                                {tuf::kTargets, OneKey("targets")},
                                                {tuf::kSnapshot, OneKey("snapshot")},
                                                {tuf::kTimestamp, OneKey("timestamp")}},
                                               /*throwaway=*/true));
  trust_.root = Signed(root, {"root"});
  trust_.sensors = std::move(sensors);
  trust_.throwaway = true;
}

std::string ThrowawayRepository::Signed(const std::string& document,
                                        const std::vector<std::string>& keys) const {
  std::string bytes = document;
  for (const std::string& name : keys) bytes = Value(tuf::AddSignature(bytes, ThrowawayKey(name)));
  return bytes;
}

trust::ReleaseTerms ThrowawayRepository::Terms(const policy::Release& release,
                                               std::vector<std::string> platforms,
                                               content::SensorVersion from, content::SensorVersion to,
                                               size_t fields) {
  trust::ReleaseTerms terms;
  const bool content = release.kind == policy::ChannelKind::kContent;
  terms.kind = content ? trust::ReleaseKind::kContent : trust::ReleaseKind::kSensor;
  terms.channel = release.channel;
  terms.version = release.version;
  terms.serial = release.serial;
  terms.published_at = absl::FromUnixSeconds(1'700'000'000);
  terms.urgent = release.urgent;
  terms.platforms = std::move(platforms);
  terms.sensor_min = from;
  terms.sensor_max = to;
  if (content) terms.schema["throwaway"] = static_cast<int>(fields);
  return terms;
}

std::string ThrowawayRepository::List(trust::ReleaseTerms terms, const std::string& name,
                                      const std::string& bytes, const std::vector<std::string>& evidence) {
  const std::string path = absl::StrCat(terms.kind == trust::ReleaseKind::kContent ? "content" : "sensor",
                                        "/", terms.channel, "/", name);
  for (const std::string& envelope : evidence) {
    terms.qualification.push_back({Sha256(envelope), "throwaway"});
    envelopes_[absl::StrCat("qual/", Sha256(envelope).ToString())] = envelope;
  }
  if (channels_.insert(terms.channel).second && version_ > 0) ++trust_version;
  listed_[path] = {std::move(terms), bytes};
  return path;
}

void ThrowawayRepository::Revoke(const std::string& path) {
  listed_.at(path).terms.revoked = true;
}

RepositoryFiles ThrowawayRepository::Publish() {
  ++version_;
  RepositoryFiles files;
  trust::TrustDocument document;
  document.version = trust_version;
  document.roles["qualification"] = {{{ThrowawayKey("laboratory").public_key(), "nobody"}}, 1};
  document.roles["content_build"] = {{{ThrowawayKey("build").public_key(), "nobody"}}, 1};
  for (const std::string& channel : channels_) document.matrices[channel] = {MatrixDigest(), {kTest}};
  files.targets[trust::kTrustTarget] = trust::SerializeTrustDocument(document);

  std::map<std::string, tuf::TargetsChange> changes;  // by role
  for (const char* role : {"content-release", "sensor-release", "qualification", tuf::kTargets})
    changes[role];
  const auto add = [&](const std::string& role, const std::string& path, const std::string& bytes,
                       const std::string& custom) {
    changes[role].add.push_back({path, bytes.size(), Sha256(bytes), custom});
    files.targets[path] = bytes;
  };
  for (const auto& [path, one] : listed_) {
    const bool content = one.terms.kind == trust::ReleaseKind::kContent;
    add(content ? "content-release" : "sensor-release", path, one.bytes,
        Value(trust::SerializeReleaseTerms(path, one.terms)));
  }
  for (const auto& [path, bytes] : envelopes_) add("qualification", path, bytes, "");
  add(tuf::kTargets, trust::kTrustTarget, files.targets[trust::kTrustTarget], "");
  changes[tuf::kTargets].delegations = {{{"content-release", OneKey(kRelease), {"content/*/*"}},
                                         {"sensor-release", OneKey(kRelease), {"sensor/*/*"}},
                                         {"qualification", OneKey("laboratory"), {"qual/*"}}}};
  std::map<std::string, std::string> documents;
  for (const auto& [role, change] : changes) {
    const bool of_releases = role == "content-release" || role == "sensor-release";
    const std::string own = role == "qualification" ? "laboratory" : of_releases ? kRelease : role;
    const std::vector<std::string> signers = of_releases ? release_signers : std::vector<std::string>{own};
    const std::string document = Value(tuf::MakeTargets("", version_, expires, change));
    documents[role] = Signed(document, signers.empty() ? std::vector<std::string>{own} : signers);
    if (signers.empty()) DropSignatures(&documents[role]);
    if (of_releases && spoil_signature) SpoilSignature(&documents[role]);
    files.metadata[absl::StrCat(version_, ".", role, ".json")] = documents[role];
  }
  const std::string snapshot = Signed(Value(tuf::MakeSnapshot(version_, expires, documents)), {"snapshot"});
  files.metadata[absl::StrCat(version_, ".snapshot.json")] = snapshot;
  files.metadata["timestamp.json"] =
      Signed(Value(tuf::MakeTimestamp(version_, expires, snapshot)), {"timestamp"});
  return files;
}

}  // namespace ringfence::gate
