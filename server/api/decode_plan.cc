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
         .pinned_version = rule.pinned_version()});
  }
  for (int i = 0; i < in.rings_size() && i < kMostElements; ++i) {
    plan.rings.push_back(DecodeRing(in.rings(i), At("", "rings", i), found));
  }
  if (in.has_gates()) plan.gates = DecodeGates(in.gates(), "gates", found);
  if (in.has_urgent_soak_factor_ppm()) plan.urgent_soak_factor = policy::Ppm(in.urgent_soak_factor_ppm());
  if (in.has_hold_revert_after()) {
    plan.hold_revert_after = DecodeDuration(true, in.hold_revert_after(), "hold_revert_after", found);
  }
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
  if (!in.ring().empty() && (in.tenant().empty() || in.serial() == 0)) {
    faults.Add(At(path, "ring"), Shown(in.ring()), "a ring only with tenant, channel and serial");
  }
  return {.tenant = in.tenant(), .channel = in.channel(), .serial = in.serial(), .ring = in.ring()};
}

app::BrakeKind DecodeBrakeKind(v1::BrakeKind in, const std::string& path, Faults& faults) {
  return DecodeEnum(in, v1::BRAKE_KIND_HALT, app::BrakeKind::kPause, "pause, hold or halt", path, faults);
}

}  // namespace ringfence::api
