// Reads a YAML node field by field and collects every fault with its place, instead of stopping at the first.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "server/cli/plan_yaml.h"

namespace ringfence::cli {

// Everything that one file's readers share.
struct YamlFile {
  std::vector<YamlFault> faults;
  Places places;
};

// A node and its path. Getters add a fault and give the fallback when the node is not what they want; those
// of an absent node give the fallback in silence.
class YamlReader {
 public:
  YamlReader(YAML::Node node, std::string path, YamlFile* file);

  bool present() const { return present_; }
  void Fail(const std::string& wanted) const;
  void FailAt(const YAML::Node& node, const std::string& path, const std::string& what) const;

  // A map with these keys only, each once. Calls nothing; look at the members with Get.
  bool IsMapOf(const std::set<std::string>& keys) const;
  YamlReader Get(const std::string& key) const;
  void Each(const std::function<void(const YamlReader&)>& item) const;                           // of a list
  void EachKey(const std::function<void(const std::string&, const YamlReader&)>& member) const;  // of a map

  bool IsScalar() const { return present_ && node_.IsScalar(); }
  bool IsList() const { return present_ && node_.IsSequence(); }
  bool IsMap() const { return present_ && node_.IsMap(); }
  std::string Text(const char* wanted) const;
  int64_t Integer(int64_t least, int64_t most) const;
  bool Boolean() const;
  int64_t SharePpm() const;  // 5%, 0.05
  absl::Duration Duration() const;

  const std::string& path() const { return path_; }
  const YAML::Node& node() const { return node_; }

 private:
  YAML::Node node_;
  std::string path_;
  YamlFile* file_;
  bool present_;
};

}  // namespace ringfence::cli
