#include "server/cli/yaml_reader.h"

#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/cli/human.h"

namespace ringfence::cli {
namespace {

Place PlaceOf(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

std::string Shown(const YAML::Node& node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  if (node.IsNull()) return "nothing";
  const std::string text = Printable(node.Scalar().substr(0, 60));
  return node.Scalar().size() > 60 ? text + "..." : text;
}

}  // namespace

YamlReader::YamlReader(YAML::Node node, std::string path, YamlFile* file)
    : node_(std::move(node)), path_(std::move(path)), file_(file), present_(node_.IsDefined()) {
  if (present_) file_->places.Add(path_, PlaceOf(node_));
}

void YamlReader::FailAt(const YAML::Node& node, const std::string& path, const std::string& what) const {
  file_->faults.push_back({PlaceOf(node), path, what});
}

void YamlReader::Fail(const std::string& wanted) const {
  FailAt(node_, path_, absl::StrCat("found ", Shown(node_), ", wanted ", wanted));
}

bool YamlReader::IsMapOf(const std::set<std::string>& keys) const {
  if (!present_) return false;
  if (!node_.IsMap()) {
    Fail(absl::StrCat("a map with ", absl::StrJoin(keys, ", ")));
    return false;
  }
  std::set<std::string> seen;
  for (const auto& member : node_) {
    const std::string key = member.first.IsScalar() ? member.first.Scalar() : "";
    const std::string at = path_.empty() ? Printable(key) : absl::StrCat(path_, ".", Printable(key));
    if (keys.count(key) == 0) {
      FailAt(
          member.first, at,
          absl::StrCat("unknown key '", Shown(member.first), "', wanted one of ", absl::StrJoin(keys, ", ")));
    } else if (!seen.insert(key).second) {
      FailAt(member.first, at, "the key stands here a second time");
    }
  }
  return true;
}

YamlReader YamlReader::Get(const std::string& key) const {
  const std::string path = path_.empty() ? key : absl::StrCat(path_, ".", key);
  const YAML::Node& constant = node_;  // the non-const operator would add the key
  return YamlReader(
      present_ && node_.IsMap() ? YAML::Node(constant[key]) : YAML::Node(YAML::NodeType::Undefined), path,
      file_);
}

void YamlReader::Each(const std::function<void(const YamlReader&)>& item) const {
  if (!present_) return;
  if (!node_.IsSequence()) return Fail("a list");
  size_t index = 0;
  for (const YAML::Node& node : node_) item(YamlReader(node, absl::StrCat(path_, "[", index++, "]"), file_));
}

void YamlReader::EachKey(const std::function<void(const std::string&, const YamlReader&)>& member) const {
  if (!present_) return;
  if (!node_.IsMap()) return Fail("a map");
  std::set<std::string> seen;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) {
      FailAt(entry.first, path_, absl::StrCat("found ", Shown(entry.first), ", wanted a name"));
      continue;
    }
    const std::string key = entry.first.Scalar();
    const std::string path = absl::StrCat(path_, ".", Printable(key));
    if (!seen.insert(key).second) FailAt(entry.first, path, "the key stands here a second time");
    member(key, YamlReader(entry.second, path, file_));
  }
}

std::string YamlReader::Text(const char* wanted) const {
  if (!present_) return "";
  if (node_.IsScalar() && !node_.Scalar().empty()) return node_.Scalar();
  Fail(wanted);
  return "";
}

int64_t YamlReader::Integer(int64_t least, int64_t most) const {
  if (!present_) return least;
  int64_t value = 0;
  if (node_.IsScalar() && absl::SimpleAtoi(node_.Scalar(), &value) && value >= least && value <= most)
    return value;
  Fail(most == std::numeric_limits<int64_t>::max()
           ? absl::StrCat("a whole number of at least ", least)
           : absl::StrCat("a whole number from ", least, " to ", most));
  return least;
}

bool YamlReader::Boolean() const {
  if (!present_) return false;
  if (node_.IsScalar() && node_.Scalar() == "true") return true;
  if (!node_.IsScalar() || node_.Scalar() != "false") Fail("true or false");
  return false;
}

int64_t YamlReader::SharePpm() const {
  if (!present_) return 0;
  constexpr char kWanted[] = "a share such as 5% or 0.05";
  if (!node_.IsScalar()) {
    Fail(kWanted);
    return 0;
  }
  std::string text = node_.Scalar();
  double whole = 1'000'000;
  if (!text.empty() && text.back() == '%') {
    text.pop_back();
    if (!text.empty() && text.back() == ' ') text.pop_back();
    whole = 10'000;
  }
  double value = 0;
  const bool number =
      text.find_first_not_of("0123456789.") == std::string::npos && absl::SimpleAtod(text, &value);
  const double ppm = value * whole;
  if (!number || !(ppm >= 0 && ppm <= 1'000'000.5) || std::abs(ppm - std::round(ppm)) > 1e-6) {
    Fail(number && ppm <= 1'000'000.5 ? "a share in whole parts per million, such as 0.0001%" : kWanted);
    return 0;
  }
  return static_cast<int64_t>(std::round(ppm));
}

absl::Duration YamlReader::Duration() const {
  absl::Duration duration;
  if (present_ && !(node_.IsScalar() && ParseHumanDuration(node_.Scalar(), &duration))) {
    Fail("a duration such as 30m, 1h30m or 7d");
  }
  return duration;
}

}  // namespace ringfence::cli
