#include "ringfence/trust/trust_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "parse.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::trust {
namespace {

using nlohmann::json;
using tuf::Place;

constexpr size_t kMaxRoleKeys = 64;
constexpr size_t kMaxEntries = 4096;

absl::StatusOr<Digest> ParseDigest(const Place& place, const std::string& text) {
  const auto digest = Digest::Parse(text);
  if (!digest.ok()) return place.Wrong(text, "64 lower-case hex digits");
  return *digest;
}

absl::StatusOr<TrustKey> ParseKey(const Place& place) {
  if (!place.value->is_object()) return place.Wrong(place.value->type_name(), "an object");
  ASSIGN_OR_RETURN(const std::string type, place.String("keytype"));
  if (type != "ed25519") return place.At("keytype", *place.value).Wrong(type, "\"ed25519\"");
  ASSIGN_OR_RETURN(const std::string hex, place.String("public"));
  ASSIGN_OR_RETURN(const Digest raw, ParseDigest(place.At("public", *place.value), hex));
  const auto key = PublicKey::FromBytes(raw.raw());
  if (!key.ok()) return place.Wrong(key.status().message(), "an Ed25519 key");
  ASSIGN_OR_RETURN(const std::string id, place.String("keyid"));
  if (id != key->KeyId().ToString())
    return place.At("keyid", *place.value)
        .Wrong(id, absl::StrCat("the key's sha256, ", key->KeyId().ToString()));
  TrustKey trusted{*key, ""};
  if (place.Has("person")) {
    ASSIGN_OR_RETURN(trusted.person, place.String("person"));
  }
  return trusted;
}

absl::StatusOr<TrustRole> ParseTrustRole(const Place& place) {
  TrustRole role;
  ASSIGN_OR_RETURN(const int64_t threshold, place.Integer("threshold", 1));
  ASSIGN_OR_RETURN(const Place keys, place.Array("keys"));
  if (keys.value->size() > kMaxRoleKeys || threshold > static_cast<int64_t>(keys.value->size()))
    return place.Wrong(absl::StrCat("threshold ", threshold, " of ", keys.value->size(), " keys"),
                       absl::StrCat("one that its keys can meet, and at most ", kMaxRoleKeys, " keys"));
  role.threshold = static_cast<int>(threshold);
  for (size_t i = 0; i < keys.value->size(); ++i) {
    const Place item{&(*keys.value)[i], keys.role, absl::StrCat(keys.path, "[", i, "]")};
    ASSIGN_OR_RETURN(TrustKey key, ParseKey(item));
    for (const TrustKey& other : role.keys) {
      if (other.key == key.key) return item.Wrong("a key again", "each key once");
    }
    role.keys.push_back(std::move(key));
  }
  return role;
}

absl::StatusOr<Matrix> ParseMatrix(const Place& place) {
  if (!place.value->is_object()) return place.Wrong(place.value->type_name(), "an object");
  Matrix matrix;
  ASSIGN_OR_RETURN(const std::string hex, place.String("sha256"));
  ASSIGN_OR_RETURN(matrix.sha256, ParseDigest(place.At("sha256", *place.value), hex));
  ASSIGN_OR_RETURN(const Place tests, place.Array("tests"));
  ASSIGN_OR_RETURN(matrix.tests, tuf::ParseStrings(tests, kMaxEntries));
  if (matrix.tests.empty()) return tests.Wrong("none", "at least one test");
  return matrix;
}

absl::StatusOr<std::map<std::string, Matrix>> ParseMatrices(const Place& place) {
  std::map<std::string, Matrix> matrices;
  for (const auto& [channel, value] : place.value->items()) {
    ASSIGN_OR_RETURN(matrices[channel], ParseMatrix(place.At(channel, value)));
  }
  return matrices;
}

json KeyJson(const TrustKey& key) {
  json written = {{"keyid", key.key.KeyId().ToString()},
                  {"keytype", "ed25519"},
                  {"public", absl::BytesToHexString(key.key.raw())}};
  if (!key.person.empty()) written["person"] = key.person;
  return written;
}

}  // namespace

absl::StatusOr<TrustDocument> ParseTrustDocument(absl::string_view bytes) {
  const absl::StatusOr<json> parsed = ParseStrictJson(bytes, kMaxTrustBytes);
  if (!parsed.ok()) {
    const bool large = absl::IsResourceExhausted(parsed.status());
    return tuf::Failure(large ? tuf::Fault::kLimitExceeded : tuf::Fault::kMalformed, kTrustTarget,
                        absl::StrCat("document: ", parsed.status().message()));
  }
  const Place place{&*parsed, kTrustTarget, "trust"};
  if (!parsed->is_object()) return place.Wrong(parsed->type_name(), "an object");
  TrustDocument document;
  ASSIGN_OR_RETURN(document.version, place.Integer("version", 1));
  ASSIGN_OR_RETURN(const Place roles, place.Object("roles"));
  for (const auto& [name, value] : roles.value->items()) {
    const Place role = roles.At(name, value);
    if (!value.is_object()) return role.Wrong(value.type_name(), "an object");
    ASSIGN_OR_RETURN(document.roles[name], ParseTrustRole(role));
    if (name == "qualification" && role.Has("matrices")) {
      ASSIGN_OR_RETURN(const Place matrices, role.Object("matrices"));
      ASSIGN_OR_RETURN(document.matrices, ParseMatrices(matrices));
    }
  }
  ASSIGN_OR_RETURN(const Place authorities, place.Array("agent_ca"));
  ASSIGN_OR_RETURN(document.agent_ca, tuf::ParseStrings(authorities, kMaxEntries));
  ASSIGN_OR_RETURN(const Place revoked, place.Array("revoked_keyids"));
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, tuf::ParseStrings(revoked, kMaxEntries));
  for (const std::string& id : ids) {
    ASSIGN_OR_RETURN(const Digest digest, ParseDigest(revoked, id));
    document.revoked.insert(digest);
  }
  return document;
}

std::string SerializeTrustDocument(const TrustDocument& document) {
  json roles = json::object();
  for (const auto& [name, role] : document.roles) {
    json keys = json::array();
    for (const TrustKey& key : role.keys) keys.push_back(KeyJson(key));
    roles[name] = {{"keys", std::move(keys)}, {"threshold", role.threshold}};
    if (name != "qualification" || document.matrices.empty()) continue;
    for (const auto& [channel, matrix] : document.matrices)
      roles[name]["matrices"][channel] = {{"sha256", matrix.sha256.ToString()}, {"tests", matrix.tests}};
  }
  json revoked = json::array();
  for (const Digest& id : document.revoked) revoked.push_back(id.ToString());
  const json all = {{"version", document.version},
                    {"roles", std::move(roles)},
                    {"agent_ca", document.agent_ca},
                    {"revoked_keyids", std::move(revoked)}};
  return tuf::CanonicalJson(all);
}

std::vector<PublicKey> TrustDocument::KeysOf(const std::string& role) const {
  std::vector<PublicKey> keys;
  const auto found = roles.find(role);
  if (found == roles.end()) return keys;
  for (const TrustKey& key : found->second.keys) {
    if (revoked.count(key.key.KeyId()) == 0) keys.push_back(key.key);
  }
  return keys;
}

int TrustDocument::ThresholdOf(const std::string& role) const {
  const auto found = roles.find(role);
  return found == roles.end() ? 0 : found->second.threshold;
}

}  // namespace ringfence::trust
