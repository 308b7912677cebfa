// What an agent kept about releases: whatever is read is what was written, byte for byte; the rest is
// refused. The first byte chooses evidence or memory, and whether the checksum is put right first.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "ringfence/agent/evidence.h"
#include "ringfence/agent/trust_memory.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence;  // NOLINT(google-build-using-namespace): the whole file is about it
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const bool repair = (data[0] & 2) != 0;
  if ((data[0] & 1) == 0) {
    if (repair) absl::StrAppend(&bytes, Sha256(bytes).raw());
    const auto evidence = agent::DecodeEvidence(bytes);
    RF_CHECK(evidence.ok() ? agent::EncodeEvidence(*evidence) == bytes : absl::IsDataLoss(evidence.status()));
  } else {
    if (repair) absl::StrAppend(&bytes, "sha256 ", Sha256(bytes).ToString(), "\n");
    const auto memory = agent::DecodeTrustMemory(bytes);
    RF_CHECK(memory.ok() ? agent::EncodeTrustMemory(*memory) == bytes : absl::IsDataLoss(memory.status()));
  }
  return 0;
}
