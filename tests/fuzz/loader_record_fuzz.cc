// The loader's record: whatever is read is what EncodeRecord writes, byte for byte; the rest is refused.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ringfence/base/hash.h"
#include "ringfence/loader/record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  // As it came, and with the checksum put right: otherwise nothing behind it is reached.
  for (const std::string& one : {bytes, bytes + std::string(Sha256(bytes).raw())}) {
    const absl::StatusOr<loader::Record> record = loader::DecodeRecord(one);
    if (record.ok() && loader::EncodeRecord(*record) != one) std::abort();
  }
  return 0;
}
