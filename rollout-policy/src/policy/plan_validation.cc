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
constexpr size_t kMaxVersionBytes = 128;
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

void CheckRing(const Ring& ring, const std::string& here, Check& check) {
  Validate(ring.selector, here + ".selector", check.faults());
  check.Between(here + ".lag", ring.lag, 0, kMaxLag);
  CheckWaves(ring.waves, here + ".waves", check);
  check.Between(here + ".soak", ring.soak, absl::ZeroDuration(), kMaxWait);
  check.Between(here + ".min_age", ring.min_age, absl::ZeroDuration(), kMaxWait);
  if (ring.hosts_per_minute.has_value()) check.AtLeastOne(here + ".hosts_per_minute", *ring.hosts_per_minute);
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

  const size_t rings = check.Bounded("rings", plan.rings.size(), 1, kMaxRings);
  std::set<absl::string_view> ring_names;
  for (size_t i = 0; i < rings; ++i) {
    const std::string here = absl::StrCat("rings[", i, "]");
    check.UniqueSlug(here + ".name", plan.rings[i].name, ring_names);
    CheckRing(plan.rings[i], here, check);
  }

  CheckGates(plan.gates, check);
  if (plan.urgent_soak_factor.has_value()) {
    check.Between("urgent_soak_factor", plan.urgent_soak_factor->value, 1, Ppm::kWhole);
  }
  check.Between("hold_revert_after", plan.hold_revert_after, absl::Minutes(1), kMaxHoldRevert);
  return faults;
}

}  // namespace ringfence::policy
