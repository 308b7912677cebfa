// Plans, releases and scopes.
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/api/decode.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

// What is longer than this is cut off before it is looked at; rollout-policy's limits are far below.
constexpr int kMostElements = 1024;

std::string At(const std::string& path, const char* field) {
  return path.empty() ? std::string(field) : absl::StrCat(path, ".", field);
}

std::string At(const std::string& path, const char* field, int index) {
  return absl::StrCat(At(path, field), "[", index, "]");
}

void CheckText(const std::string& text, const std::string& path, Faults& faults) {
  if (!IsText(text)) faults.Add(path, Shown(text), "UTF-8 without control characters");
}

// An enum's value, which must be one of 1..last; else a fault and `fallback`.
template <typename Enum>
Enum DecodeEnum(int in, int last, Enum fallback, const char* wanted, const std::string& path,
                Faults& faults) {
  if (in >= 1 && in <= last) return static_cast<Enum>(in);
  faults.Add(path, in == 0 ? std::string("nothing") : absl::StrCat(in), wanted);
  return fallback;
}

int DecodeSmallInt(int64_t in, const std::string& path, Faults& faults) {
  if (in >= 0 && in <= std::numeric_limits<int>::max()) return static_cast<int>(in);
  faults.Add(path, absl::StrCat(in), "zero or more");
  return 0;
}

policy::RateGate DecodeRateGate(const v1::RateGate& in, const std::string& path, Faults& faults) {
  return {.max_rate = policy::Ppm(in.max_rate_ppm()),
          .min_count = in.min_count(),
          .window = DecodeDuration(in.has_window(), in.window(), At(path, "window"), faults)};
}

policy::SloGates DecodeGates(const v1::SloGates& in, const std::string& path, Faults& faults) {
  policy::SloGates gates;
  if (in.has_crash()) gates.crash = DecodeRateGate(in.crash(), At(path, "crash"), faults);
  if (in.has_degraded()) gates.degraded = DecodeRateGate(in.degraded(), At(path, "degraded"), faults);
  if (in.has_silence()) {
    const std::string here = At(path, "silence");
    const v1::SilenceGate& silence = in.silence();
    gates.silence = policy::SilenceGate{
        .missed_checkins = DecodeSmallInt(silence.missed_checkins(), At(here, "missed_checkins"), faults),
        .max_excess = policy::Ppm(silence.max_excess_ppm()),
        .min_count = silence.min_count(),
        .window = DecodeDuration(silence.has_window(), silence.window(), At(here, "window"), faults)};
  }
  for (int i = 0; i < in.cohort_keys_size() && i < kMostElements; ++i) {
    CheckText(in.cohort_keys(i), At(path, "cohort_keys", i), faults);
    gates.cohort_keys.push_back(in.cohort_keys(i));
  }
  gates.on_breach =
      DecodeEnum(in.on_breach(), v1::ON_BREACH_HALT_AND_REVERT, policy::OnBreach::kHaltAndRevert,
                 "hold, halt or halt_and_revert", At(path, "on_breach"), faults);
  return gates;
}

// Zero means what the field's comment says; kept as the default.
policy::Approval DecodeApproval(int in, const std::string& path, Faults& faults) {
  if (in == 0) return policy::Approval::kAuto;
  return DecodeEnum(in, v1::APPROVAL_EXPLICIT, policy::Approval::kAuto, "auto or explicit", path, faults);
}

std::vector<std::string> DecodeNames(const google::protobuf::RepeatedPtrField<std::string>& in,
                                     const std::string& path, Faults& faults) {
  std::vector<std::string> names;
  for (int i = 0; i < in.size() && i < kMostElements; ++i) {
    CheckText(in.Get(i), absl::StrCat(path, "[", i, "]"), faults);
    names.push_back(in.Get(i));
  }
  return names;
}

std::vector<policy::Window> DecodeWindows(const google::protobuf::RepeatedPtrField<v1::MaintenanceWindow>& in,
                                          const std::string& path, Faults& faults) {
  std::vector<policy::Window> windows;
  for (int i = 0; i < in.size() && i < kMostElements; ++i) {
    const v1::MaintenanceWindow& window = in.Get(i);
    const std::string here = absl::StrCat(path, "[", i, "]");
    policy::Window& to = windows.emplace_back();
    for (int d = 0; d < window.days_size() && d < 8; ++d) {
      to.days.push_back(DecodeEnum(window.days(d), v1::WEEKDAY_SUN, policy::Weekday::kMonday,
                                   "mon, tue, wed, thu, fri, sat or sun", At(here, "days", d), faults));
    }
    to.from = window.from_minute();
    to.to = window.to_minute();
    CheckText(window.zone(), At(here, "zone"), faults);
    to.zone = window.zone();
  }
  return windows;
}

// InfinitePast when absent, which no plan may have.
absl::Time DecodeTime(bool present, const google::protobuf::Timestamp& in, const std::string& path,
                      Faults& faults) {
  if (!present) {
    faults.Add(path, "nothing", "a time");
    return absl::FromUnixSeconds(0);
  }
  if (in.nanos() < 0 || in.nanos() > 999'999'999 || in.seconds() < 0 || in.seconds() > 253'402'300'799) {
    faults.Add(path, absl::StrCat(in.seconds(), " s, ", in.nanos(), " ns"), "a time from 1970 to 9999");
    return absl::FromUnixSeconds(0);
  }
  return absl::FromUnixSeconds(in.seconds()) + absl::Nanoseconds(in.nanos());
}

void DecodeCalendar(const v1::Plan& in, policy::Plan& plan, Faults& faults) {
  CheckText(in.zone(), "zone", faults);
  plan.zone = in.zone();
  for (int i = 0; i < in.freezes_size() && i < kMostElements; ++i) {
    const v1::Freeze& freeze = in.freezes(i);
    const std::string here = At("", "freezes", i);
    plan.freezes.push_back({DecodeTime(freeze.has_from(), freeze.from(), At(here, "from"), faults),
                            DecodeTime(freeze.has_to(), freeze.to(), At(here, "to"), faults),
                            freeze.reason(),
                            freeze.owner(),
                            {DecodeNames(freeze.rings(), At(here, "rings"), faults),
                             DecodeNames(freeze.channels(), At(here, "channels"), faults)}});
  }
  for (int i = 0; i < in.blackouts_size() && i < kMostElements; ++i) {
    const v1::Blackout& blackout = in.blackouts(i);
    const std::string here = At("", "blackouts", i);
    CheckText(blackout.zone(), At(here, "zone"), faults);
    plan.blackouts.push_back({blackout.date(),
                              blackout.zone(),
                              blackout.reason(),
                              blackout.owner(),
                              {DecodeNames(blackout.rings(), At(here, "rings"), faults),
                               DecodeNames(blackout.channels(), At(here, "channels"), faults)}});
  }
}

std::optional<absl::Duration> DecodeOptional(bool present, const google::protobuf::Duration& in,
                                             const std::string& path, Faults& faults) {
  if (!present) return std::nullopt;
  return DecodeDuration(true, in, path, faults);
}

void DecodeDenied(const v1::Plan& in, policy::Plan& plan, Faults& faults) {
  for (int i = 0; i < in.deny_size() && i < kMostElements; ++i) {
    const v1::DeniedRelease& denied = in.deny(i);
    const std::string here = At("", "deny", i);
    policy::Denied& to = plan.deny.emplace_back();
    if (!denied.digest().empty()) {
      to.digest = Digest{};
      if (const absl::StatusOr<Digest> digest = Digest::FromBytes(denied.digest()); digest.ok()) {
        to.digest = *digest;
      } else {
        faults.Add(At(here, "sha256"), absl::StrCat(denied.digest().size(), " bytes"),
                   "a sha256, 32 raw bytes");
      }
    }
    CheckText(denied.channel(), At(here, "channel"), faults);
    to.channel = denied.channel();
    to.version = denied.version();
    to.reason = denied.reason();
    to.owner = denied.owner();
  }
}

policy::Urgent DecodeUrgent(const v1::Urgent& in, Faults& faults) {
  return {DecodeEnum(in.mode(), v1::URGENT_MODE_ALLOW, policy::UrgentMode::kNotify, "notify or allow",
                     "urgent.mode", faults),
          DecodeNames(in.rings(), "urgent.rings", faults),
          DecodeOptional(in.has_min_age(), in.min_age(), "urgent.min_age", faults),
          DecodeOptional(in.has_soak(), in.soak(), "urgent.soak", faults), in.outside_windows()};
}

policy::Ring DecodeRing(const v1::Ring& in, const std::string& path, Faults& faults) {
  policy::Ring ring;
  ring.name = in.name();
  ring.selector = DecodeSelector(in.selector(), At(path, "selector"), faults);
  ring.lag = DecodeSmallInt(in.lag(), At(path, "lag"), faults);
  for (int i = 0; i < in.waves_size() && i < kMostElements; ++i) {
    policy::Wave wave{.share = policy::Ppm(in.waves(i).share_ppm()), .max_hosts = std::nullopt};
    if (in.waves(i).has_max_hosts()) wave.max_hosts = in.waves(i).max_hosts();
    ring.waves.push_back(wave);
  }
  ring.soak = DecodeDuration(in.has_soak(), in.soak(), At(path, "soak"), faults);
  ring.min_age = DecodeDuration(in.has_min_age(), in.min_age(), At(path, "min_age"), faults);
  if (in.has_hosts_per_minute()) ring.hosts_per_minute = in.hosts_per_minute();
  ring.windows = DecodeWindows(in.windows(), At(path, "windows"), faults);
  ring.approval = DecodeApproval(in.approval(), At(path, "approval"), faults);
  ring.approvers = DecodeNames(in.approvers(), At(path, "approvers"), faults);
  ring.hasten_to = DecodeOptional(in.has_hasten_to(), in.hasten_to(), At(path, "hasten_to"), faults);
  for (int i = 0; i < in.channels_size() && i < kMostElements; ++i) {
    const v1::RingRule& rule = in.channels(i);
    const std::string here = At(path, "channels", i);
    policy::RingRule& to = ring.channels.emplace_back();
    CheckText(rule.channel(), At(here, "channel"), faults);
    to.channel = rule.channel();
    if (rule.has_lag()) to.lag = DecodeSmallInt(rule.lag(), At(here, "lag"), faults);
    to.min_age = DecodeOptional(rule.has_min_age(), rule.min_age(), At(here, "min_age"), faults);
    if (rule.approval() != 0) to.approval = DecodeApproval(rule.approval(), At(here, "approval"), faults);
    to.windows = DecodeWindows(rule.windows(), At(here, "windows"), faults);
  }
  return ring;
}

}  // namespace

policy::Selector DecodeSelector(const v1::Selector& in, const std::string& path, Faults& faults) {
  policy::Selector selector;
  for (int i = 0; i < in.all_of_size() && i < kMostElements; ++i) {
    const std::string here = At(path, "all_of", i);
    policy::Requirement requirement{.key = in.all_of(i).key(), .any_of = {}};
    CheckText(requirement.key, At(here, "key"), faults);
    for (int j = 0; j < in.all_of(i).any_of_size() && j < kMostElements; ++j) {
      CheckText(in.all_of(i).any_of(j), At(here, "any_of", j), faults);
      requirement.any_of.push_back(in.all_of(i).any_of(j));
    }
    selector.all_of.push_back(std::move(requirement));
  }
  if (in.has_bucket()) {
    const v1::HashBucket& bucket = in.bucket();
    selector.bucket = policy::HashBucket{bucket.from(), bucket.to()};
  }
  return selector;
}

policy::Plan DecodePlan(const v1::Plan& in, const std::string& path, Faults& faults) {
  Faults found;
  policy::Plan plan;
  plan.tenant = in.tenant();
  for (int i = 0; i < in.channels_size() && i < kMostElements; ++i) {
    const v1::ChannelRule& rule = in.channels(i);
    const std::string here = At("", "channels", i);
    plan.channels.push_back(
        {.channel = rule.channel(),
         .mode = DecodeEnum(rule.mode(), v1::CHANNEL_MODE_PAUSED, policy::ChannelMode::kFollow,
                            "follow, pinned or paused", At(here, "mode"), found),
         .lag = DecodeSmallInt(rule.lag(), At(here, "lag"), found),
         .pinned_version = rule.pinned_version(),
         .from_version = rule.from_version(),
         .below_version = rule.below_version(),
         .barriers = {},
         .approval = DecodeApproval(rule.approval(), At(here, "approval"), found),
         .min_age = DecodeDuration(rule.has_min_age(), rule.min_age(), At(here, "min_age"), found),
         .approvers = DecodeNames(rule.approvers(), At(here, "approvers"), found)});
    for (int b = 0; b < rule.barriers_size() && b < kMostElements; ++b)
      plan.channels.back().barriers.push_back(rule.barriers(b));
  }
  for (int i = 0; i < in.rings_size() && i < kMostElements; ++i) {
    plan.rings.push_back(DecodeRing(in.rings(i), At("", "rings", i), found));
  }
  if (in.has_gates()) plan.gates = DecodeGates(in.gates(), "gates", found);
  if (in.has_urgent_soak_factor_ppm()) plan.urgent_soak_factor = policy::Ppm(in.urgent_soak_factor_ppm());
  if (in.has_hold_revert_after()) {
    plan.hold_revert_after = DecodeDuration(true, in.hold_revert_after(), "hold_revert_after", found);
  }
  DecodeCalendar(in, plan, found);
  DecodeDenied(in, plan, found);
  if (in.has_urgent()) plan.urgent = DecodeUrgent(in.urgent(), found);
  CheckText(in.bucket_salt(), "bucket_salt", found);
  plan.bucket_salt = in.bucket_salt();
  if (in.has_rollback_depth())
    plan.rollback_depth = DecodeSmallInt(in.rollback_depth(), "rollback_depth", found);
  if (in.unqualified_platform() != v1::UNQUALIFIED_PLATFORM_UNSPECIFIED) {
    plan.unqualified_platform = DecodeEnum(
        in.unqualified_platform(), v1::UNQUALIFIED_PLATFORM_FIRST_RING_ONLY,
        policy::UnqualifiedPlatform::kRefuse, "refuse or first_ring_only", "unqualified_platform", found);
  }
  if (in.uncovered_cohorts() != v1::UNCOVERED_COHORTS_UNSPECIFIED) {
    plan.uncovered_cohorts =
        DecodeEnum(in.uncovered_cohorts(), v1::UNCOVERED_COHORTS_HOLD, policy::UncoveredCohorts::kWarn,
                   "warn or hold", "uncovered_cohorts", found);
  }
  if (in.has_valid_until()) plan.valid_until = DecodeTime(true, in.valid_until(), "valid_until", found);
  found.AddValidation(policy::Validate(plan), "");
  faults.AddValidation(found.list(), path.empty() ? "" : path + ".");
  return plan;
}

policy::Release DecodeManifest(const v1::ReleaseManifest& in, const std::string& path, Faults& faults) {
  Faults found;
  policy::Release release;
  release.channel = in.channel();
  release.kind = DecodeEnum(in.kind(), v1::CHANNEL_KIND_CONTENT, policy::ChannelKind::kContent,
                            "sensor or content", "kind", found);
  release.serial = in.serial();
  release.version = in.version();
  release.targets = DecodeSelector(in.targets(), "targets", found);
  for (int i = 0; i < in.matrix_size() && i < kMostElements; ++i) {
    release.matrix.push_back(DecodeSelector(in.matrix(i), At("", "matrix", i), found));
  }
  absl::StatusOr<Digest> digest = Digest::FromBytes(in.digest());
  if (digest.ok()) {
    release.digest = *digest;
  } else {
    found.Add("digest", absl::StrCat(in.digest().size(), " bytes"), "the sha256 of the bytes, 32 raw bytes");
  }
  release.urgent = in.urgent();
  release.size_bytes = 1;  // the bytes come later; their number is judged at publication
  found.AddValidation(policy::Validate(release), "");
  release.size_bytes = 0;
  faults.AddValidation(found.list(), path.empty() ? "" : path + ".");
  return release;
}

storage::Scope DecodeScope(const v1::Scope& in, const std::string& path, Faults& faults) {
  CheckSlugOrEmpty(in.tenant(), At(path, "tenant"), faults);
  CheckSlugOrEmpty(in.channel(), At(path, "channel"), faults);
  CheckSlugOrEmpty(in.ring(), At(path, "ring"), faults);
  CheckSerialOrZero(in.serial(), At(path, "serial"), faults);
  if (in.serial() != 0 && in.channel().empty())
    faults.Add(At(path, "channel"), "nothing", "the serial's channel");
  if (!in.ring().empty() && (in.tenant().empty() || (in.serial() == 0 && !in.channel().empty()))) {
    faults.Add(At(path, "ring"), Shown(in.ring()),
               "a ring only with its tenant, and of channel and serial both or none");
  }
  return {.tenant = in.tenant(), .channel = in.channel(), .serial = in.serial(), .ring = in.ring()};
}

app::BrakeKind DecodeBrakeKind(v1::BrakeKind in, const std::string& path, Faults& faults) {
  return DecodeEnum(in, v1::BRAKE_KIND_HALT, app::BrakeKind::kPause, "pause, hold or halt", path, faults);
}

app::BypassKind DecodeBypassKind(v1::BypassKind in, const std::string& path, Faults& faults) {
  return DecodeEnum(in, v1::BYPASS_KIND_IGNORE_PLAN, app::BypassKind::kIgnorePlan,
                    "skip_ring, shorten_soak, widen_wave or ignore_plan", path, faults);
}

}  // namespace ringfence::api
