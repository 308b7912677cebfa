#include "parse.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::tuf {

using nlohmann::json;

absl::Status Place::Wrong(absl::string_view found, absl::string_view wanted) const {
  // Either can be megabytes long; what was wanted has to be readable behind them.
  constexpr size_t kShown = 200;
  const auto shown = [](absl::string_view text) {
    return absl::StrCat(absl::Utf8SafeCEscape(text.substr(0, kShown)), text.size() > kShown ? "..." : "");
  };
  return Failure(Fault::kMalformed, role,
                 absl::StrCat(shown(path), ": found ", shown(found), ", wanted ", wanted));
}

Place Place::At(const std::string& name, const json& member) const {
  return {&member, role, absl::StrCat(path, ".", name)};
}

namespace {

absl::StatusOr<Place> Member(const Place& place, const char* name, bool (json::*is)() const noexcept,
                             absl::string_view wanted) {
  const auto found = place.value->find(name);
  if (found == place.value->end())
    return Place{nullptr, place.role, absl::StrCat(place.path, ".", name)}.Wrong("nothing", wanted);
  const Place member = place.At(name, *found);
  if (!((*found).*is)()) return member.Wrong(found->type_name(), wanted);
  return member;
}

}  // namespace

absl::StatusOr<Place> Place::Object(const char* name) const {
  return Member(*this, name, &json::is_object, "an object");
}
absl::StatusOr<Place> Place::Array(const char* name) const {
  return Member(*this, name, &json::is_array, "a list");
}
absl::StatusOr<std::string> Place::String(const char* name) const {
  ASSIGN_OR_RETURN(const Place member, Member(*this, name, &json::is_string, "a string"));
  return member.value->get<std::string>();
}
absl::StatusOr<bool> Place::Bool(const char* name) const {
  ASSIGN_OR_RETURN(const Place member, Member(*this, name, &json::is_boolean, "true or false"));
  return member.value->get<bool>();
}
absl::StatusOr<int64_t> Place::Integer(const char* name, int64_t least) const {
  ASSIGN_OR_RETURN(const Place member, Member(*this, name, &json::is_number_integer, "an integer"));
  const int64_t number = member.value->get<int64_t>();  // strict JSON: at most 2^53 either way
  if (number < least) return member.Wrong(absl::StrCat(number), absl::StrCat("at least ", least));
  return number;
}

absl::StatusOr<std::vector<std::string>> ParseStrings(const Place& array, size_t most) {
  if (array.value->size() > most) {
    return Failure(Fault::kLimitExceeded, array.role,
                   absl::StrCat(array.path, ": found ", array.value->size(), ", wanted at most ", most));
  }
  std::vector<std::string> strings;
  for (const json& item : *array.value) {
    if (!item.is_string()) return array.Wrong(item.type_name(), "a list of strings");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

absl::StatusOr<std::map<std::string, Key>> ParseKeys(const Place& keys) {
  if (keys.value->size() > kMaxKeys) {
    return Failure(Fault::kLimitExceeded, keys.role,
                   absl::StrCat(keys.path, ": found ", keys.value->size(), ", wanted at most ", kMaxKeys));
  }
  std::map<std::string, Key> parsed;
  for (const auto& [id, value] : keys.value->items()) {
    const Place key = keys.At(id, value);
    if (!value.is_object()) return key.Wrong(value.type_name(), "an object");
    ASSIGN_OR_RETURN(const std::string type, key.String("keytype"));
    ASSIGN_OR_RETURN(const std::string scheme, key.String("scheme"));
    ASSIGN_OR_RETURN(const Place keyval, key.Object("keyval"));
    // A key of a kind that we do not know may have another form of "keyval".
    const auto text = keyval.value->find("public");
    const bool is_text = text != keyval.value->end() && text->is_string();
    parsed.emplace(id, Key::Parse(type, scheme, is_text ? text->get<std::string>() : std::string()));
  }
  return parsed;
}

absl::StatusOr<Role> ParseRole(const Place& place) {
  Role role;
  ASSIGN_OR_RETURN(const int64_t threshold, place.Integer("threshold", 1));
  // No document has room for more keys than a million; the number is only ever compared.
  role.threshold = static_cast<int>(std::min<int64_t>(threshold, 1 << 20));
  ASSIGN_OR_RETURN(const Place ids, place.Array("keyids"));
  ASSIGN_OR_RETURN(role.key_ids, ParseStrings(ids, kMaxRoleKeys));
  std::set<std::string> seen;
  for (const std::string& id : role.key_ids) {
    if (!seen.insert(id).second) return ids.Wrong(absl::StrCat(id, " twice"), "each key id once");
  }
  return role;
}

absl::StatusOr<FileInfo> ParseFileInfo(const Place& place, bool target) {
  FileInfo info;
  if (!target) {
    ASSIGN_OR_RETURN(info.version, place.Integer("version", 1));
  }
  if (target || place.Has("length")) {
    ASSIGN_OR_RETURN(info.length, place.Integer("length", 0));
  }
  if (target || place.Has("hashes")) {
    ASSIGN_OR_RETURN(const Place hashes, place.Object("hashes"));
    if (hashes.value->empty()) return hashes.Wrong("none", "at least one hash");
    for (const auto& [algorithm, value] : hashes.value->items()) {
      if (!value.is_string()) return hashes.At(algorithm, value).Wrong(value.type_name(), "hex in a string");
      info.hashes.emplace(algorithm, absl::AsciiStrToLower(value.get<std::string>()));
    }
  }
  return info;
}

}  // namespace ringfence::tuf
