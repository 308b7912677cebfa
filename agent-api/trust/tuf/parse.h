// Members of a JSON document, each with its path in the error's text. Every function's Failure is kMalformed.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::tuf {

// A value of a document, its role and its place: "signed.roles.root".
struct Place {
  const nlohmann::json* value;
  std::string role;
  std::string path;

  absl::Status Wrong(absl::string_view found, absl::string_view wanted) const;
  absl::StatusOr<Place> Object(const char* name) const;  // the member, which is an object
  absl::StatusOr<Place> Array(const char* name) const;
  absl::StatusOr<std::string> String(const char* name) const;
  absl::StatusOr<bool> Bool(const char* name) const;
  absl::StatusOr<int64_t> Integer(const char* name, int64_t least) const;
  Place At(const std::string& name, const nlohmann::json& member) const;
  bool Has(const char* name) const { return value->contains(name); }
};

absl::StatusOr<std::vector<std::string>> ParseStrings(const Place& array, size_t most);
absl::StatusOr<std::map<std::string, Key>> ParseKeys(const Place& keys);
absl::StatusOr<Role> ParseRole(const Place& place);
absl::StatusOr<FileInfo> ParseFileInfo(const Place& place, bool target);

}  // namespace ringfence::tuf
