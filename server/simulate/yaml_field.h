// A YAML node with its path: every access says what was wanted, every failure says where. Used by the parsers
// only: failures are exceptions here, and become a Status at ParseScenario.
#pragma once

#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/simulate/virtual_time.h"

namespace ringfence::replay {

struct Malformed : std::runtime_error {
  Malformed(int at_line, const std::string& what) : std::runtime_error(what), line(at_line) {}
  int line;
};

class Field {
 public:
  Field(YAML::Node node, std::string path) : node_(std::move(node)), path_(std::move(path)) {}

  [[noreturn]] void Fail(const std::string& what) const {
    throw Malformed(line(), absl::StrCat(path_, ": ", what));
  }
  int line() const { return node_.Mark().line + 1; }
  const std::string& path() const { return path_; }

  // A map whose keys are among these, each once. "note" and "notes" are free everywhere.
  void AllowKeys(std::initializer_list<absl::string_view> keys) const;
  bool Has(absl::string_view key) const { return Find(key).has_value(); }
  std::optional<Field> Find(absl::string_view key) const;  // a key with an empty value counts as absent
  Field At(absl::string_view key) const;                   // fails when absent
  std::vector<std::pair<std::string, Field>> Entries() const;
  std::vector<Field> Items() const;
  bool IsScalar() const { return node_.IsScalar(); }
  bool IsSequence() const { return node_.IsSequence(); }
  bool IsMap() const { return node_.IsMap(); }

  std::string Text() const;
  std::string Slug() const;
  double Number() const;  // finite
  double NonNegative() const;
  double Share() const;  // 0 to 1
  int64_t Integer(int64_t least) const;
  bool Bool() const;
  Micros Duration() const;                 // 10s, 5m, 2h, 7d
  std::vector<std::string> Texts() const;  // a list of scalars, or one scalar
  // The index of the word in `words`.
  size_t OneOf(std::initializer_list<absl::string_view> words) const;

 private:
  YAML::Node node_;
  std::string path_;
};

// The duration of "10s", "1.5h"; nothing when it is none.
std::optional<Micros> ParseDuration(absl::string_view text);

}  // namespace ringfence::replay
