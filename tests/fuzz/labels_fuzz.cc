// Labels from any pairs: either refused with a message, or a sorted set within its limits that answers for
// its members.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "byte_reader.h"
#include "ringfence/base/check.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/selector.h"

namespace {

using ringfence::fuzz::ByteReader;
using ringfence::policy::Labels;

void CheckAccepted(const Labels& labels, const std::vector<Labels::Pair>& given) {
  const std::vector<Labels::Pair>& pairs = labels.pairs();
  RF_CHECK(pairs.size() <= Labels::kMaxPairs);
  RF_CHECK(std::is_sorted(pairs.begin(), pairs.end()));
  RF_CHECK(std::adjacent_find(pairs.begin(), pairs.end()) == pairs.end());
  for (const auto& [key, value] : given) {
    RF_CHECK(labels.Has(key, value));
    RF_CHECK(!key.empty() && key.size() <= Labels::kMaxKeyBytes && value.size() <= Labels::kMaxValueBytes);
    RF_CHECK(
        std::none_of(key.begin(), key.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
    RF_CHECK(ringfence::policy::Matches({{{key, {value}}}}, labels));
  }
  RF_CHECK(labels.Hash16().size() == 16);
  // Order and repeats do not matter; taking the set apart and together again changes nothing.
  std::vector<Labels::Pair> again(given.rbegin(), given.rend());
  again.insert(again.end(), given.begin(), given.end());
  const auto same = Labels::Make(again);
  RF_CHECK(same.ok() && *same == labels && same->Hash16() == labels.Hash16());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader in(data, size);
  std::vector<Labels::Pair> given;
  while (!in.empty() && given.size() < 64) {
    std::string key = in.Word();
    given.emplace_back(std::move(key), in.Word());
  }
  const auto labels = Labels::Make(given);
  if (labels.ok()) {
    CheckAccepted(*labels, given);
  } else {
    RF_CHECK(labels.status().code() == absl::StatusCode::kInvalidArgument);
    RF_CHECK(!labels.status().message().empty());
  }
  return 0;
}
