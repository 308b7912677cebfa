#include "server/gate/load_trust.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/content/source.h"
#include "ringfence/content/yaml_documents.h"
#include "ringfence/trust/sealed_key.h"
#include "ringfence/tuf/documents.h"
#include "ringfence/tuf/trusted_set.h"

namespace ringfence::gate {
namespace {

constexpr char kFormat[] = "ringfence-sensors/1";
constexpr std::streamoff kMaxFileBytes = 1 << 20;

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  file.seekg(0, std::ios::end);
  if (file.tellg() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": found ", static_cast<int64_t>(file.tellg()),
                                                   " bytes, wanted at most ", kMaxFileBytes));
  }
  file.seekg(0);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Reads one document. What is wrong is a status that names line and key.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {
    const size_t slash = path_.find_last_of('/');
    folder_ = slash == std::string::npos ? "" : path_.substr(0, slash + 1);
  }

  absl::StatusOr<std::vector<RegisteredSensor>> Read(const YAML::Node& root) {
    RETURN_IF_ERROR(Keys(root, "", {"format", "sensors"}));
    ASSIGN_OR_RETURN(const std::string format, Text(root["format"], root, "format"));
    if (format != kFormat) return Fault(root["format"], "format", format, kFormat);
    return ReadSensors(root["sensors"], root);
  }

 private:
  absl::Status Fault(const YAML::Node& node, absl::string_view key, absl::string_view found,
                     absl::string_view wanted) const {
    const int line = node && node.Mark().line >= 0 ? node.Mark().line + 1 : 1;
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ":", line, ": ", key, ": found ", found, ", wanted ", wanted));
  }

  absl::Status Keys(const YAML::Node& node, absl::string_view where, std::vector<std::string> allowed) const {
    if (!node.IsMap()) return Fault(node, where.empty() ? "file" : where, "something else", "a map");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
      const std::string full = where.empty() ? key : absl::StrCat(where, ".", key);
      if (std::find(allowed.begin(), allowed.end(), key) == allowed.end())
        return Fault(entry.first, full, "an unknown key", "one that docs/publishing.md names");
      if (!seen.insert(key).second) return Fault(entry.first, full, "the key twice", "it once");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Text(const YAML::Node& node, const YAML::Node& parent,
                                   absl::string_view key) const {
    if (!node) return Fault(parent, key, "nothing", "a value");
    if (!node.IsScalar() || node.Scalar().empty()) return Fault(node, key, "no text", "a text");
    return node.Scalar();
  }

  // A file alone: hosts say the sensor's version in their label. With a label: they say that.
  absl::StatusOr<std::vector<RegisteredSensor>> ReadSensors(const YAML::Node& node,
                                                            const YAML::Node& root) const {
    if (!node) return Fault(root, "sensors", "nothing", "a list of schema files");
    if (!node.IsSequence() || node.size() == 0)
      return Fault(node, "sensors", "no list, or an empty one", "a list of schema files");
    std::vector<RegisteredSensor> sensors;
    for (const YAML::Node& item : node) {
      std::string file, label;
      if (item.IsMap()) {
        RETURN_IF_ERROR(Keys(item, "sensors[]", {"label", "file"}));
        ASSIGN_OR_RETURN(label, Text(item["label"], item, "sensors[].label"));
        ASSIGN_OR_RETURN(file, Text(item["file"], item, "sensors[].file"));
      } else {
        ASSIGN_OR_RETURN(file, Text(item, node, "sensors"));
      }
      ASSIGN_OR_RETURN(const std::string text, ReadAll(folder_ + file));
      const auto parsed = content::ParseSchema(text);
      if (!parsed.faults.empty())
        return absl::InvalidArgumentError(content::Render(folder_ + file, parsed.faults));
      for (const content::SensorSchema& schema : parsed.value)
        sensors.push_back({label.empty() ? schema.sensor.ToString() : label, schema});
    }
    return sensors;
  }

  const std::string path_;
  std::string folder_;
};

}  // namespace

absl::StatusOr<std::vector<RegisteredSensor>> LoadSensors(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadAll(path));
  try {
    if (content::CountDocuments(text) != 1)
      return absl::InvalidArgumentError(absl::StrCat(path, ": found no document or several, wanted one"));
    return Reader(path).Read(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<Trust> LoadTrust(const std::string& root, const std::string& sensors) {
  Trust trust;
  ASSIGN_OR_RETURN(trust.root, ReadAll(root));
  const absl::StatusOr<tuf::TrustedSet> start = tuf::TrustedSet::FromRoot(trust.root, absl::InfinitePast());
  if (!start.ok()) return absl::InvalidArgumentError(absl::StrCat(root, ": ", start.status().message()));
  const auto mark = start->root().others.find(tuf::kThrowawayMark);
  trust.throwaway = mark != start->root().others.end() && mark->second == "true";
  if (!sensors.empty()) {
    ASSIGN_OR_RETURN(trust.sensors, LoadSensors(sensors));
  }
  return trust;
}

absl::StatusOr<trust::SigningKey> LoadTimestampKey(const std::string& path,
                                                   const std::string& passphrase_path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadAll(path));
  std::string passphrase;
  if (!passphrase_path.empty()) {
    ASSIGN_OR_RETURN(passphrase, ReadAll(passphrase_path));
    passphrase = passphrase.substr(0, passphrase.find('\n'));
  }
  absl::StatusOr<trust::SigningKey> key =
      bytes.rfind("-----", 0) == 0 ? trust::SigningKey::FromPem(bytes) : trust::OpenKey(bytes, passphrase);
  if (!key.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", key.status().message()));
  return key;
}

}  // namespace ringfence::gate
