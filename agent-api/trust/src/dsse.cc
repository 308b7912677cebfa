#include "ringfence/trust/dsse.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/strict_json.h"

namespace ringfence::trust {
namespace {

using nlohmann::json;

absl::Status Fault(absl::string_view member, absl::string_view found, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat(member, ": found ", found, ", wanted ", wanted));
}

// One alphabet or the other, padding or none; but no blanks, no mixture, no bits that mean nothing. Absl's
// decoders are more generous, so what comes out must give the same text again.
std::optional<std::string> Decode(absl::string_view text) {
  absl::string_view bare = text;
  for (int i = 0; i < 2 && !bare.empty() && bare.back() == '='; ++i) bare.remove_suffix(1);
  if (bare.size() != text.size() && text.size() % 4 != 0) return std::nullopt;
  const bool web_safe = bare.find_first_of("-_") != absl::string_view::npos;
  std::string bytes;
  if (web_safe ? !absl::WebSafeBase64Unescape(bare, &bytes) : !absl::Base64Unescape(bare, &bytes)) {
    return std::nullopt;
  }
  std::string again = web_safe ? absl::WebSafeBase64Escape(bytes) : absl::Base64Escape(bytes);
  while (!again.empty() && again.back() == '=') again.pop_back();
  if (again != bare) return std::nullopt;
  return bytes;
}

absl::StatusOr<std::string> Base64Member(const json& object, const char* name, const std::string& path) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) {
    return Fault(path, found == object.end() ? "nothing" : found->type_name(), "base64 in a string");
  }
  std::optional<std::string> bytes = Decode(found->get_ref<const std::string&>());
  if (!bytes.has_value()) return Fault(path, "something else", "base64, of one of its two alphabets");
  return *std::move(bytes);
}

}  // namespace

std::string PreAuthEncoding(absl::string_view payload_type, absl::string_view payload) {
  return absl::StrCat("DSSEv1 ", payload_type.size(), " ", payload_type, " ", payload.size(), " ", payload);
}

absl::StatusOr<Envelope> ParseEnvelope(absl::string_view text) {
  const absl::StatusOr<json> parsed = ParseStrictJson(text, kMaxEnvelopeBytes);
  if (!parsed.ok())
    return absl::Status(parsed.status().code(), absl::StrCat("envelope: ", parsed.status().message()));
  if (!parsed->is_object()) return Fault("envelope", parsed->type_name(), "an object");
  Envelope envelope;
  const auto type = parsed->find("payloadType");
  if (type == parsed->end() || !type->is_string() || type->get_ref<const std::string&>().empty()) {
    return Fault("payloadType", type == parsed->end() ? "nothing" : type->type_name(),
                 "a string that is not empty");
  }
  envelope.payload_type = type->get<std::string>();
  ASSIGN_OR_RETURN(envelope.payload, Base64Member(*parsed, "payload", "payload"));
  const auto signatures = parsed->find("signatures");
  if (signatures == parsed->end() || !signatures->is_array() || signatures->empty()) {
    return Fault("signatures",
                 signatures == parsed->end() ? "nothing"
                 : signatures->is_array()    ? "none"
                                             : "no list",
                 "a list of at least one");
  }
  if (signatures->size() > kMaxEnvelopeSignatures) {
    return absl::ResourceExhaustedError(
        absl::StrCat("signatures: found ", signatures->size(), ", wanted at most ", kMaxEnvelopeSignatures));
  }
  for (size_t i = 0; i < signatures->size(); ++i) {
    const json& item = (*signatures)[i];
    const std::string path = absl::StrCat("signatures[", i, "]");
    if (!item.is_object()) return Fault(path, item.type_name(), "an object");
    EnvelopeSignature signature;
    if (const auto id = item.find("keyid"); id != item.end() && !id->is_null()) {
      if (!id->is_string()) return Fault(absl::StrCat(path, ".keyid"), id->type_name(), "a string");
      signature.key_id = id->get<std::string>();
    }
    ASSIGN_OR_RETURN(signature.bytes, Base64Member(item, "sig", absl::StrCat(path, ".sig")));
    envelope.signatures.push_back(std::move(signature));
  }
  return envelope;
}

std::string SerializeEnvelope(const Envelope& envelope) {
  json signatures = json::array();
  for (const EnvelopeSignature& signature : envelope.signatures) {
    json one = {{"sig", absl::Base64Escape(signature.bytes)}};
    if (!signature.key_id.empty()) one["keyid"] = signature.key_id;
    signatures.push_back(std::move(one));
  }
  const json all = {{"payload", absl::Base64Escape(envelope.payload)},
                    {"payloadType", envelope.payload_type},
                    {"signatures", std::move(signatures)}};
  return all.dump();
}

void Sign(const SigningKey& key, Envelope* envelope) {
  const Signature signature = key.Sign(PreAuthEncoding(envelope->payload_type, envelope->payload));
  envelope->signatures.push_back(
      {key.public_key().KeyId().ToString(), std::string(signature.begin(), signature.end())});
}

std::set<PublicKey> Signers(const Envelope& envelope, std::span<const PublicKey> trusted) {
  const std::string message = PreAuthEncoding(envelope.payload_type, envelope.payload);
  std::set<PublicKey> signers;
  for (const PublicKey& key : trusted) {
    const bool signed_it =
        signers.count(key) == 0 && std::any_of(envelope.signatures.begin(), envelope.signatures.end(),
                                               [&](const EnvelopeSignature& signature) {
                                                 return Verify(key, message, signature.bytes);
                                               });
    if (signed_it) signers.insert(key);
  }
  return signers;
}

absl::Status VerifyEnvelope(const Envelope& envelope, std::span<const PublicKey> trusted, int threshold) {
  const int signers = static_cast<int>(Signers(envelope, trusted).size());
  if (threshold >= 1 && signers >= threshold) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("signatures: found ", signers,
                                                  signers == 1 ? " trusted key" : " different trusted keys",
                                                  ", wanted ", std::max(threshold, 1)));
}

}  // namespace ringfence::trust
