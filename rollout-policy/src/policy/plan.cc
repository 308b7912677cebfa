#include "ringfence/policy/plan.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

// Did the tenant allow urgent releases to move faster in this ring?
bool Hurries(const Plan& plan, const Ring& ring) {
  if (!plan.urgent.has_value() || plan.urgent->mode != UrgentMode::kAllow) return false;
  const std::vector<std::string>& rings = plan.urgent->rings;
  return rings.empty() || std::find(rings.begin(), rings.end(), ring.name) != rings.end();
}

// Takes the next run of digits, or of letters, off the front; dots and the like between them are dropped.
absl::string_view TakePart(absl::string_view& version) {
  while (!version.empty() && !absl::ascii_isalnum(static_cast<unsigned char>(version.front())))
    version.remove_prefix(1);
  if (version.empty()) return version;
  const bool digits = absl::ascii_isdigit(static_cast<unsigned char>(version.front()));
  size_t size = 0;
  while (size < version.size() && absl::ascii_isalnum(static_cast<unsigned char>(version[size])) &&
         static_cast<bool>(absl::ascii_isdigit(static_cast<unsigned char>(version[size]))) == digits) {
    ++size;
  }
  const absl::string_view part = version.substr(0, size);
  version.remove_prefix(size);
  return part;
}

}  // namespace

int CompareVersions(absl::string_view a, absl::string_view b) {
  while (true) {
    absl::string_view x = TakePart(a), y = TakePart(b);
    if (x.empty() || y.empty()) return static_cast<int>(!x.empty()) - static_cast<int>(!y.empty());
    const bool numbers = absl::ascii_isdigit(static_cast<unsigned char>(x.front())) &&
                         absl::ascii_isdigit(static_cast<unsigned char>(y.front()));
    if (numbers) {  // without leading zeros the longer is the larger, however many digits there are
      x.remove_prefix(std::min(x.find_first_not_of('0'), x.size()));
      y.remove_prefix(std::min(y.find_first_not_of('0'), y.size()));
      if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
    }
    if (const int order = x.compare(y); order != 0) return order;
  }
}

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

const Ring* FindRing(const Plan& plan, absl::string_view name) {
  for (const Ring& ring : plan.rings) {
    if (ring.name == name) return &ring;
  }
  return nullptr;
}

const RingRule* FindRule(const Ring& ring, absl::string_view channel) {
  for (const RingRule& rule : ring.channels) {
    if (rule.channel == channel) return &rule;
  }
  return nullptr;
}

int EffectiveLag(const Ring& ring, const ChannelRule& rule) {
  if (rule.mode == ChannelMode::kPinned) return 0;  // one version for every ring: nothing to lag behind
  const RingRule* own = FindRule(ring, rule.channel);
  return std::max(own != nullptr && own->lag.has_value() ? *own->lag : ring.lag, rule.lag);
}

absl::Duration EffectiveMinAge(const Plan& plan, const Ring& ring, absl::string_view channel, bool urgent,
                               std::optional<absl::Duration> hastened) {
  const RingRule* own = FindRule(ring, channel);
  const ChannelRule* rule = FindRule(plan, channel);
  absl::Duration age = rule == nullptr ? ring.min_age : std::max(ring.min_age, rule->min_age);
  if (own != nullptr && own->min_age.has_value()) age = *own->min_age;
  if (urgent && Hurries(plan, ring) && plan.urgent->min_age.has_value())
    age = std::min(age, *plan.urgent->min_age);
  if (!hastened.has_value() || !ring.hasten_to.has_value()) return age;
  return std::min(age, std::max(*hastened, *ring.hasten_to));
}

Approval EffectiveApproval(const Plan& plan, const Ring& ring, absl::string_view channel) {
  const RingRule* own = FindRule(ring, channel);
  if (own != nullptr && own->approval.has_value()) return *own->approval;
  const ChannelRule* rule = FindRule(plan, channel);
  return rule != nullptr && rule->approval == Approval::kExplicit ? rule->approval : ring.approval;
}

const std::vector<std::string>& ApproversOf(const Plan& plan, const Ring& ring, absl::string_view channel) {
  const ChannelRule* rule = FindRule(plan, channel);
  return ring.approvers.empty() && rule != nullptr ? rule->approvers : ring.approvers;
}

bool MayApprove(const Plan& plan, const Ring& ring, absl::string_view channel, absl::string_view person,
                absl::string_view role) {
  const std::vector<std::string>& approvers = ApproversOf(plan, ring, channel);
  return approvers.empty() ||
         std::any_of(approvers.begin(), approvers.end(), [&](absl::string_view approver) {
           return absl::ConsumePrefix(&approver, "role:") ? approver == role : approver == person;
         });
}

bool HasExpired(const Plan& plan, absl::Time now) {
  return plan.valid_until.has_value() && (now >= *plan.valid_until || now == absl::InfinitePast());
}

Calendar CalendarOf(const Plan& plan, const Ring& ring, absl::string_view channel, bool urgent) {
  const RingRule* own = FindRule(ring, channel);
  Calendar calendar{ring.name, channel, plan.zone, {}, plan.freezes, plan.blackouts};
  if (urgent && Hurries(plan, ring) && plan.urgent->outside_windows) return calendar;
  calendar.windows = own != nullptr && !own->windows.empty() ? own->windows : ring.windows;
  return calendar;
}

bool InRange(const ChannelRule& rule, absl::string_view version) {
  if (!rule.from_version.empty() && CompareVersions(version, rule.from_version) < 0) return false;
  return rule.below_version.empty() || CompareVersions(version, rule.below_version) < 0;
}

const Denied* FindDenied(const Plan& plan, absl::string_view channel, absl::string_view version,
                         const Digest& digest) {
  for (const Denied& denied : plan.deny) {
    const bool meant = denied.digest.has_value() ? *denied.digest == digest
                                                 : denied.channel == channel && denied.version == version;
    if (meant) return &denied;
  }
  return nullptr;
}

bool MayGoBack(const Plan& plan, absl::Span<const uint64_t> serials, uint64_t from, uint64_t to) {
  if (!plan.rollback_depth.has_value()) return true;
  if (std::find(serials.begin(), serials.end(), to) == serials.end()) return false;
  const auto steps = std::count_if(serials.begin(), serials.end(),
                                   [&](uint64_t serial) { return serial >= to && serial < from; });
  return steps <= *plan.rollback_depth;
}

absl::Duration EffectiveSoak(const Plan& plan, const Ring& ring, bool urgent) {
  absl::Duration soak = ring.soak;
  if (urgent && plan.urgent_soak_factor.has_value()) {
    // An illegal factor above the whole would slow down, never hurry; it is not trusted to do so exactly.
    const int64_t parts = std::clamp<int64_t>(plan.urgent_soak_factor->value, 0, Ppm::kWhole);
    soak = soak * parts / Ppm::kWhole;
  }
  if (urgent && Hurries(plan, ring) && plan.urgent->soak.has_value()) {
    soak = std::min(soak, *plan.urgent->soak);
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
