// Plans and releases of the customer acme, drawn at random, for tests that compare two who judge by the same
// plan.
#pragma once

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/policy/bucket.h"
#include "tests/support/customers_only.h"

namespace ringfence::test {

// A plan of two to four rings that uses every word of which a host can judge.
inline policy::Plan RandomPlan(std::mt19937_64& random) {
  const auto pick = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  const auto often = [&](double p) { return std::bernoulli_distribution(p)(random); };
  std::vector<policy::Ring> rings;
  const int count = static_cast<int>(pick(2, 4));
  int from = 0;
  for (int i = 0; i < count; ++i) {
    policy::Ring ring = RingNamed(absl::StrCat("r", i));
    if (often(0.5)) {
      const int to = i + 1 == count ? policy::kBuckets : from + static_cast<int>(pick(1000, 3000));
      ring.selector = policy::Selector{{}, policy::HashBucket{from, std::min(to, policy::kBuckets)}};
      from = std::min(to, policy::kBuckets - 1);
    } else {
      ring.selector = policy::Selector{{{"group", {absl::StrCat("g", i), absl::StrCat("g", i + 1)}}}};
    }
    if (i > 0) ring.lag = static_cast<int>(pick(0, 2));
    if (often(0.4)) ring.min_age = absl::Minutes(pick(5, 300));
    if (often(0.3)) {
      const int at = static_cast<int>(pick(0, 23)) * 60;
      ring.windows = {{{}, at, (at + static_cast<int>(pick(60, 600))) % (24 * 60) + 1, "UTC"}};
    }
    if (often(0.3)) {
      policy::RingRule rule;
      rule.channel = "content";
      if (often(0.5)) rule.lag = static_cast<int>(pick(0, 1));
      if (often(0.5)) rule.min_age = absl::Minutes(pick(0, 120));
      if (often(0.5)) rule.approval = policy::Approval::kExplicit;
      ring.channels = {rule};
    }
    if (often(0.4)) ring.hasten_to = absl::Minutes(pick(0, 60));
    rings.push_back(std::move(ring));
  }
  policy::Plan plan = PlanOf("acme", std::move(rings));
  plan.bucket_salt = absl::StrCat("s", pick(0, 9));
  if (often(0.2)) plan.channels[0].approval = policy::Approval::kExplicit;
  if (often(0.2)) plan.channels[0].min_age = absl::Minutes(pick(5, 200));
  if (often(0.2)) plan.channels[0].from_version = "v2";
  if (often(0.2)) plan.channels[0].barriers = {"v2"};
  if (often(0.2)) {
    plan.channels[0] = policy::ChannelRule{"content", policy::ChannelMode::kPinned, 0, "v2"};
  }
  if (often(0.2)) {
    plan.deny.resize(1);
    plan.deny[0].channel = "content";
    plan.deny[0].version = "v3";
    plan.deny[0].reason = plan.deny[0].owner = "x";
  }
  if (often(0.5)) plan.rollback_depth = static_cast<int>(pick(0, 2));
  if (often(0.3)) plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly;
  if (often(0.3))
    plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {}, absl::Minutes(5), absl::Minutes(5), true};
  return plan;
}

// A fleet whose plans may change within a minute.
inline FleetHarness::Options RandomHistory(uint64_t seed) {
  FleetHarness::Options options = CustomersOnly();
  options.seed = seed;
  options.step = absl::Seconds(30);
  return options;
}

// The plan with a freeze that begins in five minutes.
inline policy::Plan Frozen(policy::Plan plan, absl::Time now) {
  plan.freezes = {{now + absl::Minutes(5), now + absl::Hours(1), "trade", "ann", {}}};
  return plan;
}

// The plan, which ends in an hour.
inline policy::Plan Ending(policy::Plan plan, absl::Time now) {
  plan.valid_until = now + absl::Hours(1);
  return plan;
}

// Published, perhaps urgent, perhaps not tested on every host's platform; nullopt: it was refused.
inline std::optional<policy::Release> PublishRandom(FleetHarness& fleet, std::mt19937_64& random) {
  const auto often = [&](double p) { return std::bernoulli_distribution(p)(random); };
  policy::Release release = fleet.NextRelease();
  if (often(0.3)) release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
  release.urgent = often(0.2);
  auto published = fleet.TryPublish(release);
  return published.ok() ? std::make_optional(*std::move(published)) : std::nullopt;
}

}  // namespace ringfence::test
