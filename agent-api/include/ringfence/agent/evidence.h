// Why a host believes in a release: all documents that were verified when it was staged, kept with it, so
// that the same question can be asked at every load without a network. Pure: bytes in, values out.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::agent {

inline constexpr size_t kMaxEvidenceBytes = 64 << 20;

struct Evidence {
  std::string path;  // of the target: "content/ipc-detect/ipc.fct"
  std::map<std::string, std::string>
      metadata;                        // by role, as they came: root, timestamp, snapshot, targets, ...
  std::string trust;                   // the bytes of trust.json
  std::vector<std::string> envelopes;  // of qualification

  friend bool operator==(const Evidence&, const Evidence&) = default;
};

// "RFEVID01", then each part with its name, both with their lengths, and the sha256 of all that.
std::string EncodeEvidence(const Evidence& evidence);
// DataLoss for anything that EncodeEvidence did not write: torn, damaged, longer than kMaxEvidenceBytes.
absl::StatusOr<Evidence> DecodeEvidence(absl::string_view bytes);

// Metadata in memory: what an Updater reads kept evidence from, and copies what it trusts to.
class MemoryMetadata final : public tuf::MetadataStore {
 public:
  MemoryMetadata() = default;
  explicit MemoryMetadata(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  absl::StatusOr<std::string> Load(const std::string& role) override;
  absl::Status Save(const std::string& role, absl::string_view bytes) override;
  const std::map<std::string, std::string>& files() const { return files_; }

 private:
  std::map<std::string, std::string> files_;
};

}  // namespace ringfence::agent
