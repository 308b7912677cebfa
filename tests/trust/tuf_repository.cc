#include "tests/trust/tuf_repository.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/canonical_json.h"

namespace ringfence::tuf {

using nlohmann::json;

absl::Time TestNow() {
  return absl::FromCivil(absl::CivilSecond(2026, 11, 22, 12, 0, 0), absl::UTCTimeZone());
}

TestRepository::TestRepository() {
  const std::string expires = TimeText(TestNow() + absl::Hours(24 * 30));
  for (const char* role : {kRoot, kTargets, kSnapshot, kTimestamp}) {
    roles_[role].signed_part = {
        {"_type", role}, {"spec_version", "1.0.34"}, {"version", 0}, {"expires", expires}};
  }
  signed_part(kRoot)["consistent_snapshot"] = true;
  signed_part(kRoot)["keys"] = json::object();
  signed_part(kTargets)["targets"] = json::object();
  signed_part(kSnapshot)["meta"] = json::object();
  int number = 90;
  for (const char* role : {kRoot, kTargets, kSnapshot, kTimestamp}) {
    SetKeys(role, {number}, 1, {number});
    ++number;
  }
  Publish({kRoot, kTargets, kSnapshot, kTimestamp});
}

const trust::SigningKey& TestRepository::key(int number) {
  auto found = keys_.find(number);
  if (found == keys_.end()) {
    auto made = trust::SigningKey::FromSeed(Sha256(absl::StrCat("throwaway ", number)).raw());
    found = keys_.emplace(number, *std::move(made)).first;
  }
  return found->second;
}

json TestRepository::KeyJson(int number) {
  return {{"keytype", "ed25519"},
          {"scheme", "ed25519"},
          {"keyval", {{"public", absl::BytesToHexString(key(number).public_key().raw())}}}};
}

void TestRepository::SetKeys(const std::string& role, const std::vector<int>& keys, int threshold,
                             const std::vector<int>& signers) {
  json ids = json::array();
  for (const int number : keys) {
    const std::string id = absl::StrCat("key-", number);
    signed_part(kRoot)["keys"][id] = KeyJson(number);
    ids.push_back(id);
  }
  signed_part(kRoot)["roles"][role] = {{"keyids", ids}, {"threshold", threshold}};
  roles_.at(role).signers = signers;
}

void TestRepository::Delegate(const std::string& delegator, const std::string& role,
                              const std::vector<std::string>& paths, bool terminating) {
  const int number = next_key_++;
  json& delegations = signed_part(delegator)["delegations"];
  delegations["keys"][absl::StrCat("key-", number)] = KeyJson(number);
  delegations["roles"].push_back({{"name", role},
                                  {"keyids", {absl::StrCat("key-", number)}},
                                  {"threshold", 1},
                                  {"terminating", terminating},
                                  {"paths", paths}});
  State& state = roles_[role];
  state.signers.push_back(number);
  if (state.signed_part.is_null()) {
    state.signed_part = signed_part(kTargets);
    state.signed_part.erase("delegations");
    state.signed_part["targets"] = json::object();
    state.signed_part["version"] = 0;
  }
}

void TestRepository::AddTarget(const std::string& role, const std::string& path, const std::string& bytes) {
  const std::string hash = Sha256(bytes).ToString();
  signed_part(role)["targets"][path] = {{"length", bytes.size()}, {"hashes", {{"sha256", hash}}}};
  const size_t slash = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  targets[absl::StrCat(path.substr(0, slash), hash, ".", path.substr(slash))] = bytes;
}

std::string TestRepository::Seal(const json& signed_part, const std::vector<int>& signers) {
  const std::string message = CanonicalJson(signed_part);
  json signatures = json::array();
  for (const int number : signers) {
    const trust::Signature bytes = key(number).Sign(message);
    signatures.push_back(
        {{"keyid", absl::StrCat("key-", number)},
         {"sig", absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()})}});
  }
  return json{{"signed", signed_part}, {"signatures", signatures}}.dump(1);
}

json TestRepository::Info(const std::string& role) {
  const State& state = roles_.at(role);
  json info = {{"version", state.signed_part["version"]}};
  if (list_hashes) {
    info["length"] = state.last.size();
    info["hashes"]["sha256"] = Sha256(state.last).ToString();
  }
  return info;
}

void TestRepository::Publish(const std::vector<std::string>& roles) {
  for (const std::string& role : roles) {
    State& state = roles_.at(role);
    state.signed_part["version"] = state.signed_part["version"].get<int>() + 1;
    if (role == kTimestamp) state.signed_part["meta"]["snapshot.json"] = Info(kSnapshot);
    state.last = Seal(state.signed_part, state.signers);
    const std::string version = state.signed_part["version"].dump();
    metadata[role == kTimestamp ? "timestamp.json" : absl::StrCat(version, ".", Quote(role), ".json")] =
        state.last;
    if (role != kRoot && role != kTimestamp && role != kSnapshot)
      signed_part(kSnapshot)["meta"][role + ".json"] = Info(role);
  }
}

absl::StatusOr<std::string> TestRepository::Metadata(const std::string& name, size_t most) {
  requests.push_back(name);
  const auto found = metadata.find(name);
  if (found == metadata.end()) return absl::NotFoundError("no such file");
  if (found->second.size() > most) return absl::ResourceExhaustedError("more bytes than wanted");
  return found->second;
}

absl::StatusOr<std::string> TestRepository::Target(const std::string& name, size_t most) {
  const auto found = targets.find(name);
  if (found == targets.end()) return absl::NotFoundError("no such file");
  if (found->second.size() > most) return absl::ResourceExhaustedError("more bytes than wanted");
  return found->second;
}

absl::StatusOr<std::string> MemoryStore::Load(const std::string& role) {
  const auto found = files.find(role);
  if (found == files.end()) return absl::NotFoundError("nothing stored");
  return found->second;
}

absl::Status MemoryStore::Save(const std::string& role, absl::string_view bytes) {
  files[role] = std::string(bytes);
  return absl::OkStatus();
}

int64_t MemoryStore::Version(const std::string& role) const {
  const auto found = files.find(role);
  return found == files.end() ? 0 : json::parse(found->second)["signed"]["version"].get<int64_t>();
}

absl::Status TestClient::Refresh(absl::Time now) {
  Updater updater(repository_, store, now);
  return updater.Refresh();
}

absl::StatusOr<std::string> TestClient::Get(const std::string& path, absl::Time now) {
  Updater updater(repository_, store, now);
  ASSIGN_OR_RETURN(const TargetFile target, updater.Find(path));
  return updater.Download(target);
}

std::string TestClient::Stored() const {
  std::vector<std::string> stored;
  for (const auto& [role, bytes] : store.files)
    stored.push_back(absl::StrCat(role, " ", store.Version(role)));
  return absl::StrJoin(stored, ", ");
}

}  // namespace ringfence::tuf
