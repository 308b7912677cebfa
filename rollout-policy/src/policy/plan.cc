#include "ringfence/policy/plan.h"

#include <algorithm>
#include <limits>

#include "ringfence/base/check.h"

namespace ringfence::policy {

std::optional<int> RingOf(const Plan& plan, const Labels& labels) {
  for (size_t i = 0; i < plan.rings.size(); ++i) {
    if (Matches(plan.rings[i].selector, labels)) return static_cast<int>(i);
  }
  return std::nullopt;
}

const ChannelRule* FindRule(const Plan& plan, absl::string_view channel) {
  for (const ChannelRule& rule : plan.channels) {
    if (rule.channel == channel) return &rule;
  }
  return nullptr;
}

int EffectiveLag(const Ring& ring, const ChannelRule& rule) {
  if (rule.mode == ChannelMode::kPinned) return 0;  // one version for every ring: nothing to lag behind
  return std::max(ring.lag, rule.lag);
}

absl::Duration EffectiveSoak(const Plan& plan, const Ring& ring, bool urgent) {
  absl::Duration soak = ring.soak;
  if (urgent && plan.urgent_soak_factor.has_value()) {
    // An illegal factor above the whole would slow down, never hurry; it is not trusted to do so exactly.
    const int64_t parts = std::clamp<int64_t>(plan.urgent_soak_factor->value, 0, Ppm::kWhole);
    soak = soak * parts / Ppm::kWhole;
  }
  return std::max(soak, kSoakFloor);
}

int64_t WaveCap(const Ring& ring, int wave, int64_t members) {
  RF_CHECK(wave >= 0 && static_cast<size_t>(wave) < ring.waves.size());
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / Ppm::kWhole - 1;
  const Wave& w = ring.waves[static_cast<size_t>(wave)];
  const Ppm share{std::clamp<int64_t>(w.share.value, 0, Ppm::kWhole)};
  int64_t cap = share.CeilOf(std::clamp<int64_t>(members, 0, kMost));
  if (w.max_hosts.has_value()) cap = std::min(cap, std::max<int64_t>(*w.max_hosts, 0));
  return cap;
}

}  // namespace ringfence::policy
