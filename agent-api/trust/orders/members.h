// Reads the members of a signed order's payload; the first that is wrong stays as the status.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"

namespace ringfence::trust {

class Members {
 public:
  // `object` outlives it. Anything but an object is a fault.
  explicit Members(const nlohmann::json& object);

  std::string Text(const char* name, size_t least, size_t most);
  std::string Slug(const char* name, bool may_be_empty = false);
  std::string HexBytes(const char* name, size_t bytes);  // decoded; lower case only
  std::string HexName(const char* name, size_t bytes);   // the digits
  Digest Sha256(const char* name);
  AgentId Agent(const char* name);
  int64_t Integer(const char* name, int64_t least, int64_t most);
  uint64_t Unsigned(const char* name, uint64_t least);  // to 2^53
  absl::Time Time(const char* name);
  std::vector<Digest> Sha256s(const char* name, size_t most);  // may be missing: none
  const nlohmann::json* Object(const char* name);              // null: a fault
  void Fault(absl::string_view name, absl::string_view wanted);

  const absl::Status& status() const { return status_; }

 private:
  const nlohmann::json* Find(const char* name);

  const nlohmann::json& object_;
  absl::Status status_;
};

std::string TimeText(absl::Time at);

}  // namespace ringfence::trust
