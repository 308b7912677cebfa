#include "ringfence/tuf/metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "parse.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::tuf {
namespace {

using nlohmann::json;

bool IsTopLevel(absl::string_view name) {
  return name == kRoot || name == kTimestamp || name == kSnapshot || name == kTargets;
}

absl::StatusOr<std::vector<SignatureEntry>> ParseSignatures(const Place& document) {
  ASSIGN_OR_RETURN(const Place list, document.Array("signatures"));
  if (list.value->size() > kMaxSignatures) {
    return Failure(
        Fault::kLimitExceeded, list.role,
        absl::StrCat("signatures: found ", list.value->size(), ", wanted at most ", kMaxSignatures));
  }
  std::vector<SignatureEntry> signatures;
  std::set<std::string> seen;
  for (size_t i = 0; i < list.value->size(); ++i) {
    const Place item{&(*list.value)[i], list.role, absl::StrCat("signatures[", i, "]")};
    if (!item.value->is_object()) return item.Wrong(item.value->type_name(), "an object");
    SignatureEntry entry;
    ASSIGN_OR_RETURN(entry.key_id, item.String("keyid"));
    ASSIGN_OR_RETURN(const std::string hex, item.String("sig"));
    if (!seen.insert(entry.key_id).second)
      return item.Wrong(absl::StrCat("keyid ", entry.key_id, " again"), "each key id once");
    if (hex.size() % 2 == 0 && std::all_of(hex.begin(), hex.end(), absl::ascii_isxdigit))
      entry.bytes = absl::HexStringToBytes(hex);
    signatures.push_back(std::move(entry));
  }
  return signatures;
}

// The members that each of the four has. `known` are those of the type.
absl::StatusOr<Common> ParseCommon(const Place& signed_part, absl::string_view type,
                                   const std::set<std::string>& known) {
  Common common;
  ASSIGN_OR_RETURN(const std::string found_type, signed_part.String("_type"));
  if (found_type != type) {
    return signed_part.At("_type", *signed_part.value).Wrong(found_type, absl::StrCat("\"", type, "\""));
  }
  ASSIGN_OR_RETURN(const std::string spec, signed_part.String("spec_version"));
  if (spec != "1" && !absl::StartsWith(spec, "1."))
    return signed_part.At("spec_version", *signed_part.value).Wrong(spec, "1.x");
  ASSIGN_OR_RETURN(common.version, signed_part.Integer("version", 1));
  ASSIGN_OR_RETURN(const std::string expires, signed_part.String("expires"));
  const auto time = ParseTimeText(expires);
  if (!time.ok()) {
    return signed_part.At("expires", *signed_part.value)
        .Wrong(expires, "a time such as 2026-11-22T04:09:00Z");
  }
  common.expires = *time;
  for (const auto& [name, value] : signed_part.value->items()) {
    if (known.count(name) == 0) common.others.emplace(name, CanonicalJson(value));
  }
  return common;
}

const std::set<std::string>& KnownMembers() {
  static const std::set<std::string> kKnown = {
      "_type", "spec_version", "version", "expires", "consistent_snapshot",
      "keys",  "roles",        "meta",    "targets", "delegations"};
  return kKnown;
}

// Reads the frame of a document; `read` fills what the type has besides the common members.
template <typename T, typename Read>
absl::StatusOr<Document<T>> ParseDocument(absl::string_view role, absl::string_view type, size_t most,
                                          absl::string_view bytes, Read read) {
  const absl::StatusOr<json> parsed = trust::ParseStrictJson(bytes, most);
  if (!parsed.ok()) {
    const bool large = absl::IsResourceExhausted(parsed.status());
    return Failure(large ? Fault::kLimitExceeded : Fault::kMalformed, role,
                   absl::StrCat("document: ", parsed.status().message()));
  }
  const Place whole{&*parsed, std::string(role), ""};
  if (!parsed->is_object()) return whole.Wrong(parsed->type_name(), "an object");
  Document<T> document;
  ASSIGN_OR_RETURN(document.signatures, ParseSignatures(whole));
  ASSIGN_OR_RETURN(Place signed_part, whole.Object("signed"));
  signed_part.path = "signed";
  ASSIGN_OR_RETURN(static_cast<Common&>(document.body), ParseCommon(signed_part, type, KnownMembers()));
  RETURN_IF_ERROR(read(signed_part, &document.body));
  document.signed_bytes = CanonicalJson(*signed_part.value);
  return document;
}

absl::Status ReadRoot(const Place& place, Root* root) {
  if (place.Has("consistent_snapshot")) {
    ASSIGN_OR_RETURN(root->consistent_snapshot, place.Bool("consistent_snapshot"));
  }
  ASSIGN_OR_RETURN(const Place keys, place.Object("keys"));
  ASSIGN_OR_RETURN(root->keys, ParseKeys(keys));
  ASSIGN_OR_RETURN(const Place roles, place.Object("roles"));
  for (const char* name : {kRoot, kTimestamp, kSnapshot, kTargets}) {
    ASSIGN_OR_RETURN(const Place role, roles.Object(name));
    ASSIGN_OR_RETURN(root->roles[name], ParseRole(role));
  }
  return absl::OkStatus();
}

absl::Status ReadTimestamp(const Place& place, Timestamp* timestamp) {
  ASSIGN_OR_RETURN(const Place meta, place.Object("meta"));
  ASSIGN_OR_RETURN(const Place snapshot, meta.Object("snapshot.json"));
  ASSIGN_OR_RETURN(timestamp->snapshot, ParseFileInfo(snapshot, /*target=*/false));
  return absl::OkStatus();
}

absl::Status ReadSnapshot(const Place& place, Snapshot* snapshot) {
  ASSIGN_OR_RETURN(const Place meta, place.Object("meta"));
  for (const auto& [name, value] : meta.value->items()) {
    const Place info = meta.At(name, value);
    if (!value.is_object()) return info.Wrong(value.type_name(), "an object");
    ASSIGN_OR_RETURN(snapshot->meta[name], ParseFileInfo(info, /*target=*/false));
  }
  return absl::OkStatus();
}

absl::StatusOr<Delegation> ParseDelegation(const Place& place) {
  Delegation delegation;
  ASSIGN_OR_RETURN(delegation.name, place.String("name"));
  if (delegation.name.empty() || IsTopLevel(delegation.name)) {
    return place.At("name", *place.value)
        .Wrong(delegation.name, "a name that is not one of the four top-level roles");
  }
  ASSIGN_OR_RETURN(delegation.role, ParseRole(place));
  if (place.Has("terminating")) {
    ASSIGN_OR_RETURN(delegation.terminating, place.Bool("terminating"));
  }
  if (place.Has("paths") == place.Has("path_hash_prefixes"))
    return place.Wrong(place.Has("paths") ? "both" : "neither", "either paths or path_hash_prefixes");
  const bool patterns = place.Has("paths");
  ASSIGN_OR_RETURN(const Place list, place.Array(patterns ? "paths" : "path_hash_prefixes"));
  ASSIGN_OR_RETURN(auto texts, ParseStrings(list, kMaxTargetsBytes));
  if (!patterns) {
    for (std::string& text : texts) absl::AsciiStrToLower(&text);
  }
  (patterns ? delegation.paths : delegation.path_hash_prefixes) = std::move(texts);
  return delegation;
}

absl::Status ReadDelegations(const Place& place, Targets* targets) {
  ASSIGN_OR_RETURN(const Place keys, place.Object("keys"));
  ASSIGN_OR_RETURN(targets->keys, ParseKeys(keys));
  if (place.Has("roles") == place.Has("succinct_roles"))
    return place.Wrong(place.Has("roles") ? "both" : "neither", "either roles or succinct_roles");
  if (place.Has("succinct_roles")) {
    ASSIGN_OR_RETURN(const Place roles, place.Object("succinct_roles"));
    SuccinctRoles succinct;
    ASSIGN_OR_RETURN(succinct.role, ParseRole(roles));
    ASSIGN_OR_RETURN(succinct.name_prefix, roles.String("name_prefix"));
    ASSIGN_OR_RETURN(const int64_t bits, roles.Integer("bit_length", 1));
    if (bits > 32) return roles.At("bit_length", *roles.value).Wrong(absl::StrCat(bits), "1 to 32");
    succinct.bit_length = static_cast<int>(bits);
    targets->succinct = std::move(succinct);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Place roles, place.Array("roles"));
  std::set<std::string> names;
  for (size_t i = 0; i < roles.value->size(); ++i) {
    const Place item{&(*roles.value)[i], roles.role, absl::StrCat(roles.path, "[", i, "]")};
    if (!item.value->is_object()) return item.Wrong(item.value->type_name(), "an object");
    ASSIGN_OR_RETURN(Delegation delegation, ParseDelegation(item));
    if (!names.insert(delegation.name).second)
      return item.Wrong(absl::StrCat("role ", delegation.name, " again"), "each role once");
    targets->delegations.push_back(std::move(delegation));
  }
  return absl::OkStatus();
}

absl::Status ReadTargets(const Place& place, Targets* targets) {
  ASSIGN_OR_RETURN(const Place files, place.Object("targets"));
  for (const auto& [path, value] : files.value->items()) {
    const Place file = files.At(path, value);
    if (!value.is_object()) return file.Wrong(value.type_name(), "an object");
    TargetFile target;
    target.path = path;
    ASSIGN_OR_RETURN(target.info, ParseFileInfo(file, /*target=*/true));
    if (file.Has("custom")) target.custom = CanonicalJson(value["custom"]);
    targets->targets.emplace(path, std::move(target));
  }
  if (!place.Has("delegations")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Place delegations, place.Object("delegations"));
  return ReadDelegations(delegations, targets);
}

}  // namespace

absl::StatusOr<Document<Root>> ParseRoot(absl::string_view bytes) {
  return ParseDocument<Root>(kRoot, kRoot, kMaxRootBytes, bytes, ReadRoot);
}
absl::StatusOr<Document<Timestamp>> ParseTimestamp(absl::string_view bytes) {
  return ParseDocument<Timestamp>(kTimestamp, kTimestamp, kMaxTimestampBytes, bytes, ReadTimestamp);
}
absl::StatusOr<Document<Snapshot>> ParseSnapshot(absl::string_view bytes) {
  return ParseDocument<Snapshot>(kSnapshot, kSnapshot, kMaxSnapshotBytes, bytes, ReadSnapshot);
}
absl::StatusOr<Document<Targets>> ParseTargets(absl::string_view role, absl::string_view bytes) {
  return ParseDocument<Targets>(role, kTargets, kMaxTargetsBytes, bytes, ReadTargets);
}

int CountSigners(const Role& role, const std::map<std::string, Key>& keys, absl::string_view signed_bytes,
                 const std::vector<SignatureEntry>& signatures) {
  std::set<std::string> signers;
  for (const SignatureEntry& signature : signatures) {
    if (std::find(role.key_ids.begin(), role.key_ids.end(), signature.key_id) == role.key_ids.end()) continue;
    const auto key = keys.find(signature.key_id);
    if (key == keys.end() || !key->second.usable() || signers.count(key->second.identity()) != 0) continue;
    if (key->second.Verify(signed_bytes, signature.bytes)) signers.insert(key->second.identity());
  }
  return static_cast<int>(signers.size());
}

absl::StatusOr<absl::Time> ParseTimeText(absl::string_view text) {
  absl::Time time;
  std::string error;
  // The pattern is looser than the spelling: what it gives must give the same text again.
  if (text.size() != 20 || !absl::ParseTime("%Y-%m-%dT%H:%M:%SZ", text, absl::UTCTimeZone(), &time, &error) ||
      TimeText(time) != text) {
    return absl::InvalidArgumentError("wanted a time such as 2026-11-22T04:09:00Z");
  }
  return time;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string Quote(absl::string_view name) {
  std::string quoted;
  for (const char c : name) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
        absl::StrContains("-._~", absl::string_view(&c, 1))) {
      quoted.push_back(c);
    } else {
      absl::StrAppend(
          &quoted, "%",
          absl::AsciiStrToUpper(absl::StrCat(absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2))));
    }
  }
  return quoted;
}

}  // namespace ringfence::tuf
