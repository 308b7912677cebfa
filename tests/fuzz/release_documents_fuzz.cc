// Any bytes as trust.json, and as the terms of a release: what is taken, is given back the same.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringfence/base/check.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/trust/trust_document.h"
#include "ringfence/tuf/fault.h"
#include "tests/fuzz/json_mutator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence::trust;  // NOLINT(google-build-using-namespace): the whole file is about it
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 2 == 0) {
    const auto document = ParseTrustDocument(bytes);
    RF_CHECK(document.ok() || ringfence::tuf::FaultOf(document.status()).has_value());
    if (!document.ok()) return 0;
    const auto again = ParseTrustDocument(SerializeTrustDocument(*document));
    RF_CHECK(again.ok() && *again == *document);
    for (const auto& [name, role] : document->roles)
      RF_CHECK(document->KeysOf(name).size() <= role.keys.size());
    return 0;
  }
  const char* path = "content/c/1/x.fct";
  const auto terms = ParseReleaseTerms(path, bytes);
  RF_CHECK(terms.ok() || ringfence::tuf::FaultOf(terms.status()).has_value());
  if (!terms.ok()) return 0;
  const auto text = SerializeReleaseTerms(path, *terms);
  RF_CHECK(text.ok());
  const auto again = ParseReleaseTerms(path, *text);
  RF_CHECK(again.ok() && *again == *terms);
  CoveringPlatform(terms->platforms, "windows/x86_64/10.0.22631");
  return 0;
}

#ifdef RINGFENCE_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  return ringfence::fuzz::MutateChoiceAndJson(data, size, max_size, seed);
}
#endif
