// Validate(Plan): every fault at once. Total: whatever the value, it returns. Beyond a bound on length only
// the bounded part is looked at, so that a monstrous plan gives a readable answer.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/plan.h"
#include "text.h"

namespace ringfence::policy {
namespace {

constexpr absl::Duration kMaxWait = absl::Hours(24 * 365);
constexpr absl::Duration kMaxWindow = absl::Hours(24 * 30);
constexpr absl::Duration kMaxHoldRevert = absl::Hours(24 * 7);
constexpr int kMinMissed = 2;
constexpr int kMaxMissed = 100;
constexpr size_t kMaxReasonBytes = 256;
constexpr size_t kMaxOwnerBytes = 128;
constexpr int kMinutesOfDay = 24 * 60;
constexpr char kNobodyAsked[] = "none where nobody is asked (approval: explicit)";
constexpr char kSlug[] = "1 to 63 of a-z, 0-9 and -";

// Collects faults under a path.
class Check {
 public:
  explicit Check(std::vector<Fault>& faults) : faults_(faults) {}

  void Add(std::string path, std::string found, std::string wanted) {
    faults_.push_back({std::move(path), std::move(found), std::move(wanted)});
  }

  void Slug(const std::string& path, const std::string& text) {
    if (!IsSlug(text)) Add(path, Quoted(text), kSlug);
  }

  // A slug that no earlier element of the list has.
  void UniqueSlug(const std::string& path, const std::string& text, std::set<absl::string_view>& seen) {
    Slug(path, text);
    if (!seen.insert(text).second) Add(path, Quoted(text), "a name that is used once");
  }

  void Between(const std::string& path, absl::Duration found, absl::Duration least, absl::Duration most) {
    if (found < least || found > most) {
      Add(path, absl::FormatDuration(found),
          absl::StrCat(absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
    }
  }

  void Between(const std::string& path, int64_t found, int64_t least, int64_t most) {
    if (found < least || found > most) Add(path, absl::StrCat(found), absl::StrCat(least, " to ", most));
  }

  void AtLeastOne(const std::string& path, int64_t found) {
    if (found < 1) Add(path, absl::StrCat(found), "at least 1");
  }

  // How many elements of a list to look at: at most `most`, with a fault if there are more, or fewer than
  // `least`.
  size_t Bounded(const std::string& path, size_t size, size_t least, size_t most) {
    if (size < least || size > most) {
      Add(path, absl::StrCat(size, " elements"), absl::StrCat(least, " to ", most));
    }
    return std::min(size, most);
  }

  // 1 to `most` bytes of plain text.
  void Text(const std::string& path, const std::string& text, size_t most) {
    if (text.empty() || text.size() > most) {
      Add(path, absl::StrCat(text.size(), " bytes"), absl::StrCat("1 to ", most, " bytes"));
    } else if (!IsPlainText(text)) {
      Add(path, Quoted(text), "UTF-8 without control characters");
    }
  }

  void Zone(const std::string& path, const std::string& zone) {
    if (!zone.empty() && !IsTimeZone(zone))
      Add(path, Quoted(zone), "UTC or a time zone such as Europe/Berlin");
  }

  // Of the years that a calendar and the database can hold.
  void Year(const std::string& path, absl::Time time) {
    if (time < absl::FromUnixSeconds(0) || time > absl::FromUnixSeconds(253'402'300'799))
      Add(path, absl::FormatTime(time, absl::UTCTimeZone()), "a time from 1970 to 9999");
  }

  // Names that each stand in the plan, none twice.
  void Known(const std::string& path, const std::vector<std::string>& names,
             const std::set<absl::string_view>& known, size_t most, const char* what) {
    const size_t count = Bounded(path, names.size(), 0, most);
    std::set<absl::string_view> seen;
    for (size_t i = 0; i < count; ++i) {
      const std::string here = absl::StrCat(path, "[", i, "]");
      if (!known.contains(names[i])) Add(here, Quoted(names[i]), what);
      if (!seen.insert(names[i]).second) Add(here, Quoted(names[i]), "a name that stands here once");
    }
  }

  std::vector<Fault>& faults() { return faults_; }

 private:
  std::vector<Fault>& faults_;
};

bool IsKnown(ChannelMode mode) {
  switch (mode) {
    case ChannelMode::kFollow:
    case ChannelMode::kPinned:
    case ChannelMode::kPaused:
      return true;
  }
  return false;
}

bool IsKnown(OnBreach act) {
  switch (act) {
    case OnBreach::kHold:
    case OnBreach::kHalt:
    case OnBreach::kHaltAndRevert:
      return true;
  }
  return false;
}

bool IsKnown(Approval approval) {
  switch (approval) {
    case Approval::kAuto:
    case Approval::kExplicit:
      return true;
  }
  return false;
}

bool IsKnown(UnqualifiedPlatform platform) {
  switch (platform) {
    case UnqualifiedPlatform::kRefuse:
    case UnqualifiedPlatform::kFirstRingOnly:
      return true;
  }
  return false;
}

bool IsKnown(UncoveredCohorts what) {
  switch (what) {
    case UncoveredCohorts::kWarn:
    case UncoveredCohorts::kHold:
      return true;
  }
  return false;
}

bool IsKnown(UrgentMode mode) {
  switch (mode) {
    case UrgentMode::kNotify:
    case UrgentMode::kAllow:
      return true;
  }
  return false;
}

void CheckApprovers(const std::vector<std::string>& approvers, const std::string& here, Check& check) {
  const size_t count = check.Bounded(here + ".approvers", approvers.size(), 0, kMaxApprovers);
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < count; ++i) {
    const std::string path = absl::StrCat(here, ".approvers[", i, "]");
    check.Text(path, approvers[i], kMaxOwnerBytes);
    if (!seen.insert(approvers[i]).second)
      check.Add(path, Quoted(approvers[i]), "a person that stands here once");
  }
}

void CheckRange(const ChannelRule& rule, const std::string& here, Check& check) {
  if (rule.mode != ChannelMode::kFollow) {
    if (!rule.from_version.empty())
      check.Add(here + ".from", Quoted(rule.from_version), "none unless the mode is follow");
    if (!rule.below_version.empty())
      check.Add(here + ".below", Quoted(rule.below_version), "none unless the mode is follow");
  } else {
    if (!rule.from_version.empty()) check.Text(here + ".from", rule.from_version, kMaxVersionBytes);
    if (!rule.below_version.empty()) check.Text(here + ".below", rule.below_version, kMaxVersionBytes);
    if (!rule.from_version.empty() && !rule.below_version.empty() &&
        CompareVersions(rule.from_version, rule.below_version) >= 0) {
      check.Add(here + ".below", Quoted(rule.below_version),
                absl::StrCat("a version above ", Quoted(rule.from_version)));
    }
  }
  const size_t barriers = check.Bounded(here + ".barriers", rule.barriers.size(), 0, kMaxBarriers);
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < barriers; ++i) {
    const std::string path = absl::StrCat(here, ".barriers[", i, "]");
    check.Text(path, rule.barriers[i], kMaxVersionBytes);
    if (!seen.insert(rule.barriers[i]).second)
      check.Add(path, Quoted(rule.barriers[i]), "a version that stands here once");
  }
}

void CheckRule(const ChannelRule& rule, const std::string& here, Check& check) {
  if (!IsKnown(rule.mode)) {
    check.Add(here + ".mode", absl::StrCat(static_cast<int>(rule.mode)), "follow, pinned or paused");
  }
  check.Between(here + ".lag", rule.lag, 0, kMaxLag);
  const std::string path = here + ".pinned_version";
  if (rule.mode != ChannelMode::kPinned) {
    if (!rule.pinned_version.empty())
      check.Add(path, Quoted(rule.pinned_version), "none unless the mode is pinned");
  } else if (rule.pinned_version.empty() || rule.pinned_version.size() > kMaxVersionBytes) {
    check.Add(path, absl::StrCat(rule.pinned_version.size(), " bytes"),
              absl::StrCat("1 to ", kMaxVersionBytes, " bytes"));
  } else if (!IsPlainText(rule.pinned_version)) {
    check.Add(path, Quoted(rule.pinned_version), "UTF-8 without control characters");
  }
  CheckRange(rule, here, check);
  if (!IsKnown(rule.approval))
    check.Add(here + ".approval", absl::StrCat(static_cast<int>(rule.approval)), "auto or explicit");
  check.Between(here + ".min_age", rule.min_age, absl::ZeroDuration(), kMaxWait);
  CheckApprovers(rule.approvers, here, check);
  if (!rule.approvers.empty() && rule.approval != Approval::kExplicit)
    check.Add(here + ".approvers", absl::StrCat(rule.approvers.size(), " persons"), kNobodyAsked);
}

void CheckWaves(const std::vector<Wave>& waves, const std::string& path, Check& check) {
  const size_t count = check.Bounded(path, waves.size(), 1, kMaxWaves);
  std::optional<int64_t> share_before;
  bool capped_before = false;
  int64_t cap_before = 0;
  for (size_t i = 0; i < count; ++i) {
    const Wave& wave = waves[i];
    const std::string here = absl::StrCat(path, "[", i, "]");
    const int64_t share = wave.share.value;
    if (share < 1 || share > Ppm::kWhole) {
      check.Add(here + ".share", absl::StrCat(share, " ppm"),
                "above 0 and at most 1000000 ppm (the whole ring)");
    } else if (share_before.has_value() && share <= *share_before) {
      check.Add(here + ".share", absl::StrCat(share, " ppm"),
                absl::StrCat("more than the wave before, ", *share_before, " ppm"));
    } else if (i + 1 == waves.size() && share != Ppm::kWhole) {
      check.Add(here + ".share", absl::StrCat(share, " ppm"), "1000000 ppm in the last wave: the whole ring");
    }
    share_before = share;
    if (wave.max_hosts.has_value()) {
      check.AtLeastOne(here + ".max_hosts", *wave.max_hosts);
      if (capped_before && *wave.max_hosts < cap_before) {
        check.Add(here + ".max_hosts", absl::StrCat(*wave.max_hosts),
                  absl::StrCat("at least that of an earlier wave, ", cap_before));
      }
      capped_before = true;
      cap_before = std::max(cap_before, *wave.max_hosts);
    }
  }
}

void CheckWindows(const std::vector<Window>& windows, const std::string& path, Check& check) {
  const size_t count = check.Bounded(path, windows.size(), 0, kMaxWindows);
  for (size_t i = 0; i < count; ++i) {
    const Window& window = windows[i];
    const std::string here = absl::StrCat(path, "[", i, "]");
    std::set<Weekday> days;
    const size_t named = check.Bounded(here + ".days", window.days.size(), 0, 7);
    for (size_t d = 0; d < named; ++d) {
      const auto number = static_cast<int>(window.days[d]);
      const std::string at = absl::StrCat(here, ".days[", d, "]");
      if (number < 1 || number > 7)
        check.Add(at, absl::StrCat(number), "mon, tue, wed, thu, fri, sat or sun");
      if (!days.insert(window.days[d]).second)
        check.Add(at, Name(window.days[d]), "a day that stands here once");
    }
    const bool times =
        window.from >= 0 && window.from < kMinutesOfDay && window.to >= 1 && window.to <= kMinutesOfDay;
    if (window.from < 0 || window.from >= kMinutesOfDay)
      check.Add(here + ".from", absl::StrCat(window.from, " minutes"), "a time of day, 00:00 to 23:59");
    if (window.to < 1 || window.to > kMinutesOfDay)
      check.Add(here + ".to", absl::StrCat(window.to, " minutes"), "a time of day, 00:01 to 24:00");
    const int length =
        window.to > window.from ? window.to - window.from : window.to + kMinutesOfDay - window.from;
    if (times && length < kMinWindowMinutes) {
      check.Add(here + ".to", absl::StrCat("a window of ", length, " minutes"),
                absl::StrCat("at least ", kMinWindowMinutes, " minutes"));
    }
    check.Zone(here + ".zone", window.zone);
  }
}

void CheckRingRules(const Ring& ring, const std::string& here, const std::set<absl::string_view>& channels,
                    Check& check) {
  const size_t count = check.Bounded(here + ".channels", ring.channels.size(), 0, kMaxChannels);
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < count; ++i) {
    const RingRule& rule = ring.channels[i];
    const std::string at = absl::StrCat(here, ".channels[", i, "]");
    if (!channels.contains(rule.channel))
      check.Add(at + ".channel", Quoted(rule.channel), "a channel that the plan has a rule for");
    if (!seen.insert(rule.channel).second)
      check.Add(at + ".channel", Quoted(rule.channel), "a name that is used once");
    if (rule.lag.has_value()) check.Between(at + ".lag", *rule.lag, 0, kMaxLag);
    if (rule.min_age.has_value())
      check.Between(at + ".min_age", *rule.min_age, absl::ZeroDuration(), kMaxWait);
    if (rule.approval.has_value() && !IsKnown(*rule.approval)) {
      check.Add(at + ".approval", absl::StrCat(static_cast<int>(*rule.approval)), "auto or explicit");
    }
    CheckWindows(rule.windows, at + ".windows", check);
  }
}

// Of the ring, and of the channels that ask in every ring.
bool Asks(const Plan& plan, const Ring& ring) {
  const auto says = [](const auto& rule) { return rule.approval == Approval::kExplicit; };
  return ring.approval == Approval::kExplicit || ring.hasten_to.has_value() ||
         std::any_of(ring.channels.begin(), ring.channels.end(), says) ||
         std::any_of(plan.channels.begin(), plan.channels.end(), says);
}

void CheckRing(const Plan& plan, const Ring& ring, const std::string& here,
               const std::set<absl::string_view>& channels, Check& check) {
  Validate(ring.selector, here + ".selector", check.faults());
  check.Between(here + ".lag", ring.lag, 0, kMaxLag);
  CheckWaves(ring.waves, here + ".waves", check);
  check.Between(here + ".soak", ring.soak, absl::ZeroDuration(), kMaxWait);
  check.Between(here + ".min_age", ring.min_age, absl::ZeroDuration(), kMaxWait);
  if (ring.hosts_per_minute.has_value()) check.AtLeastOne(here + ".hosts_per_minute", *ring.hosts_per_minute);
  CheckWindows(ring.windows, here + ".windows", check);
  if (!IsKnown(ring.approval)) {
    check.Add(here + ".approval", absl::StrCat(static_cast<int>(ring.approval)), "auto or explicit");
  }
  if (ring.hasten_to.has_value())
    check.Between(here + ".hasten_to", *ring.hasten_to, absl::ZeroDuration(), kMaxWait);
  CheckRingRules(ring, here, channels, check);
  CheckApprovers(ring.approvers, here, check);
  if (!ring.approvers.empty() && !Asks(plan, ring))
    check.Add(here + ".approvers", absl::StrCat(ring.approvers.size(), " persons"), kNobodyAsked);
}

// The names that other parts of the plan may speak of.
struct Names {
  std::set<absl::string_view> rings, channels;
};

void CheckScope(const CalendarScope& scope, const std::string& here, const Names& names, Check& check) {
  check.Known(here + ".rings", scope.rings, names.rings, kMaxRings, "the name of one of the plan's rings");
  check.Known(here + ".channels", scope.channels, names.channels, kMaxChannels,
              "a channel that the plan has a rule for");
}

void CheckFreezes(const Plan& plan, const Names& names, Check& check) {
  const size_t count = check.Bounded("freezes", plan.freezes.size(), 0, kMaxFreezes);
  for (size_t i = 0; i < count; ++i) {
    const Freeze& freeze = plan.freezes[i];
    const std::string here = absl::StrCat("freezes[", i, "]");
    check.Year(here + ".from", freeze.from);
    check.Year(here + ".to", freeze.to);
    if (freeze.to <= freeze.from) {
      check.Add(here + ".to", absl::FormatTime(freeze.to, absl::UTCTimeZone()), "a time after from");
    }
    check.Text(here + ".reason", freeze.reason, kMaxReasonBytes);
    check.Text(here + ".owner", freeze.owner, kMaxOwnerBytes);
    CheckScope(freeze.scope, here, names, check);
  }
}

void CheckBlackouts(const Plan& plan, const Names& names, Check& check) {
  const size_t count = check.Bounded("blackouts", plan.blackouts.size(), 0, kMaxBlackouts);
  for (size_t i = 0; i < count; ++i) {
    const Blackout& blackout = plan.blackouts[i];
    const std::string here = absl::StrCat("blackouts[", i, "]");
    if (!IsBlackoutDate(blackout.date))
      check.Add(here + ".date", Quoted(blackout.date), "a day such as 2026-12-24, or 12-24 for every year");
    check.Zone(here + ".zone", blackout.zone);
    check.Text(here + ".reason", blackout.reason, kMaxReasonBytes);
    check.Text(here + ".owner", blackout.owner, kMaxOwnerBytes);
    CheckScope(blackout.scope, here, names, check);
  }
}

void CheckDenied(const Plan& plan, const Names& names, Check& check) {
  const size_t count = check.Bounded("deny", plan.deny.size(), 0, kMaxDenied);
  for (size_t i = 0; i < count; ++i) {
    const Denied& denied = plan.deny[i];
    const std::string here = absl::StrCat("deny[", i, "]");
    if (denied.digest.has_value()) {
      if (!denied.channel.empty() || !denied.version.empty())
        check.Add(here, "sha256 and a channel or version", "either sha256, or channel and version");
    } else {
      if (!names.channels.contains(denied.channel))
        check.Add(here + ".channel", Quoted(denied.channel), "a channel that the plan has a rule for");
      check.Text(here + ".version", denied.version, kMaxVersionBytes);
    }
    check.Text(here + ".reason", denied.reason, kMaxReasonBytes);
    check.Text(here + ".owner", denied.owner, kMaxOwnerBytes);
  }
}

void CheckUrgent(const Plan& plan, const Names& names, Check& check) {
  if (!plan.urgent.has_value()) return;
  const Urgent& urgent = *plan.urgent;
  if (!IsKnown(urgent.mode)) {
    check.Add("urgent.mode", absl::StrCat(static_cast<int>(urgent.mode)), "notify or allow");
  }
  check.Known("urgent.rings", urgent.rings, names.rings, kMaxRings, "the name of one of the plan's rings");
  if (urgent.min_age.has_value())
    check.Between("urgent.min_age", *urgent.min_age, absl::ZeroDuration(), kMaxWait);
  if (urgent.soak.has_value()) check.Between("urgent.soak", *urgent.soak, absl::ZeroDuration(), kMaxWait);
  if (urgent.mode != UrgentMode::kNotify) return;
  const auto only_notified = [&](bool faster, const char* path) {
    if (faster) check.Add(path, "a faster way", "none with urgent.mode notify: nothing moves faster");
  };
  only_notified(!urgent.rings.empty(), "urgent.rings");
  only_notified(urgent.min_age.has_value(), "urgent.min_age");
  only_notified(urgent.soak.has_value(), "urgent.soak");
  only_notified(urgent.outside_windows, "urgent.outside_windows");
  only_notified(plan.urgent_soak_factor.has_value(), "urgent_soak_factor");
}

void CheckGate(const RateGate& gate, const std::string& here, Check& check) {
  check.Between(here + ".max_rate", gate.max_rate.value, 0, Ppm::kWhole);
  check.AtLeastOne(here + ".min_count", gate.min_count);
  check.Between(here + ".window", gate.window, absl::Minutes(1), kMaxWindow);
}

void CheckGate(const SilenceGate& gate, const std::string& here, Check& check) {
  check.Between(here + ".missed_checkins", gate.missed_checkins, kMinMissed, kMaxMissed);
  check.Between(here + ".max_excess", gate.max_excess.value, 0, Ppm::kWhole);
  check.AtLeastOne(here + ".min_count", gate.min_count);
  check.Between(here + ".window", gate.window, absl::Minutes(1), kMaxWindow);
}

void CheckGates(const SloGates& gates, Check& check) {
  if (gates.crash.has_value()) CheckGate(*gates.crash, "gates.crash", check);
  if (gates.silence.has_value()) CheckGate(*gates.silence, "gates.silence", check);
  if (gates.degraded.has_value()) CheckGate(*gates.degraded, "gates.degraded", check);
  const size_t keys = check.Bounded("gates.cohort_keys", gates.cohort_keys.size(), 0, kMaxCohortKeys);
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < keys; ++i) {
    const std::string& key = gates.cohort_keys[i];
    const std::string path = absl::StrCat("gates.cohort_keys[", i, "]");
    if (key.empty() || key.size() > Labels::kMaxKeyBytes) {
      check.Add(path, absl::StrCat(key.size(), " bytes"),
                absl::StrCat("1 to ", Labels::kMaxKeyBytes, " bytes"));
    } else if (!IsPlainText(key)) {
      check.Add(path, Quoted(key), "UTF-8 without control characters");
    }
    if (!seen.insert(key).second) check.Add(path, Quoted(key), "a key that is named once");
  }
  if (!IsKnown(gates.on_breach)) {
    check.Add("gates.on_breach", absl::StrCat(static_cast<int>(gates.on_breach)),
              "hold, halt or halt_and_revert");
  }
}

}  // namespace

std::vector<Fault> Validate(const Plan& plan) {
  std::vector<Fault> faults;
  Check check(faults);
  check.Slug("tenant", plan.tenant);

  const size_t channels = check.Bounded("channels", plan.channels.size(), 1, kMaxChannels);
  std::set<absl::string_view> channel_names;
  for (size_t i = 0; i < channels; ++i) {
    const std::string here = absl::StrCat("channels[", i, "]");
    check.UniqueSlug(here + ".channel", plan.channels[i].channel, channel_names);
    CheckRule(plan.channels[i], here, check);
  }

  check.Zone("zone", plan.zone);
  const size_t rings = check.Bounded("rings", plan.rings.size(), 1, kMaxRings);
  std::set<absl::string_view> ring_names;
  for (size_t i = 0; i < rings; ++i) {
    const std::string here = absl::StrCat("rings[", i, "]");
    check.UniqueSlug(here + ".name", plan.rings[i].name, ring_names);
    CheckRing(plan, plan.rings[i], here, channel_names, check);
  }

  CheckGates(plan.gates, check);
  if (plan.urgent_soak_factor.has_value()) {
    check.Between("urgent_soak_factor", plan.urgent_soak_factor->value, 1, Ppm::kWhole);
  }
  check.Between("hold_revert_after", plan.hold_revert_after, absl::Minutes(1), kMaxHoldRevert);
  const Names names{ring_names, channel_names};
  CheckFreezes(plan, names, check);
  CheckBlackouts(plan, names, check);
  CheckDenied(plan, names, check);
  CheckUrgent(plan, names, check);
  if (!plan.bucket_salt.empty()) check.Text("bucket_salt", plan.bucket_salt, kMaxSaltBytes);
  if (plan.rollback_depth.has_value())
    check.Between("rollback_depth", *plan.rollback_depth, 0, kMaxRollbackDepth);
  if (!IsKnown(plan.unqualified_platform)) {
    check.Add("unqualified_platform", absl::StrCat(static_cast<int>(plan.unqualified_platform)),
              "refuse or first_ring_only");
  }
  if (!IsKnown(plan.uncovered_cohorts)) {
    check.Add("uncovered_cohorts", absl::StrCat(static_cast<int>(plan.uncovered_cohorts)), "warn or hold");
  }
  if (plan.valid_until.has_value()) check.Year("valid_until", *plan.valid_until);
  return faults;
}

}  // namespace ringfence::policy
