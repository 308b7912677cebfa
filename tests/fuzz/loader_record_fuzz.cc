// The loader's record: whatever is read is what EncodeRecord writes, byte for byte; the rest is refused.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ringfence/base/hash.h"
#include "ringfence/loader/record.h"

#ifdef RINGFENCE_LIBFUZZER
// From libFuzzer: changes data in place and gives its new size.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
#endif

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

#ifdef RINGFENCE_LIBFUZZER
// A body of any length gets the number of digests that fits it, and loses what is left over: the checksum is
// put right above.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  constexpr size_t kCountAt = 20, kFixed = 88, kDigest = 32;
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0 || mutated < kFixed) return mutated;
  const size_t digests = (mutated - kFixed) / kDigest;
  data[kCountAt] = static_cast<uint8_t>(digests);
  data[kCountAt + 1] = data[kCountAt + 2] = data[kCountAt + 3] = 0;
  return kFixed + digests * kDigest;
}
#endif
