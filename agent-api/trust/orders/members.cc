#include "members.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/trust/strict_json.h"

namespace ringfence::trust {

Members::Members(const nlohmann::json& object) : object_(object) {
  if (!object.is_object()) Fault("document", "an object");
}

void Members::Fault(absl::string_view name, absl::string_view wanted) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(name, ": wanted ", wanted));
}

const nlohmann::json* Members::Find(const char* name) {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  if (found != object_.end()) return &*found;
  Fault(name, "the member");
  return nullptr;
}

std::string Members::Text(const char* name, size_t least, size_t most) {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return "";
  if (value->is_string()) {
    const std::string& text = value->get_ref<const std::string&>();
    if (text.size() >= least && text.size() <= most) return text;
  }
  Fault(name, absl::StrCat("a string of ", least, " to ", most, " bytes"));
  return "";
}

std::string Members::Slug(const char* name, bool may_be_empty) {
  std::string text = Text(name, may_be_empty ? 0 : 1, 63);
  if (!text.empty() && !IsSlug(text)) Fault(name, "a slug");
  return text;
}

std::string Members::HexName(const char* name, size_t bytes) {
  std::string text = Text(name, 2 * bytes, 2 * bytes);
  if (text.find_first_not_of("0123456789abcdef") != std::string::npos) Fault(name, "lower-case hex digits");
  return text;
}

std::string Members::HexBytes(const char* name, size_t bytes) {
  const std::string digits = HexName(name, bytes);
  return status_.ok() ? absl::HexStringToBytes(digits) : "";
}

Digest Members::Sha256(const char* name) {
  const auto digest = Digest::Parse(Text(name, 64, 64));
  if (digest.ok()) return *digest;
  Fault(name, "64 lower-case hex digits");
  return Digest();
}

AgentId Members::Agent(const char* name) {
  const auto agent = AgentId::Parse(Text(name, 36, 36));
  if (agent.ok()) return *agent;
  Fault(name, "a UUID in lower case");
  return AgentId();
}

int64_t Members::Integer(const char* name, int64_t least, int64_t most) {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return least;
  if (value->is_number_integer()) {
    const auto number = value->get<int64_t>();  // strict JSON has none beyond 2^53
    if (number >= least && number <= most) return number;
  }
  Fault(name, absl::StrCat("a whole number from ", least, " to ", most));
  return least;
}

uint64_t Members::Unsigned(const char* name, uint64_t least) {
  return static_cast<uint64_t>(Integer(name, static_cast<int64_t>(least), kMaxJsonInteger));
}

absl::Time Members::Time(const char* name) {
  absl::Time at;
  std::string error;
  const std::string text = Text(name, 20, 40);
  if (text.size() > 1 && text.back() == 'Z' && absl::ParseTime(absl::RFC3339_full, text, &at, &error) &&
      at >= absl::UnixEpoch() && at < absl::InfiniteFuture()) {
    return at;
  }
  Fault(name, "a time like 2026-11-22T04:09:00Z");
  return absl::UnixEpoch();
}

std::vector<Digest> Members::Sha256s(const char* name, size_t most) {
  std::vector<Digest> digests;
  if (!object_.is_object()) return digests;
  const auto found = object_.find(name);
  if (found == object_.end()) return digests;
  if (!found->is_array() || found->size() > most) {
    Fault(name, absl::StrCat("a list of at most ", most));
    return digests;
  }
  for (const nlohmann::json& item : *found) {
    const auto digest = item.is_string() ? Digest::Parse(item.get_ref<const std::string&>())
                                         : absl::StatusOr<Digest>(absl::InvalidArgumentError("no text"));
    if (!digest.ok()) {
      Fault(name, "64 lower-case hex digits each");
      return digests;
    }
    digests.push_back(*digest);
  }
  return digests;
}

const nlohmann::json* Members::Object(const char* name) {
  const nlohmann::json* value = Find(name);
  if (value != nullptr && value->is_object()) return value;
  Fault(name, "an object");
  return nullptr;
}

std::string TimeText(absl::Time at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", at, absl::UTCTimeZone());
}

}  // namespace ringfence::trust
