// A tenant's update plan: which hosts take which releases, in which order, how fast, and what stops them.
// This is the value the rest of the product works on; proto Plan is its wire form, YAML its human form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/calendar.h"
#include "ringfence/policy/fault.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/ppm.h"
#include "ringfence/policy/selector.h"

namespace ringfence::policy {

enum class ChannelKind : uint8_t { kSensor = 1, kContent = 2 };

enum class ChannelMode : uint8_t {
  kFollow = 1,  // the ring order and lag decide
  kPinned = 2,  // only the release with exactly `pinned_version`
  kPaused = 3,  // nothing new
};

enum class Approval : uint8_t {
  kAuto = 1,      // nobody is asked
  kExplicit = 2,  // a release waits until a person of the tenant approves it for the ring
};

// How the tenant treats one channel. A channel that no rule names is never offered (channel_not_in_plan).
struct ChannelRule {
  std::string channel;  // slug
  ChannelMode mode = ChannelMode::kFollow;
  int lag = 0;  // 0 = N, 1 = N-1, 2 = N-2; a ring's lag in this channel is the larger of this and its own
  std::string pinned_version;  // with kPinned only
  // With kFollow: releases outside are as if they were not there. Empty: no bound. Compared by
  // CompareVersions.
  std::string from_version{};   // inclusive
  std::string below_version{};  // exclusive
  // A host takes nothing above one of these before it runs that one or a newer one; a ring, before it passed
  // it. One that was not published stands in nobody's way.
  std::vector<std::string> barriers{};
  // In every ring, but where a ring has a rule of its own for the channel.
  Approval approval = Approval::kAuto;   // kExplicit: also in rings that ask nobody
  absl::Duration min_age{};              // the larger of this and the ring's holds
  std::vector<std::string> approvers{};  // of rings that name none; as Ring::approvers

  friend bool operator==(const ChannelRule&, const ChannelRule&) = default;
};

struct Wave {
  Ppm share;                         // of the ring's members, cumulative over waves; the last is 1'000'000
  std::optional<int64_t> max_hosts;  // a further cap on the hosts exposed in this ring by the end of the wave

  friend bool operator==(const Wave&, const Wave&) = default;
};

// What a ring does differently in one channel. What is not set is as the ring says.
struct RingRule {
  std::string channel;  // slug, once per ring
  std::optional<int> lag;
  std::optional<absl::Duration> min_age;
  std::optional<Approval> approval;
  std::vector<Window> windows;  // empty: the ring's

  friend bool operator==(const RingRule&, const RingRule&) = default;
};

struct Ring {
  std::string name;  // slug, unique in the plan
  Selector selector;
  int lag = 0;  // 0, 1 or 2
  std::vector<Wave> waves;
  absl::Duration soak;     // least healthy time in each wave; lengthened to kSoakFloor if shorter
  absl::Duration min_age;  // least healthy age of a release before it enters; zero is none
  std::optional<int64_t> hosts_per_minute;  // most exposures in any minute in this ring
  std::vector<Window> windows;              // hosts are let in only then; empty: at any time
  Approval approval = Approval::kAuto;
  std::vector<RingRule> channels;
  // Who may approve a release here, where it asks or lets itself be hastened: persons, and "role:NAME".
  // Empty: any admin of the tenant.
  std::vector<std::string> approvers{};
  // An approval may shorten the least age in this ring, down to this; unset: none can.
  std::optional<absl::Duration> hasten_to{};

  friend bool operator==(const Ring&, const Ring&) = default;
};

// At most `max_rate` of exposed hosts with a bad event in the window, judged from `min_count` distinct bad
// hosts on.
struct RateGate {
  Ppm max_rate;
  int64_t min_count = 0;
  absl::Duration window;

  friend bool operator==(const RateGate&, const RateGate&) = default;
};

// At most `max_excess` more hosts silent (this many check-ins missed) than among hosts without the release.
struct SilenceGate {
  int missed_checkins = 0;
  Ppm max_excess;
  int64_t min_count = 0;
  absl::Duration window;

  friend bool operator==(const SilenceGate&, const SilenceGate&) = default;
};

enum class OnBreach : uint8_t { kHold = 1, kHalt = 2, kHaltAndRevert = 3 };

struct SloGates {
  std::optional<RateGate> crash;
  std::optional<SilenceGate> silence;
  std::optional<RateGate> degraded;
  std::vector<std::string> cohort_keys;  // label keys whose every value is judged on its own; at most 16
  OnBreach on_breach = OnBreach::kHaltAndRevert;

  friend bool operator==(const SloGates&, const SloGates&) = default;
};

// What a vendor's mark "urgent" does. Without it, and with kNotify, nothing but what urgent_soak_factor says.
enum class UrgentMode : uint8_t {
  kNotify = 1,  // nothing moves faster
  kAllow = 2,   // the floors below hold instead of the rings', where they are shorter
};

struct Urgent {
  UrgentMode mode = UrgentMode::kNotify;
  std::vector<std::string> rings;  // where the floors hold; empty: in every ring
  std::optional<absl::Duration> min_age;
  std::optional<absl::Duration> soak;
  bool outside_windows = false;  // an urgent release does not wait for a window; freezes and blackouts hold

  friend bool operator==(const Urgent&, const Urgent&) = default;
};

// A release that this tenant never takes: by its bytes, or by channel and version.
struct Denied {
  std::optional<Digest> digest;
  std::string channel, version;  // both, when there is no digest; else empty
  std::string reason;            // 1 to 256 bytes
  std::string owner;             // 1 to 128 bytes

  friend bool operator==(const Denied&, const Denied&) = default;
};

// What becomes of hosts whose platform a release was not tested on.
enum class UnqualifiedPlatform : uint8_t {
  kRefuse = 1,         // they are not offered it
  kFirstRingOnly = 2,  // those of the plan's first ring are
};

// When a ring is about to open whose hosts have values of the plan's cohort_keys that no host proven healthy
// on the release had, in any ring before.
enum class UncoveredCohorts : uint8_t {
  kWarn = 1,  // the decision that opens it names them
  kHold = 2,  // it stays closed until each is proven, or left out, or the plan says otherwise
};

struct Plan {
  std::string tenant;  // slug
  std::vector<ChannelRule> channels;
  std::vector<Ring> rings;  // in order; a host belongs to the first whose selector matches
  SloGates gates;
  std::optional<Ppm> urgent_soak_factor;  // urgent releases soak for this share of `soak`; unset: no faster
  // An undecided hold orders exposed hosts back after this.
  absl::Duration hold_revert_after = absl::Minutes(30);
  std::string zone;  // IANA name of the time zone in which windows and blackouts are meant; empty: UTC
  std::vector<Freeze> freezes;
  std::vector<Blackout> blackouts;
  std::vector<Denied> deny;
  std::optional<Urgent> urgent;
  std::string bucket_salt{};  // of the rings' buckets; at most 64 bytes
  // An order to go back takes a host back over at most so many releases of the channel; 0: never ordered
  // back; unset: however far its last good version is.
  std::optional<int> rollback_depth{};
  UnqualifiedPlatform unqualified_platform = UnqualifiedPlatform::kRefuse;
  UncoveredCohorts uncovered_cohorts = UncoveredCohorts::kWarn;
  // From then on nobody is let in by this plan; what runs stays. Unset: it holds until there is another.
  std::optional<absl::Time> valid_until{};

  friend bool operator==(const Plan&, const Plan&) = default;
};

inline constexpr absl::Duration kSoakFloor = absl::Minutes(5);  // health-analysis.md 10, urgent column
inline constexpr size_t kMaxRings = 32;
inline constexpr size_t kMaxWaves = 16;
inline constexpr size_t kMaxChannels = 32;
inline constexpr size_t kMaxCohortKeys = 16;
inline constexpr int kMaxLag = 2;
inline constexpr size_t kMaxWindows = 32;
inline constexpr size_t kMaxFreezes = 64;
inline constexpr size_t kMaxBlackouts = 400;
inline constexpr size_t kMaxDenied = 256;
inline constexpr size_t kMaxBarriers = 16;
inline constexpr size_t kMaxApprovers = 32;
inline constexpr size_t kMaxSaltBytes = 64;
inline constexpr int kMaxRollbackDepth = 100;
// Two rounds of check-ins fit into the shortest window, so that hosts can ask and be let in.
inline constexpr int kMinWindowMinutes = 15;

// Every fault at once, each with its path; empty when the plan is legal. Total: any value of Plan may be
// passed.
std::vector<Fault> Validate(const Plan& plan);

// Legal but probably not meant: all lag and no ring to lead, one wave of 100 %, no gates, a lag ring before
// its leader, ... One sentence each.
std::vector<std::string> Warnings(const Plan& plan);
// The same and what depends on the day: freezes that are over, windows that keep a ring waiting for weeks.
std::vector<std::string> Warnings(const Plan& plan, absl::Time now);

// The index of the first ring whose selector matches, if any. The one definition of membership, for server
// and agent.
std::optional<int> RingOf(const Plan& plan, const Labels& labels);

// The rule for `channel`, or null.
const ChannelRule* FindRule(const Plan& plan, absl::string_view channel);

// The ring of that name, or null.
const Ring* FindRing(const Plan& plan, absl::string_view name);

// What the ring says of the channel, or null.
const RingRule* FindRule(const Ring& ring, absl::string_view channel);

// The lag of a ring in a channel: the larger of the ring's (its own for the channel, if it has one) and the
// rule's; 0 in a pinned channel.
int EffectiveLag(const Ring& ring, const ChannelRule& rule);

// The least healthy age of a release of `channel` in `ring`, shortened for urgent ones if the tenant allowed
// it, and to what an approval asks for (`hastened`) if the ring lets it.
absl::Duration EffectiveMinAge(const Plan& plan, const Ring& ring, absl::string_view channel, bool urgent,
                               std::optional<absl::Duration> hastened = std::nullopt);

Approval EffectiveApproval(const Plan& plan, const Ring& ring, absl::string_view channel);

// Whose yes counts there; empty: any admin's of the tenant.
const std::vector<std::string>& ApproversOf(const Plan& plan, const Ring& ring, absl::string_view channel);
// Does the ring take this person's yes, or that of somebody with this role ("tenant-admin", "sre", ...)? That
// the person may speak for the tenant at all is for the caller to see to.
bool MayApprove(const Plan& plan, const Ring& ring, absl::string_view channel, absl::string_view person,
                absl::string_view role);

// Is its time over? Where the time is not known it is.
bool HasExpired(const Plan& plan, absl::Time now);

// Points into `plan`. An urgent release may be without windows.
Calendar CalendarOf(const Plan& plan, const Ring& ring, absl::string_view channel, bool urgent);

// By parts: numbers as numbers, anything else as text; a version that another goes on from is the smaller.
// Negative, zero or positive. "7.9" < "7.15" < "7.15.1" = "7.15.01".
int CompareVersions(absl::string_view a, absl::string_view b);
// Within the rule's range?
bool InRange(const ChannelRule& rule, absl::string_view version);
// May an order take a host from serial `from` back to its last good version `to`, where the channel has these
// serials? A version that is none of them is farther than any limit.
bool MayGoBack(const Plan& plan, absl::Span<const uint64_t> serials, uint64_t from, uint64_t to);
// The entry that bars the release, or null.
const Denied* FindDenied(const Plan& plan, absl::string_view channel, absl::string_view version,
                         const Digest& digest);

// Soak of one wave of `ring` for a release: the plan's, shortened for urgent releases if the tenant opted in,
// and never below kSoakFloor.
absl::Duration EffectiveSoak(const Plan& plan, const Ring& ring, bool urgent);

// Most hosts of `members` that may be exposed by the end of wave `wave` (docs/plans.md).
int64_t WaveCap(const Ring& ring, int wave, int64_t members);

}  // namespace ringfence::policy
