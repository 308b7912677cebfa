#include "ringfence/policy/choice.h"

#include <algorithm>

#include "ringfence/base/check.h"

namespace ringfence::policy {
namespace {

// What stands between one release and one ring; kNone: it is a candidate.
struct Standing {
  Reason reason = Reason::kNone;
  absl::Duration until_old_enough = absl::ZeroDuration();  // with kMinAge
};

class Chooser {
 public:
  Chooser(const Plan& plan, const ChannelRule& rule, int ring, bool first_of_internal)
      : plan_(plan),
        rule_(rule),
        ring_(static_cast<size_t>(ring)),
        age_counts_from_publication_(first_of_internal && ring == 0) {}

  int lag() const { return EffectiveLag(plan_.rings[ring_], rule_); }

  bool IsPinnedOut(const ReleaseProgress& release) const {
    return rule_.mode == ChannelMode::kPinned && release.version != rule_.pinned_version;
  }

  // What makes the release as if it were not there, for this tenant; kNone: nothing.
  Reason LeftOut(const ReleaseProgress& release) const {
    if (IsPinnedOut(release)) return Reason::kPinned;
    if (!InRange(rule_, release.version)) return Reason::kVersionRange;
    const auto is_listed = [&](const Digest& digest) {
      return FindDenied(plan_, rule_.channel, release.version, digest) != nullptr;
    };
    const bool listed = is_listed(release.digest) ||
                        std::any_of(release.artifacts.begin(), release.artifacts.end(), is_listed);
    return listed || release.denied ? Reason::kDenied : Reason::kNone;
  }

  // A barrier below the release, and this ring passed neither that nor anything newer.
  bool BarredBy(absl::Span<const ReleaseProgress> releases, const ReleaseProgress& release) const {
    if (rule_.barriers.empty()) return false;
    uint64_t passed = 0;
    for (const ReleaseProgress& other : releases) {
      if (ring_ < other.ring_passed.size() && other.ring_passed[ring_])
        passed = std::max(passed, other.serial);
    }
    return std::any_of(releases.begin(), releases.end(), [&](const ReleaseProgress& other) {
      return other.serial < release.serial && other.serial > passed &&
             std::find(rule_.barriers.begin(), rule_.barriers.end(), other.version) != rule_.barriers.end();
    });
  }

  Standing StandingOf(const ReleaseProgress& release) const {
    if (!release.internal_passed) return {Reason::kInternalNotPassed};
    if (!PassedEarlierRings(release, lag())) return {Reason::kEarlierRingNotPassed};
    const absl::Duration age = AgeOf(release);
    const absl::Duration wanted = AgeWanted(release);
    if (age < wanted) return {Reason::kMinAge, wanted - age};
    return {};
  }

  bool IsTooYoung(const ReleaseProgress& release) const { return AgeOf(release) < AgeWanted(release); }

  // Did it come as far as those that a lag is counted in, whatever became of it since?
  bool CameAhead(const ReleaseProgress& release) const {
    return release.internal_passed && PassedEarlierRings(release, 0) && !IsTooYoung(release);
  }

  // Is it one of the releases that a lag is counted in: proved by every earlier ring that does not lag? A
  // release too young is left out here as well: were it counted, a steady stream of new ones would move the
  // k-th place along before anything grew old enough.
  bool CountsForLag(const ReleaseProgress& release) const {
    return !release.stopped && release.internal_passed && PassedEarlierRings(release, 0) &&
           !IsTooYoung(release);
  }

 private:
  absl::Duration AgeWanted(const ReleaseProgress& release) const {
    return EffectiveMinAge(plan_, plan_.rings[ring_], rule_.channel, release.urgent, release.hastened);
  }

  absl::Duration AgeOf(const ReleaseProgress& release) const {
    return age_counts_from_publication_ ? release.age : release.healthy_age;
  }

  // Every earlier ring whose lag is at most `most_lag`. A ring that the progress does not know has not
  // passed.
  bool PassedEarlierRings(const ReleaseProgress& release, int most_lag) const {
    for (size_t i = 0; i < ring_; ++i) {
      if (EffectiveLag(plan_.rings[i], rule_) > most_lag) continue;
      if (i >= release.ring_passed.size() || !release.ring_passed[i]) return false;
    }
    return true;
  }

  const Plan& plan_;
  const ChannelRule& rule_;
  const size_t ring_;
  const bool age_counts_from_publication_;
};

}  // namespace

Choice ChooseRelease(const Plan& plan, int ring, absl::string_view channel,
                     absl::Span<const ReleaseProgress> releases, bool first_of_internal, absl::Time now) {
  RF_CHECK(ring >= 0 && static_cast<size_t>(ring) < plan.rings.size());
  const ChannelRule* rule = FindRule(plan, channel);
  if (rule == nullptr) return {std::nullopt, Reason::kChannelNotInPlan};
  if (rule->mode == ChannelMode::kPaused) return {std::nullopt, Reason::kChannelPaused};
  if (releases.empty()) return {std::nullopt, Reason::kNoRelease};

  const Chooser chooser(plan, *rule, ring, first_of_internal);
  Choice choice;
  // Without a better answer: nothing that may travel came this far.
  choice.reason = rule->mode == ChannelMode::kPinned ? Reason::kPinned : Reason::kNothingToLag;
  int ahead = 0;  // releases newer than the one looked at that count for the lag
  bool newest = true;
  for (auto release = releases.rbegin(); release != releases.rend(); ++release) {  // newest first
    if (const Reason out = chooser.LeftOut(*release); out != Reason::kNone) {
      if (newest && out != Reason::kPinned) choice.reason = out;
      continue;
    }
    if (release->stopped) {
      if (rule->mode == ChannelMode::kPinned && newest) choice.reason = Reason::kHalted;
      continue;
    }
    Standing standing = chooser.StandingOf(*release);
    if (standing.reason == Reason::kNone && chooser.BarredBy(releases, *release))
      standing = {Reason::kBarrier};
    if (newest) choice.reason = standing.reason == Reason::kNone ? Reason::kNothingToLag : standing.reason;
    newest = false;
    if (standing.reason == Reason::kMinAge) {
      choice.revisit_at = std::min(choice.revisit_at, now + standing.until_old_enough);
    }
    if (standing.reason == Reason::kNone && ahead >= chooser.lag() && !choice.serial.has_value()) {
      choice.serial = release->serial;
    }
    if (chooser.CountsForLag(*release)) ++ahead;
  }
  if (choice.serial.has_value()) choice.reason = Reason::kNone;
  return choice;
}

Reason MayGoOn(const Plan& plan, int ring, absl::string_view channel,
               absl::Span<const ReleaseProgress> releases, uint64_t serial, bool first_of_internal) {
  RF_CHECK(ring >= 0 && static_cast<size_t>(ring) < plan.rings.size());
  const ChannelRule* rule = FindRule(plan, channel);
  if (rule == nullptr) return Reason::kChannelNotInPlan;
  if (rule->mode == ChannelMode::kPaused) return Reason::kChannelPaused;
  const Chooser chooser(plan, *rule, ring, first_of_internal);
  int ahead = 0;
  for (auto release = releases.rbegin(); release != releases.rend(); ++release) {  // newest first
    if (release->serial != serial) {
      if (chooser.LeftOut(*release) == Reason::kNone && chooser.CameAhead(*release)) ++ahead;
      continue;
    }
    if (chooser.IsPinnedOut(*release)) return Reason::kPinned;
    if (chooser.IsTooYoung(*release)) return Reason::kMinAge;
    return ahead < chooser.lag() ? Reason::kNothingToLag : Reason::kNone;
  }
  return Reason::kNoRelease;
}

}  // namespace ringfence::policy
