#include "ringfence/policy/pending.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace ringfence::policy {
namespace {

constexpr char kPending[] = "pending.";

// With the values of these keys come true, and of no others.
Labels With(const Labels& labels, const std::vector<Labels::Pair>& pending) {
  std::vector<Labels::Pair> pairs;
  for (const Labels::Pair& pair : labels.pairs()) {
    if (pair.first.front() == '@') continue;  // derived from the host, nothing that a matrix asks for
    const bool replaced = std::any_of(pending.begin(), pending.end(), [&](const Labels::Pair& to_come) {
      return pair.first == to_come.first || pair.first == absl::StrCat(kPending, to_come.first);
    });
    if (!replaced) pairs.push_back(pair);
  }
  pairs.insert(pairs.end(), pending.begin(), pending.end());
  return Labels::Make(std::move(pairs)).value_or(labels);  // no more pairs than before, and shorter keys
}

std::vector<Labels::Pair> PendingOf(const Labels& labels) {
  std::vector<Labels::Pair> pending;
  for (const Labels::Pair& pair : labels.pairs()) {
    const absl::string_view key = absl::StripPrefix(pair.first, kPending);
    if (key.size() < pair.first.size() && !key.empty()) pending.emplace_back(std::string(key), pair.second);
  }
  return pending;
}

std::string ToText(const Labels::Pair& pair) {
  return absl::StrCat(pair.first, "=", pair.second);
}

}  // namespace

Labels OncePending(const Labels& labels) {
  const std::vector<Labels::Pair> pending = PendingOf(labels);
  return pending.empty() ? labels : With(labels, pending);
}

std::string AboutToLeave(const Release& release, const Labels& labels) {
  const std::vector<Labels::Pair> pending = PendingOf(labels);
  if (pending.empty() || !IsCovered(release, labels) || IsCovered(release, With(labels, pending))) return "";
  for (const Labels::Pair& pair : pending) {
    std::vector<Labels::Pair> same_key;
    for (const Labels::Pair& other : pending) {
      if (other.first == pair.first) same_key.push_back(other);
    }
    if (!IsCovered(release, With(labels, same_key))) return ToText(pair);
  }
  return ToText(pending.front());
}

}  // namespace ringfence::policy
