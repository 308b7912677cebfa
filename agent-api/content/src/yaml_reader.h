// Reads a YAML node field by field and collects faults with their places. Looks at a list or map only after
// its size, since an alias lets a short file stand for a very long one.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "ringfence/content/source.h"

namespace ringfence::content {

class YamlReader {
 public:
  YamlReader(YAML::Node node, std::string path, std::vector<SourceFault>* faults);

  bool present() const { return present_; }
  bool IsScalar() const { return present_ && node_.IsScalar(); }
  // Records "found ..., wanted `wanted`" here.
  void Fail(const std::string& wanted) const;

  // A map with some of these keys, each at most once, and all of `required`. False: there was a fault.
  bool IsMapOf(std::initializer_list<const char*> required,
               std::initializer_list<const char*> optional) const;
  YamlReader Get(const char* key) const;
  // Every item of a list of at most `most`.
  void Each(size_t most, const std::function<void(const YamlReader&)>& item) const;

  // A non-empty scalar of at most `most` bytes, UTF-8 without control characters. Else a fault, and "".
  std::string Text(size_t most, const std::string& wanted, bool may_be_empty = false) const;
  // A whole number within the bounds. Else a fault, and `least`.
  int64_t Integer(int64_t least, int64_t most) const;
  SensorVersion Version() const;

 private:
  void FailAt(const YAML::Node& node, const std::string& path, const std::string& what) const;

  YAML::Node node_;
  std::string path_;
  std::vector<SourceFault>* faults_;
  bool present_;
};

// Text as it can be shown: no control characters, at most 60 bytes.
std::string Shown(const std::string& text);

}  // namespace ringfence::content
