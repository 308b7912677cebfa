#include "ringfence/tuf/documents.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::tuf {
namespace {

using nlohmann::json;

json Frame(const char* type, int64_t version, absl::Time expires) {
  return {{"_type", type}, {"spec_version", "1.0.34"}, {"version", version}, {"expires", TimeText(expires)}};
}

// Signatures are made over the canonical form; the file is laid out for people.
std::string Written(const json& signed_part, json signatures) {
  const json document = {{"signed", signed_part}, {"signatures", std::move(signatures)}};
  return document.dump(1) + "\n";
}

json KeyJson(const trust::PublicKey& key) {
  return {{"keytype", "ed25519"},
          {"scheme", "ed25519"},
          {"keyval", {{"public", absl::BytesToHexString(key.raw())}}}};
}

absl::StatusOr<json> RoleJson(const std::string& name, const RolePlan& role, json* keys) {
  json ids = json::array();
  const std::set<trust::PublicKey> distinct(role.keys.begin(), role.keys.end());
  if (distinct.size() != role.keys.size())
    return absl::InvalidArgumentError(absl::StrCat("role ", name, ": found a key twice, wanted each once"));
  if (role.threshold < 1 || static_cast<size_t>(role.threshold) > role.keys.size())
    return absl::InvalidArgumentError(absl::StrCat("role ", name, ": found threshold ", role.threshold,
                                                   " of ", role.keys.size(),
                                                   " keys, wanted one that they can meet"));
  for (const trust::PublicKey& key : role.keys) {
    const std::string id = key.KeyId().ToString();
    (*keys)[id] = KeyJson(key);
    ids.push_back(id);
  }
  return json{{"keyids", std::move(ids)}, {"threshold", role.threshold}};
}

absl::StatusOr<json> SignedPart(absl::string_view bytes) {
  const absl::StatusOr<json> document = trust::ParseStrictJson(bytes, kMaxTargetsBytes);
  if (!document.ok())
    return absl::InvalidArgumentError(absl::StrCat("document: ", document.status().message()));
  const bool sound =
      document->is_object() && document->contains("signed") && (*document)["signed"].is_object();
  if (!sound) return absl::InvalidArgumentError("document: found no \"signed\", wanted metadata");
  return (*document)["signed"];
}

json InfoOf(absl::string_view bytes, int64_t version) {
  return {{"version", version}, {"length", bytes.size()}, {"hashes", {{"sha256", Sha256(bytes).ToString()}}}};
}

}  // namespace

absl::StatusOr<std::string> MakeRoot(int64_t version, absl::Time expires,
                                     const std::map<std::string, RolePlan>& roles, bool throwaway) {
  json root = Frame(kRoot, version, expires);
  root["consistent_snapshot"] = true;
  root["keys"] = json::object();
  if (throwaway) root[kThrowawayMark] = true;
  for (const char* name : {kRoot, kTimestamp, kSnapshot, kTargets}) {
    const auto role = roles.find(name);
    if (role == roles.end())
      return absl::InvalidArgumentError(absl::StrCat("role ", name, ": found no keys, wanted some"));
    ASSIGN_OR_RETURN(root["roles"][name], RoleJson(name, role->second, &root["keys"]));
  }
  return Written(root, json::array());
}

absl::StatusOr<std::string> MakeTargets(absl::string_view base, int64_t version, absl::Time expires,
                                        const TargetsChange& change) {
  json targets = Frame(kTargets, version, expires);
  targets["targets"] = json::object();
  if (!base.empty()) {
    RETURN_IF_ERROR(ParseTargets(kTargets, base).status());
    ASSIGN_OR_RETURN(targets, SignedPart(base));
    targets["version"] = version;
    targets["expires"] = TimeText(expires);
  }
  if (change.delegations.has_value()) {
    json delegations = {{"keys", json::object()}, {"roles", json::array()}};
    for (const DelegationPlan& plan : *change.delegations) {
      ASSIGN_OR_RETURN(json role, RoleJson(plan.name, plan.role, &delegations["keys"]));
      role["name"] = plan.name;
      role["terminating"] = true;
      role["paths"] = plan.paths;
      delegations["roles"].push_back(std::move(role));
    }
    targets["delegations"] = std::move(delegations);
  }
  for (const ListedTarget& target : change.add) {
    json listed = {{"length", target.length}, {"hashes", {{"sha256", target.sha256.ToString()}}}};
    if (!target.custom.empty()) {
      ASSIGN_OR_RETURN(listed["custom"], trust::ParseStrictJson(target.custom, kMaxTargetsBytes));
    }
    targets["targets"][target.path] = std::move(listed);
  }
  std::string document = Written(targets, json::array());
  RETURN_IF_ERROR(ParseTargets(kTargets, document).status());
  return document;
}

absl::StatusOr<std::string> MakeSnapshot(int64_t version, absl::Time expires,
                                         const std::map<std::string, std::string>& targets) {
  json snapshot = Frame(kSnapshot, version, expires);
  snapshot["meta"] = json::object();
  for (const auto& [role, bytes] : targets) {
    ASSIGN_OR_RETURN(const auto parsed, ParseTargets(role, bytes));
    snapshot["meta"][role + ".json"] = InfoOf(bytes, parsed.body.version);
  }
  return Written(snapshot, json::array());
}

absl::StatusOr<std::string> MakeTimestamp(int64_t version, absl::Time expires, absl::string_view snapshot) {
  ASSIGN_OR_RETURN(const auto parsed, ParseSnapshot(snapshot));
  json timestamp = Frame(kTimestamp, version, expires);
  timestamp["meta"]["snapshot.json"] = InfoOf(snapshot, parsed.body.version);
  return Written(timestamp, json::array());
}

absl::StatusOr<std::string> AddSignature(absl::string_view document, const trust::SigningKey& key) {
  ASSIGN_OR_RETURN(const json signed_part, SignedPart(document));
  ASSIGN_OR_RETURN(json whole, trust::ParseStrictJson(document, kMaxTargetsBytes));
  if (!whole.contains("signatures") || !whole["signatures"].is_array())
    return absl::InvalidArgumentError("document: found no \"signatures\", wanted metadata");
  const std::string id = key.public_key().KeyId().ToString();
  json signatures = json::array();
  for (json& signature : whole["signatures"]) {
    const bool own = signature.is_object() && signature.value("keyid", json()) == id;
    if (!own) signatures.push_back(std::move(signature));
  }
  const trust::Signature bytes = key.Sign(CanonicalJson(signed_part));
  signatures.push_back(
      {{"keyid", id},
       {"sig", absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()})}});
  return Written(signed_part, std::move(signatures));
}

}  // namespace ringfence::tuf
