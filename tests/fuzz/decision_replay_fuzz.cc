// Any bytes as a decision's evidence: computed again or refused, nothing else.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringfence/base/check.h"
#include "server/record/decision_replay.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence;  // NOLINT(google-build-using-namespace): the whole file is about it
  const std::string evidence(reinterpret_cast<const char*>(data), size);
  const auto replayed = record::Replay({"hold", "test_r", "server", "", absl::UnixEpoch(), evidence});
  if (replayed.ok()) RF_CHECK(replayed->by.empty() == replayed->compared.empty());
  record::Summarize(evidence, "test_r");
  return 0;
}
