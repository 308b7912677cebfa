#include "ringfence/policy/labels.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "text.h"

namespace ringfence::policy {
namespace {

absl::Status CheckPair(const Labels::Pair& pair) {
  const std::string& key = pair.first;  // not a structured binding: clang 14 cannot capture one
  const std::string& value = pair.second;
  const auto refuse = [&](absl::string_view wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("labels: found ", Quoted(key), "=", Quoted(value), ", wanted ", wanted));
  };
  if (key.empty() || key.size() > Labels::kMaxKeyBytes) {
    return refuse(absl::StrCat("a key of 1 to ", Labels::kMaxKeyBytes, " bytes"));
  }
  if (value.size() > Labels::kMaxValueBytes) {
    return refuse(absl::StrCat("a value of at most ", Labels::kMaxValueBytes, " bytes"));
  }
  if (!IsPlainText(key) || !IsPlainText(value)) return refuse("UTF-8 without control characters");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Labels> Labels::Make(std::vector<Pair> pairs) {
  for (const Pair& pair : pairs) {
    if (absl::Status status = CheckPair(pair); !status.ok()) return status;
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  if (pairs.size() > kMaxPairs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "labels: found ", pairs.size(), " pairs, wanted at most ", kMaxPairs, "; the first too many is ",
        Quoted(pairs[kMaxPairs].first), "=", Quoted(pairs[kMaxPairs].second)));
  }
  Labels labels;
  labels.pairs_ = std::move(pairs);
  return labels;
}

bool Labels::Has(absl::string_view key, absl::string_view value) const {
  for (const Pair& pair : WithKey(key)) {
    if (pair.second == value) return true;
  }
  return false;
}

absl::Span<const Labels::Pair> Labels::WithKey(absl::string_view key) const {
  const auto first = std::lower_bound(pairs_.begin(), pairs_.end(), key,
                                      [](const Pair& pair, absl::string_view k) { return pair.first < k; });
  auto last = first;
  while (last != pairs_.end() && last->first == key) ++last;
  return absl::MakeConstSpan(pairs_).subspan(static_cast<size_t>(first - pairs_.begin()),
                                             static_cast<size_t>(last - first));
}

Labels Labels::WithDerived(std::vector<Pair> derived) const {
  Labels labels;
  labels.pairs_ = std::move(derived);
  for (const Pair& pair : pairs_) {
    if (pair.first.front() != kDerived) labels.pairs_.push_back(pair);
  }
  std::sort(labels.pairs_.begin(), labels.pairs_.end());
  labels.pairs_.erase(std::unique(labels.pairs_.begin(), labels.pairs_.end()), labels.pairs_.end());
  return labels;
}

std::string Labels::Hash16() const {
  HashInput input;
  for (const auto& [key, value] : pairs_) input.String(key).String(value);
  return std::string(Sha256(input.bytes()).raw().substr(0, 16));
}

}  // namespace ringfence::policy
