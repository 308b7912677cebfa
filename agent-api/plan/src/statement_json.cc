#include "statement_json.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/utf8.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"

namespace ringfence::plan {

std::string WriteInstant(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

absl::Time ReadInstant(const Json& json) {
  absl::Time time;
  std::string error;
  const std::string text = ReadText(json);
  // The one spelling, so that a time has one meaning.
  if (!absl::ParseTime("%Y-%m-%dT%H:%M:%SZ", text, absl::UTCTimeZone(), &time, &error) ||
      WriteInstant(time) != text) {
    throw MalformedJson{"a time such as 2026-11-22T04:09:00Z is wanted"};
  }
  return time;
}

Digest ReadDigest(const Json& json) {
  const absl::StatusOr<Digest> digest = Digest::Parse(ReadText(json));
  if (!digest.ok()) throw MalformedJson{"a sha256 of 64 lower-case hex digits is wanted"};
  return *digest;
}

Json WriteKeys(const PlanKeys& keys) {
  Json list = Json::array();
  for (const PlanKey& key : keys.keys) {
    Json one = {{"keyid", key.key.KeyId().ToString()},
                {"keytype", "ed25519"},
                {"public", absl::BytesToHexString(key.key.raw())}};
    if (!key.person.empty()) one["person"] = key.person;
    list.push_back(std::move(one));
  }
  return {{"keys", std::move(list)}, {"threshold", keys.threshold}};
}

PlanKeys ReadKeys(const Json& json) {
  constexpr size_t kMaxPersonBytes = 128;
  PlanKeys keys;
  Object object(json);
  for (const Json& item : ReadArray(object["keys"])) {
    Object one(item);
    if (ReadText(one["keytype"]) != "ed25519") throw MalformedJson{"keytype ed25519 is wanted"};
    const absl::StatusOr<trust::PublicKey> key = trust::PublicKey::FromBytes(ReadDigest(one["public"]).raw());
    if (!key.ok()) throw MalformedJson{"public: an Ed25519 key is wanted"};
    if (ReadDigest(one["keyid"]) != key->KeyId()) throw MalformedJson{"keyid: the key's sha256 is wanted"};
    PlanKey read{*key, ""};
    if (const Json* person = one.Optional("person")) read.person = ReadText(*person);
    if (read.person.size() > kMaxPersonBytes) throw MalformedJson{"person: at most 128 bytes are wanted"};
    one.End();
    const bool again = std::any_of(keys.keys.begin(), keys.keys.end(),
                                   [&](const PlanKey& other) { return other.key == read.key; });
    if (again) throw MalformedJson{"each key once is wanted"};
    keys.keys.push_back(std::move(read));
  }
  keys.threshold = ReadInt<int>(object["threshold"]);
  object.End();
  if (keys.keys.empty() || keys.keys.size() > kMaxPlanKeys) {
    throw MalformedJson{absl::StrCat(keys.keys.size(), " keys, 1 to ", kMaxPlanKeys, " are wanted")};
  }
  if (keys.threshold < 1 || static_cast<size_t>(keys.threshold) > keys.keys.size()) {
    throw MalformedJson{
        absl::StrCat("threshold ", keys.threshold, ", 1 to ", keys.keys.size(), " is wanted")};
  }
  return keys;
}

absl::Status ReadStatement(const char* what, absl::string_view payload,
                           const std::function<void(const Json&)>& read) {
  const absl::StatusOr<Json> json = trust::ParseStrictJson(payload, trust::kMaxEnvelopeBytes);
  if (!json.ok()) return absl::InvalidArgumentError(absl::StrCat(what, ": ", json.status().message()));
  try {
    read(*json);
  } catch (const MalformedJson& malformed) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", malformed.what));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.what()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Spell(const char* what, const Json& json) {
  try {
    json.dump();  // throws on text that is not UTF-8
    return tuf::CanonicalJson(json);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace ringfence::plan
