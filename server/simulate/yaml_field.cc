#include "server/simulate/yaml_field.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "ringfence/base/ids.h"

namespace ringfence::replay {

std::optional<Micros> ParseDuration(absl::string_view text) {
  double unit = 0;
  if (absl::ConsumeSuffix(&text, "ms")) {
    unit = 1e3;
  } else if (absl::ConsumeSuffix(&text, "s")) {
    unit = kSecond;
  } else if (absl::ConsumeSuffix(&text, "m")) {
    unit = kMinute;
  } else if (absl::ConsumeSuffix(&text, "h")) {
    unit = kHour;
  } else if (absl::ConsumeSuffix(&text, "d")) {
    unit = kDay;
  }
  double number = 0;
  if (unit == 0 || !absl::SimpleAtod(text, &number) || !std::isfinite(number) || number < 0)
    return std::nullopt;
  const double micros = number * unit;
  if (micros > 1e17) return std::nullopt;
  return static_cast<Micros>(std::llround(micros));
}

void Field::AllowKeys(std::initializer_list<absl::string_view> keys) const {
  std::set<std::string> seen;
  for (const auto& [key, field] : Entries()) {
    const bool known =
        std::find(keys.begin(), keys.end(), key) != keys.end() || key == "note" || key == "notes";
    if (!known) field.Fail(absl::StrCat("unknown key; known here: ", absl::StrJoin(keys, ", ")));
    if (!seen.insert(key).second) field.Fail("named twice");
  }
}

std::optional<Field> Field::Find(absl::string_view key) const {
  if (!node_.IsMap()) Fail("wanted a map");
  const YAML::Node child = node_[std::string(key)];
  if (!child || child.IsNull()) return std::nullopt;
  return Field(child, absl::StrCat(path_, path_.empty() ? "" : ".", key));
}

Field Field::At(absl::string_view key) const {
  std::optional<Field> found = Find(key);
  if (!found.has_value()) Fail(absl::StrCat("wanted the key \"", key, "\""));
  return *std::move(found);
}

std::vector<std::pair<std::string, Field>> Field::Entries() const {
  if (!node_.IsMap()) Fail("wanted a map");
  std::vector<std::pair<std::string, Field>> entries;
  for (const auto& entry : node_) {
    const std::string key = entry.first.Scalar();
    // A null value has no mark of its own in some places; the key's is as good.
    YAML::Node value = entry.second;
    if (value.IsNull()) value = entry.first;
    entries.emplace_back(key, Field(value, absl::StrCat(path_, path_.empty() ? "" : ".", key)));
  }
  return entries;
}

std::vector<Field> Field::Items() const {
  if (!node_.IsSequence()) Fail("wanted a list");
  std::vector<Field> items;
  for (size_t i = 0; i < node_.size(); ++i) items.emplace_back(node_[i], absl::StrCat(path_, "[", i, "]"));
  return items;
}

std::string Field::Text() const {
  if (!node_.IsScalar()) Fail("wanted a single value");
  return node_.Scalar();
}

std::string Field::Slug() const {
  std::string text = Text();
  if (!IsSlug(text)) Fail(absl::StrCat("\"", text, "\"; wanted 1 to 63 of a-z, 0-9 and -"));
  return text;
}

double Field::Number() const {
  double number = 0;
  if (!absl::SimpleAtod(Text(), &number) || !std::isfinite(number)) {
    Fail(absl::StrCat("\"", Text(), "\"; wanted a number"));
  }
  return number;
}

double Field::NonNegative() const {
  const double number = Number();
  if (number < 0) Fail(absl::StrCat(number, "; wanted at least 0"));
  return number;
}

double Field::Share() const {
  const double number = Number();
  if (number < 0 || number > 1) Fail(absl::StrCat(number, "; wanted 0 to 1"));
  return number;
}

int64_t Field::Integer(int64_t least) const {
  int64_t number = 0;
  if (!absl::SimpleAtoi(Text(), &number)) Fail(absl::StrCat("\"", Text(), "\"; wanted a whole number"));
  if (number < least) Fail(absl::StrCat(number, "; wanted at least ", least));
  return number;
}

bool Field::Bool() const {
  const std::string text = Text();
  if (text != "true" && text != "false") Fail(absl::StrCat("\"", text, "\"; wanted true or false"));
  return text == "true";
}

Micros Field::Duration() const {
  const std::optional<Micros> duration = ParseDuration(Text());
  if (!duration.has_value())
    Fail(absl::StrCat("\"", Text(), "\"; wanted a duration such as 10s, 5m, 2h, 7d"));
  return *duration;
}

std::vector<std::string> Field::Texts() const {
  if (IsScalar()) return {Text()};
  std::vector<std::string> texts;
  for (const Field& item : Items()) texts.push_back(item.Text());
  return texts;
}

size_t Field::OneOf(std::initializer_list<absl::string_view> words) const {
  const std::string text = Text();
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) Fail(absl::StrCat("\"", text, "\"; wanted one of ", absl::StrJoin(words, ", ")));
  return static_cast<size_t>(found - words.begin());
}

}  // namespace ringfence::replay
