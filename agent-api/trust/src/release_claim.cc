#include "ringfence/trust/release_claim.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "refusal_text.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::trust {
namespace {

constexpr char kPart[] = "signature";

std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

std::string Json(const ReleaseClaim::Selector& selector) {
  std::string out = "[";
  for (const auto& [key, values] : selector) {
    absl::StrAppend(&out, out.size() > 1 ? "," : "", "{\"any_of\":[");
    for (size_t i = 0; i < values.size(); ++i) absl::StrAppend(&out, i > 0 ? "," : "", Quoted(values[i]));
    absl::StrAppend(&out, "],\"key\":", Quoted(key), "}");
  }
  return out + "]";
}

}  // namespace

std::string SerializeReleaseClaim(const ReleaseClaim& claim) {
  std::string matrix = "[";
  for (const ReleaseClaim::Selector& platform : claim.matrix)
    absl::StrAppend(&matrix, matrix.size() > 1 ? "," : "", Json(platform));
  return absl::StrCat("{\"channel\":", Quoted(claim.channel), ",\"kind\":", Quoted(claim.kind),
                      ",\"matrix\":", matrix, "],\"serial\":", claim.serial, ",\"sha256\":\"",
                      claim.sha256.ToString(), "\",\"size\":", claim.size_bytes,
                      ",\"targets\":", Json(claim.targets), ",\"urgent\":", claim.urgent ? "true" : "false",
                      ",\"version\":", Quoted(claim.version), "}");
}

absl::StatusOr<std::string> SealReleaseClaim(const ReleaseClaim& claim, const SigningKey& key,
                                             absl::string_view add_to) {
  Envelope envelope{kReleasePayloadType, SerializeReleaseClaim(claim), {}};
  if (!add_to.empty()) {
    ASSIGN_OR_RETURN(Envelope known, ParseEnvelope(add_to));
    if (known.payload_type != envelope.payload_type || known.payload != envelope.payload) {
      return absl::FailedPreconditionError(
          "payload: found another manifest or other bytes, wanted what was signed before");
    }
    envelope = std::move(known);
  }
  Sign(key, &envelope);
  return SerializeEnvelope(envelope);
}

std::optional<Refusal> CheckReleaseClaim(absl::string_view envelope_json, const ReleaseClaim& claim,
                                         std::span<const PublicKey> keys, int threshold) {
  const std::string wanted = absl::StrCat(std::max(threshold, 1), " of the ", keys.size(), " release keys");
  if (envelope_json.empty()) return Refusal{RefusalType::kBadSignature, kPart, "", "none: unsigned", wanted};
  const absl::StatusOr<Envelope> envelope = ParseEnvelope(envelope_json);
  if (!envelope.ok()) return RefusalFromText(kPart, envelope.status());
  if (!VerifyEnvelope(*envelope, keys, threshold).ok()) {
    const size_t signers = Signers(*envelope, keys).size();
    return Refusal{RefusalType::kBadSignature, kPart, "signatures",
                   absl::StrCat(signers, signers == 1 ? " trusted key" : " different trusted keys"), wanted};
  }
  if (envelope->payload_type != kReleasePayloadType) {
    return Refusal{RefusalType::kBadSignature, kPart, "payloadType", envelope->payload_type.substr(0, 200),
                   kReleasePayloadType};
  }
  if (envelope->payload != SerializeReleaseClaim(claim)) {
    return Refusal{RefusalType::kBadSignature, kPart, "payload",
                   "a signature over another manifest or other bytes",
                   "one over this manifest and these bytes"};
  }
  return std::nullopt;
}

}  // namespace ringfence::trust
