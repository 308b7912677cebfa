// Any bytes as metadata. The first byte chooses: a document as it is, of each of the four types; or the
// "signed" part of one, which is then signed by the keys that are trusted, so that the rules behind the
// signatures are reached, with what another update left in between.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/trust/ed25519.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/trusted_set.h"
#include "tests/fuzz/json_mutator.h"

namespace ringfence::tuf {
namespace {

using nlohmann::json;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr char kLater[] = "2030-01-01T00:00:00Z";

const trust::SigningKey& Signer() {
  static const trust::SigningKey key = *trust::SigningKey::FromSeed(std::string(32, 't'));
  return key;
}

std::string Seal(const json& signed_part) {
  const trust::Signature bytes = Signer().Sign(CanonicalJson(signed_part));
  return json{
      {"signed", signed_part},
      {"signatures",
       {{{"keyid", "k"},
         {"sig", absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()})}}}}}
      .dump();
}

json Frame(const char* type) {
  return {{"_type", type}, {"spec_version", "1.0"}, {"version", 1}, {"expires", kLater}};
}

json KeysAndRole(json* role) {
  *role = {{"keyids", {"k"}}, {"threshold", 1}};
  return {{"k",
           {{"keytype", "ed25519"},
            {"scheme", "ed25519"},
            {"keyval", {{"public", absl::BytesToHexString(Signer().public_key().raw())}}}}}};
}

// Trusts a root, a timestamp, a snapshot and targets that delegate everything to "a" and "b".
TrustedSet MakeTrusted(int steps) {
  json role, root = Frame(kRoot);
  root["keys"] = KeysAndRole(&role);
  for (const char* name : {kRoot, kTimestamp, kSnapshot, kTargets}) root["roles"][name] = role;
  absl::StatusOr<TrustedSet> set = TrustedSet::FromRoot(Seal(root), kNow);
  RF_CHECK(set.ok());
  json timestamp = Frame(kTimestamp), snapshot = Frame(kSnapshot), targets = Frame(kTargets);
  timestamp["meta"]["snapshot.json"]["version"] = 1;
  for (const char* name : {"targets.json", "a.json", "b.json"}) snapshot["meta"][name]["version"] = 1;
  targets["targets"] = json::object();
  targets["delegations"]["keys"] = root["keys"];
  json delegated = role;
  delegated["name"] = "a";
  delegated["paths"] = {"*"};
  targets["delegations"]["roles"].push_back(delegated);
  if (steps > 0) RF_CHECK(set->UpdateTimestamp(Seal(timestamp)).ok());
  if (steps > 1) RF_CHECK(set->UpdateSnapshot(Seal(snapshot)).ok());
  if (steps > 2) RF_CHECK(set->UpdateTargets(kTargets, kRoot, Seal(targets)).ok());
  return *std::move(set);
}

// Made once: most of the time would go into its signatures.
TrustedSet Trusted(int steps) {
  static const std::vector<TrustedSet> sets = {MakeTrusted(0), MakeTrusted(1), MakeTrusted(2),
                                               MakeTrusted(3)};
  return sets[static_cast<size_t>(steps)];
}

void Check(const absl::Status& status) {
  RF_CHECK(status.ok() || (FaultOf(status).has_value() && RoleOf(status).has_value()));
}

void FuzzDocument(const std::string& bytes) {
  Check(ParseRoot(bytes).status());
  Check(ParseTimestamp(bytes).status());
  Check(ParseSnapshot(bytes).status());
  const auto targets = ParseTargets("a", bytes);
  Check(targets.status());
  if (targets.ok()) {
    // What was signed is JSON again, and its own canonical form.
    const auto again = trust::ParseStrictJson(targets->signed_bytes, bytes.size() * 6 + 1000);
    if (again.ok()) RF_CHECK(CanonicalJson(*again) == targets->signed_bytes);
  }
}

void FuzzSigned(int steps, const std::string& bytes) {
  const auto parsed = trust::ParseStrictJson(bytes, kMaxTargetsBytes);
  if (!parsed.ok()) return;
  const std::string sealed = Seal(*parsed);
  TrustedSet set = Trusted(steps);
  switch (steps) {
    case 0: {
      const int64_t before = set.root().version;
      const absl::Status updated = set.UpdateRoot(sealed);
      Check(updated);
      RF_CHECK(set.root().version == before + (updated.ok() ? 1 : 0));
      Check(set.UpdateTimestamp(sealed).status());
      return;
    }
    case 1: {
      const auto updated = set.UpdateTimestamp(sealed);
      Check(updated.status());
      RF_CHECK(set.timestamp()->version >= 1 && set.timestamp()->snapshot.version >= 1);
      if (updated.ok()) RF_CHECK(kNow < set.timestamp()->expires);
      Check(set.UpdateSnapshot(sealed));
      return;
    }
    case 2: {
      Check(set.UpdateSnapshot(sealed));
      RF_CHECK(set.Listed("a") != nullptr && set.Listed("a")->version >= 1);  // nothing vanishes
      Check(set.UpdateTargets(kTargets, kRoot, sealed));
      return;
    }
    default: {
      const absl::Status updated = set.UpdateTargets("a", kTargets, sealed);
      Check(updated);
      RF_CHECK((set.targets("a", kTargets) != nullptr) == updated.ok());
      Check(set.UpdateTargets("b", "a", sealed));
      if (!updated.ok()) return;
      const Targets& targets = *set.targets("a", kTargets);
      for (const auto& [path, target] : targets.targets) {
        for (const Delegation& delegation : targets.delegations) Covers(delegation, path);
        if (targets.succinct.has_value())
          RF_CHECK(IsRoleOf(*targets.succinct, RoleFor(*targets.succinct, path)));
        RF_CHECK(Quote(path).find('/') == std::string::npos);
      }
      return;
    }
  }
}

}  // namespace
}  // namespace ringfence::tuf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const int choice = data[0] % 5;
  if (choice == 4) {
    ringfence::tuf::FuzzDocument(bytes);
  } else {
    ringfence::tuf::FuzzSigned(choice, bytes);
  }
  return 0;
}

#ifdef RINGFENCE_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  return ringfence::fuzz::MutateChoiceAndJson(data, size, max_size, seed);
}
#endif
