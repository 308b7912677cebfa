#include "ringfence/agent/evidence.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"

namespace ringfence::agent {
namespace {

constexpr absl::string_view kMagic = "RFEVID01";
constexpr size_t kDigestBytes = 32;
constexpr absl::string_view kPath = "path", kTrust = "trust", kEnvelope = "envelope", kRole = "role:";

void PutSize(std::string* out, size_t size) {
  for (int i = 0; i < 4; ++i) out->push_back(static_cast<char>(size >> (8 * i)));
}

void Put(std::string* out, absl::string_view name, absl::string_view bytes) {
  PutSize(out, name.size());
  absl::StrAppend(out, name);
  PutSize(out, bytes.size());
  absl::StrAppend(out, bytes);
}

// Takes what a length announces off the front; false if less is left.
bool Take(absl::string_view* rest, absl::string_view* taken) {
  if (rest->size() < 4) return false;
  size_t size = 0;
  for (size_t i = 4; i-- > 0;) size = size << 8 | static_cast<unsigned char>((*rest)[i]);
  rest->remove_prefix(4);
  if (rest->size() < size) return false;
  *taken = rest->substr(0, size);
  rest->remove_prefix(size);
  return true;
}

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the kept evidence is damaged: ", what));
}

}  // namespace

std::string EncodeEvidence(const Evidence& evidence) {
  std::string out(kMagic);
  Put(&out, kPath, evidence.path);
  Put(&out, kTrust, evidence.trust);
  for (const auto& [role, bytes] : evidence.metadata) Put(&out, absl::StrCat(kRole, role), bytes);
  for (const std::string& envelope : evidence.envelopes) Put(&out, kEnvelope, envelope);
  absl::StrAppend(&out, Sha256(out).raw());
  return out;
}

absl::StatusOr<Evidence> DecodeEvidence(absl::string_view bytes) {
  if (bytes.size() > kMaxEvidenceBytes) return Damaged("larger than it can be");
  if (bytes.size() < kMagic.size() + kDigestBytes || bytes.substr(0, kMagic.size()) != kMagic)
    return Damaged("too short, or begins with something else");
  const absl::string_view body = bytes.substr(0, bytes.size() - kDigestBytes);
  if (Sha256(body).raw() != bytes.substr(body.size())) return Damaged("the checksum does not fit");
  Evidence evidence;
  absl::string_view rest = body.substr(kMagic.size()), name, part;
  while (!rest.empty()) {
    if (!Take(&rest, &name) || !Take(&rest, &part)) return Damaged("a part is shorter than it says");
    if (name == kPath) {
      evidence.path = std::string(part);
    } else if (name == kTrust) {
      evidence.trust = std::string(part);
    } else if (name == kEnvelope) {
      evidence.envelopes.emplace_back(part);
    } else if (absl::ConsumePrefix(&name, kRole)) {
      evidence.metadata[std::string(name)] = std::string(part);
    } else {
      return Damaged("a part of an unknown name");
    }
  }
  // One spelling for one value: parts out of order, or twice, were not written by us.
  if (EncodeEvidence(evidence) != bytes) return Damaged("parts out of order");
  return evidence;
}

absl::StatusOr<std::string> MemoryMetadata::Load(const std::string& role) {
  const auto found = files_.find(role);
  if (found == files_.end()) return absl::NotFoundError("not kept");
  return found->second;
}

absl::Status MemoryMetadata::Save(const std::string& role, absl::string_view bytes) {
  files_[role] = std::string(bytes);
  return absl::OkStatus();
}

}  // namespace ringfence::agent
