#include "server/gate/trust_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/content/source.h"
#include "ringfence/content/yaml_documents.h"

namespace ringfence::gate {
namespace {

constexpr char kFormat[] = "ringfence-trust/1";
constexpr std::streamoff kMaxFileBytes = 1 << 20;
constexpr int kMaxThreshold = 64;

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

  absl::StatusOr<Trust> Read(const YAML::Node& root) {
    RETURN_IF_ERROR(
        Keys(root, "",
             {"format", "throwaway", "qualification", "release", "build", "sensors", "opaque_channels"}));
    ASSIGN_OR_RETURN(const std::string format, Text(root["format"], root, "format"));
    if (format != kFormat) return Fault(root["format"], "format", format, kFormat);
    Trust trust;
    if (const YAML::Node node = root["throwaway"]) {
      ASSIGN_OR_RETURN(const std::string text, Text(node, root, "throwaway"));
      if (text != "true" && text != "false") return Fault(node, "throwaway", text, "true or false");
      trust.throwaway = text == "true";
    }
    RETURN_IF_ERROR(ReadQualification(root["qualification"], root, &trust));
    if (const YAML::Node node = root["release"]) {
      RETURN_IF_ERROR(Keys(node, "release", {"keys", "threshold"}));
      ASSIGN_OR_RETURN(std::vector<trust::PublicKey> keys, PublicKeys(node, "release"));
      ASSIGN_OR_RETURN(const int threshold, Threshold(node, "release", keys.size()));
      trust.authenticator = MakeManifestSignatures(std::move(keys), threshold);
    }
    if (const YAML::Node node = root["build"]) {
      RETURN_IF_ERROR(Keys(node, "build", {"keys"}));
      ASSIGN_OR_RETURN(trust.build_keys, PublicKeys(node, "build"));
    }
    RETURN_IF_ERROR(ReadSensors(root["sensors"], &trust));
    if (const YAML::Node node = root["opaque_channels"]) {
      ASSIGN_OR_RETURN(const std::vector<std::string> names, Texts(node, root, "opaque_channels"));
      for (const std::string& name : names) {
        if (!IsSlug(name)) return Fault(node, "opaque_channels", name, "channels: 1 to 63 of a-z, 0-9 and -");
        trust.opaque_channels.insert(name);
      }
    }
    return trust;
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

  absl::StatusOr<std::vector<std::string>> Texts(const YAML::Node& node, const YAML::Node& parent,
                                                 absl::string_view key) const {
    if (!node) return Fault(parent, key, "nothing", "a list");
    if (!node.IsSequence() || node.size() == 0) return Fault(node, key, "no list, or an empty one", "a list");
    std::vector<std::string> texts;
    for (const YAML::Node& item : node) {
      ASSIGN_OR_RETURN(std::string text, Text(item, node, key));
      texts.push_back(std::move(text));
    }
    return texts;
  }

  absl::StatusOr<std::vector<trust::PublicKey>> PublicKeys(const YAML::Node& node,
                                                           absl::string_view where) const {
    const std::string key = absl::StrCat(where, ".keys");
    ASSIGN_OR_RETURN(const std::vector<std::string> files, Texts(node["keys"], node, key));
    std::set<trust::PublicKey> different;
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(const std::string pem, ReadAll(folder_ + file));
      const absl::StatusOr<trust::PublicKey> read = trust::PublicKey::FromPem(pem);
      if (!read.ok())
        return Fault(node["keys"], key, file, absl::StrCat("a public key: ", read.status().message()));
      if (!different.insert(*read).second) {
        return Fault(node["keys"], key, absl::StrCat(file, ", a key that stands there already"),
                     "different keys");
      }
    }
    return std::vector<trust::PublicKey>(different.begin(), different.end());
  }

  absl::StatusOr<int> Threshold(const YAML::Node& node, absl::string_view where, size_t keys) const {
    const YAML::Node value = node["threshold"];
    if (!value) return 1;
    const std::string key = absl::StrCat(where, ".threshold");
    ASSIGN_OR_RETURN(const std::string text, Text(value, node, key));
    int number = 0;
    if (text.size() > 2 || text.find_first_not_of("0123456789") != std::string::npos)
      return Fault(value, key, text, "a number of keys");
    for (const char digit : text) number = number * 10 + (digit - '0');
    if (number < 1 || number > kMaxThreshold || static_cast<size_t>(number) > keys)
      return Fault(value, key, text, absl::StrCat("1 to ", keys, ", the number of keys"));
    return number;
  }

  absl::Status ReadQualification(const YAML::Node& node, const YAML::Node& root, Trust* trust) const {
    if (!node) return Fault(root, "qualification", "nothing", "the keys of the laboratory");
    RETURN_IF_ERROR(Keys(node, "qualification", {"keys", "threshold", "tests", "matrix"}));
    ASSIGN_OR_RETURN(trust->laboratory, PublicKeys(node, "qualification"));
    ASSIGN_OR_RETURN(trust->laboratory_threshold, Threshold(node, "qualification", trust->laboratory.size()));
    ASSIGN_OR_RETURN(trust->tests, Texts(node["tests"], node, "qualification.tests"));
    for (const std::string& test : trust->tests) {
      if (test.find('|') != std::string::npos)
        return Fault(node["tests"], "qualification.tests", test, "names of tests, without |");
    }
    if (const YAML::Node matrix = node["matrix"]) {
      ASSIGN_OR_RETURN(const std::string hex, Text(matrix, node, "qualification.matrix"));
      const absl::StatusOr<Digest> digest = Digest::Parse(hex);
      if (!digest.ok()) return Fault(matrix, "qualification.matrix", hex, "the 64 hex digits of its sha256");
      trust->matrix = *digest;
    }
    return absl::OkStatus();
  }

  // A file alone: hosts say the sensor's version in their label. With a label: they say that.
  absl::Status ReadSensors(const YAML::Node& node, Trust* trust) const {
    if (!node) return absl::OkStatus();
    if (!node.IsSequence()) return Fault(node, "sensors", "no list", "a list of schema files");
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
        trust->sensors.push_back({label.empty() ? schema.sensor.ToString() : label, schema});
    }
    return absl::OkStatus();
  }

  const std::string path_;
  std::string folder_;
};

}  // namespace

absl::StatusOr<Trust> LoadTrust(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadAll(path));
  try {
    if (content::CountDocuments(text) != 1)
      return absl::InvalidArgumentError(absl::StrCat(path, ": found no document or several, wanted one"));
    return Reader(path).Read(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
}

}  // namespace ringfence::gate
