// Any bytes as a key file. A sealed one is not opened: each try is meant to be slow.
#include <cstddef>
#include <cstdint>

#include "ringfence/base/check.h"
#include "ringfence/trust/sealed_key.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence::trust;  // NOLINT(google-build-using-namespace): the whole file is about it
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto file = ReadKeyFile(bytes);
  if (!file.ok()) {
    RF_CHECK(absl::IsInvalidArgument(file.status()) && !OpenKey(bytes, "").ok());
    return 0;
  }
  RF_CHECK(!file->person.empty());
  if (!file->throwaway) return 0;
  const auto key = OpenKey(bytes, "");
  RF_CHECK(!key.ok() || key->public_key() == file->key);
  return 0;
}
