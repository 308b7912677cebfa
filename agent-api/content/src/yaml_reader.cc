#include "yaml_reader.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/utf8.h"

namespace ringfence::content {
namespace {

std::string ShownNode(const YAML::Node& node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  if (node.IsScalar()) return node.Scalar().empty() ? "nothing" : Shown(node.Scalar());
  return "nothing";
}

}  // namespace

std::string Shown(const std::string& text) {
  const std::string head = text.substr(0, 60);
  // Cut in the middle of a character, or never text at all: then as escapes.
  const std::string shown = FirstBadByte(head).has_value() ? absl::CHexEscape(head) : head;
  return text.size() > head.size() ? shown + "..." : shown;
}

YamlReader::YamlReader(YAML::Node node, std::string path, std::vector<SourceFault>* faults)
    : node_(std::move(node)), path_(std::move(path)), faults_(faults), present_(node_.IsDefined()) {}

void YamlReader::FailAt(const YAML::Node& node, const std::string& path, const std::string& what) const {
  if (faults_->size() >= kMaxFaults) return;
  const YAML::Mark mark = node.IsDefined() ? node.Mark() : YAML::Mark::null_mark();
  faults_->push_back({mark.is_null() ? 0 : mark.line + 1, mark.is_null() ? 0 : mark.column + 1, path, what});
}

void YamlReader::Fail(const std::string& wanted) const {
  FailAt(node_, path_, absl::StrCat("found ", present_ ? ShownNode(node_) : "nothing", ", wanted ", wanted));
}

bool YamlReader::IsMapOf(std::initializer_list<const char*> required,
                         std::initializer_list<const char*> optional) const {
  std::vector<absl::string_view> keys(required.begin(), required.end());
  keys.insert(keys.end(), optional.begin(), optional.end());
  // More members than keys can only be a fault, and need not be looked at.
  if (!present_ || !node_.IsMap() || node_.size() > keys.size() + 8) {
    Fail(absl::StrCat("a map with ", absl::StrJoin(keys, ", ")));
    return false;
  }
  std::vector<std::string> seen;
  bool good = true;
  for (const auto& member : node_) {
    const std::string key = member.first.IsScalar() ? member.first.Scalar() : "";
    const std::string at = path_.empty() ? Shown(key) : absl::StrCat(path_, ".", Shown(key));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      FailAt(member.first, at,
             absl::StrCat("unknown key '", ShownNode(member.first), "', wanted one of ",
                          absl::StrJoin(keys, ", ")));
      good = false;
    } else if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      FailAt(member.first, at, "the key stands here a second time");
      good = false;
    }
    seen.push_back(key);
  }
  for (const char* key : required) {
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
    FailAt(node_, path_.empty() ? key : absl::StrCat(path_, ".", key), "is not here, and has to be");
    good = false;
  }
  return good;
}

YamlReader YamlReader::Get(const char* key) const {
  const std::string path = path_.empty() ? key : absl::StrCat(path_, ".", key);
  const YAML::Node& constant = node_;  // the non-const operator would add the key
  return YamlReader(
      present_ && node_.IsMap() ? YAML::Node(constant[key]) : YAML::Node(YAML::NodeType::Undefined), path,
      faults_);
}

void YamlReader::Each(size_t most, const std::function<void(const YamlReader&)>& item) const {
  if (!present_ || !node_.IsSequence()) return Fail("a list");
  if (node_.size() > most) {
    return FailAt(node_, path_, absl::StrCat("found ", node_.size(), " items, wanted at most ", most));
  }
  size_t index = 0;
  for (const YAML::Node& node : node_) {
    if (faults_->size() >= kMaxFaults) return;
    item(YamlReader(node, absl::StrCat(path_, "[", index++, "]"), faults_));
  }
}

std::string YamlReader::Text(size_t most, const std::string& wanted, bool may_be_empty) const {
  if (IsScalar() && (may_be_empty || !node_.Scalar().empty()) && node_.Scalar().size() <= most &&
      !FirstBadByte(node_.Scalar()).has_value()) {
    return node_.Scalar();
  }
  Fail(absl::StrCat(wanted, ": UTF-8 without control characters, at most ", most, " bytes"));
  return "";
}

int64_t YamlReader::Integer(int64_t least, int64_t most) const {
  int64_t value = 0;
  if (IsScalar() && absl::SimpleAtoi(node_.Scalar(), &value) && value >= least && value <= most) return value;
  Fail(absl::StrCat("a whole number from ", least, " to ", most));
  return least;
}

SensorVersion YamlReader::Version() const {
  const auto version = SensorVersion::Parse(IsScalar() ? absl::string_view(node_.Scalar()) : "");
  if (version.ok()) return *version;
  Fail("a sensor version such as 7.11.0");
  return {};
}

}  // namespace ringfence::content
