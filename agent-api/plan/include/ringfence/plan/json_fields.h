// Reading JSON that we wrote, field by field: what an older program does not know may be a limit that it must
// not ignore, so an object with a field that nobody asked for is refused. For .cc files only: it takes in the
// JSON library.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "ringfence/policy/plan.h"

namespace ringfence::plan {

using Json = nlohmann::json;

// Thrown by the readers below, so that each can be an expression; whoever begins to read catches it.
struct MalformedJson {
  std::string what;
};

// Reads the fields of an object and, at its end, refuses those that nobody asked for: a field that an older
// program does not know may be a limit that it must not ignore.
class Object {
 public:
  explicit Object(const Json& json) : json_(json) {
    if (!json.is_object()) throw MalformedJson{"an object is wanted"};
  }
  const Json& operator[](const char* name) {
    const auto found = json_.find(name);
    if (found == json_.end()) throw MalformedJson{absl::StrCat("field ", name, " is missing")};
    ++read_;
    return *found;
  }
  const Json* Optional(const char* name) { return json_.contains(name) ? &(*this)[name] : nullptr; }
  void End() const {
    if (read_ != json_.size()) throw MalformedJson{"a field is not known"};
  }

 private:
  const Json& json_;
  size_t read_ = 0;
};

inline std::string ReadText(const Json& json) {
  if (!json.is_string()) throw MalformedJson{"a text is wanted"};
  return json.get<std::string>();
}

inline bool ReadBool(const Json& json) {
  if (!json.is_boolean()) throw MalformedJson{"true or false is wanted"};
  return json.get<bool>();
}

template <typename Int>
Int ReadInt(const Json& json) {
  if (!json.is_number_integer()) throw MalformedJson{"a whole number is wanted"};
  const bool fits = json.is_number_unsigned() ? std::in_range<Int>(json.get<uint64_t>())
                                              : std::in_range<Int>(json.get<int64_t>());
  if (!fits) throw MalformedJson{"a smaller number is wanted"};
  return json.get<Int>();
}

inline const Json& ReadArray(const Json& json) {
  if (!json.is_array()) throw MalformedJson{"an array is wanted"};
  return json;
}

inline absl::Duration ReadDuration(const Json& json) {
  absl::Duration duration;
  if (!absl::ParseDuration(ReadText(json), &duration)) throw MalformedJson{"a duration is wanted"};
  return duration;
}

inline std::vector<std::string> ReadTexts(const Json& json) {
  std::vector<std::string> texts;
  for (const Json& text : ReadArray(json)) texts.push_back(ReadText(text));
  return texts;
}

template <typename Value>
std::vector<Value> ReadList(const Json* json, Value (*read)(const Json&)) {
  std::vector<Value> values;
  if (json == nullptr) return values;
  for (const Json& item : ReadArray(*json)) values.push_back(read(item));
  return values;
}

// Plans and selectors, in the form that the database keeps and that customers sign.
Json WriteSelector(const policy::Selector& selector);
Json WritePlan(const policy::Plan& plan);
policy::Selector ReadSelector(const Json& json);
// Not validated.
policy::Plan ReadPlan(const Json& json);

}  // namespace ringfence::plan
