#include <utility>

#include "ringfence/plan/json_fields.h"

namespace ringfence::plan {
namespace {

constexpr char kFirstRingOnly[] = "first_ring_only";
constexpr char kHold[] = "hold";

Json Write(absl::Duration duration) {
  return absl::FormatDuration(duration);
}

const char* NameOf(policy::Approval approval) {
  switch (approval) {
    case policy::Approval::kAuto:
      return "auto";
    case policy::Approval::kExplicit:
      return "explicit";
  }
  return "";
}

Json Write(const policy::ChannelRule& rule) {
  const char* mode = "";
  switch (rule.mode) {
    case policy::ChannelMode::kFollow:
      mode = "follow";
      break;
    case policy::ChannelMode::kPinned:
      mode = "pinned";
      break;
    case policy::ChannelMode::kPaused:
      mode = "paused";
      break;
  }
  Json json = {
      {"channel", rule.channel}, {"mode", mode}, {"lag", rule.lag}, {"pinned_version", rule.pinned_version}};
  if (!rule.from_version.empty()) json["from_version"] = rule.from_version;
  if (!rule.below_version.empty()) json["below_version"] = rule.below_version;
  if (!rule.barriers.empty()) json["barriers"] = rule.barriers;
  if (rule.approval != policy::Approval::kAuto) json["approval"] = NameOf(rule.approval);
  if (rule.min_age != absl::ZeroDuration()) json["min_age"] = Write(rule.min_age);
  if (!rule.approvers.empty()) json["approvers"] = rule.approvers;
  return json;
}

// What a plan need not have is written only when it is there: what an older program wrote is still read, and
// an older program reads what has nothing new in it.

Json Write(const std::vector<policy::Window>& windows) {
  Json json = Json::array();
  for (const policy::Window& window : windows) {
    Json days = Json::array();
    for (const policy::Weekday day : window.days) days.push_back(static_cast<int>(day));
    json.push_back(
        {{"days", std::move(days)}, {"from", window.from}, {"to", window.to}, {"zone", window.zone}});
  }
  return json;
}

Json Write(const policy::RingRule& rule) {
  Json json = {{"channel", rule.channel}};
  if (rule.lag.has_value()) json["lag"] = *rule.lag;
  if (rule.min_age.has_value()) json["min_age"] = Write(*rule.min_age);
  if (rule.approval.has_value()) json["approval"] = NameOf(*rule.approval);
  if (!rule.windows.empty()) json["windows"] = Write(rule.windows);
  return json;
}

Json WriteTime(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

Json Write(const policy::Freeze& freeze) {
  return {{"from", WriteTime(freeze.from)}, {"to", WriteTime(freeze.to)},
          {"reason", freeze.reason},        {"owner", freeze.owner},
          {"rings", freeze.scope.rings},    {"channels", freeze.scope.channels}};
}

Json Write(const policy::Blackout& blackout) {
  return {{"date", blackout.date},   {"zone", blackout.zone},         {"reason", blackout.reason},
          {"owner", blackout.owner}, {"rings", blackout.scope.rings}, {"channels", blackout.scope.channels}};
}

Json Write(const policy::Denied& denied) {
  Json json = {{"reason", denied.reason}, {"owner", denied.owner}};
  if (denied.digest.has_value()) {
    json["digest"] = denied.digest->ToString();
  } else {
    json["channel"] = denied.channel;
    json["version"] = denied.version;
  }
  return json;
}

Json Write(const policy::Urgent& urgent) {
  Json json = {{"mode", urgent.mode == policy::UrgentMode::kAllow ? "allow" : "notify"},
               {"rings", urgent.rings},
               {"outside_windows", urgent.outside_windows}};
  if (urgent.min_age.has_value()) json["min_age"] = Write(*urgent.min_age);
  if (urgent.soak.has_value()) json["soak"] = Write(*urgent.soak);
  return json;
}

Json Write(const policy::Wave& wave) {
  Json json = {{"share_ppm", wave.share.value}};
  if (wave.max_hosts.has_value()) json["max_hosts"] = *wave.max_hosts;
  return json;
}

Json Write(const policy::Ring& ring) {
  Json json = {{"name", ring.name},        {"selector", WriteSelector(ring.selector)},
               {"lag", ring.lag},          {"waves", Json::array()},
               {"soak", Write(ring.soak)}, {"min_age", Write(ring.min_age)}};
  for (const policy::Wave& wave : ring.waves) json["waves"].push_back(Write(wave));
  if (ring.hosts_per_minute.has_value()) json["hosts_per_minute"] = *ring.hosts_per_minute;
  if (!ring.windows.empty()) json["windows"] = Write(ring.windows);
  if (ring.approval != policy::Approval::kAuto) json["approval"] = NameOf(ring.approval);
  if (!ring.approvers.empty()) json["approvers"] = ring.approvers;
  if (ring.hasten_to.has_value()) json["hasten_to"] = Write(*ring.hasten_to);
  for (const policy::RingRule& rule : ring.channels) json["channels"].push_back(Write(rule));
  return json;
}

Json Write(const policy::RateGate& gate) {
  return {
      {"max_rate_ppm", gate.max_rate.value}, {"min_count", gate.min_count}, {"window", Write(gate.window)}};
}

Json Write(const policy::SilenceGate& gate) {
  return {{"missed_checkins", gate.missed_checkins},
          {"max_excess_ppm", gate.max_excess.value},
          {"min_count", gate.min_count},
          {"window", Write(gate.window)}};
}

const char* NameOf(policy::OnBreach on_breach) {
  switch (on_breach) {
    case policy::OnBreach::kHold:
      return "hold";
    case policy::OnBreach::kHalt:
      return "halt";
    case policy::OnBreach::kHaltAndRevert:
      return "halt_and_revert";
  }
  return "";
}

Json Write(const policy::SloGates& gates) {
  Json json = {{"cohort_keys", gates.cohort_keys}, {"on_breach", NameOf(gates.on_breach)}};
  if (gates.crash.has_value()) json["crash"] = Write(*gates.crash);
  if (gates.silence.has_value()) json["silence"] = Write(*gates.silence);
  if (gates.degraded.has_value()) json["degraded"] = Write(*gates.degraded);
  return json;
}

policy::Approval ReadApproval(const Json& json) {
  const std::string name = ReadText(json);
  for (const auto value : {policy::Approval::kAuto, policy::Approval::kExplicit}) {
    if (name == NameOf(value)) return value;
  }
  throw MalformedJson{"approval is not known"};
}

policy::ChannelRule ReadChannelRule(const Json& json) {
  policy::ChannelRule rule;
  Object object(json);
  rule.channel = ReadText(object["channel"]);
  const std::string mode = ReadText(object["mode"]);
  if (mode == "follow") {
    rule.mode = policy::ChannelMode::kFollow;
  } else if (mode == "pinned") {
    rule.mode = policy::ChannelMode::kPinned;
  } else if (mode == "paused") {
    rule.mode = policy::ChannelMode::kPaused;
  } else {
    throw MalformedJson{"mode is not known"};
  }
  rule.lag = ReadInt<int>(object["lag"]);
  rule.pinned_version = ReadText(object["pinned_version"]);
  if (const Json* from = object.Optional("from_version")) rule.from_version = ReadText(*from);
  if (const Json* below = object.Optional("below_version")) rule.below_version = ReadText(*below);
  if (const Json* barriers = object.Optional("barriers")) rule.barriers = ReadTexts(*barriers);
  if (const Json* approval = object.Optional("approval")) rule.approval = ReadApproval(*approval);
  if (const Json* min_age = object.Optional("min_age")) rule.min_age = ReadDuration(*min_age);
  if (const Json* approvers = object.Optional("approvers")) rule.approvers = ReadTexts(*approvers);
  object.End();
  return rule;
}

std::vector<policy::Window> ReadWindows(const Json& json) {
  std::vector<policy::Window> windows;
  for (const Json& item : ReadArray(json)) {
    Object object(item);
    policy::Window& window = windows.emplace_back();
    for (const Json& day : ReadArray(object["days"])) {
      const int number = ReadInt<int>(day);
      if (number < 1 || number > 7) throw MalformedJson{"day is not known"};
      window.days.push_back(static_cast<policy::Weekday>(number));
    }
    window.from = ReadInt<int>(object["from"]);
    window.to = ReadInt<int>(object["to"]);
    window.zone = ReadText(object["zone"]);
    object.End();
  }
  return windows;
}

policy::RingRule ReadRingRule(const Json& json) {
  policy::RingRule rule;
  Object object(json);
  rule.channel = ReadText(object["channel"]);
  if (const Json* lag = object.Optional("lag")) rule.lag = ReadInt<int>(*lag);
  if (const Json* min_age = object.Optional("min_age")) rule.min_age = ReadDuration(*min_age);
  if (const Json* approval = object.Optional("approval")) rule.approval = ReadApproval(*approval);
  if (const Json* windows = object.Optional("windows")) rule.windows = ReadWindows(*windows);
  object.End();
  return rule;
}

absl::Time ReadTime(const Json& json) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, ReadText(json), &time, &error))
    throw MalformedJson{"a time is wanted"};
  return time;
}

policy::Freeze ReadFreeze(const Json& json) {
  policy::Freeze freeze;
  Object object(json);
  freeze.from = ReadTime(object["from"]);
  freeze.to = ReadTime(object["to"]);
  freeze.reason = ReadText(object["reason"]);
  freeze.owner = ReadText(object["owner"]);
  freeze.scope = {ReadTexts(object["rings"]), ReadTexts(object["channels"])};
  object.End();
  return freeze;
}

policy::Blackout ReadBlackout(const Json& json) {
  policy::Blackout blackout;
  Object object(json);
  blackout.date = ReadText(object["date"]);
  blackout.zone = ReadText(object["zone"]);
  blackout.reason = ReadText(object["reason"]);
  blackout.owner = ReadText(object["owner"]);
  blackout.scope = {ReadTexts(object["rings"]), ReadTexts(object["channels"])};
  object.End();
  return blackout;
}

policy::Denied ReadDenied(const Json& json) {
  policy::Denied denied;
  Object object(json);
  if (const Json* hex = object.Optional("digest")) {
    const absl::StatusOr<Digest> digest = Digest::Parse(ReadText(*hex));
    if (!digest.ok()) throw MalformedJson{std::string(digest.status().message())};
    denied.digest = *digest;
  } else {
    denied.channel = ReadText(object["channel"]);
    denied.version = ReadText(object["version"]);
  }
  denied.reason = ReadText(object["reason"]);
  denied.owner = ReadText(object["owner"]);
  object.End();
  return denied;
}

policy::Urgent ReadUrgent(const Json& json) {
  policy::Urgent urgent;
  Object object(json);
  const std::string mode = ReadText(object["mode"]);
  if (mode != "allow" && mode != "notify") throw MalformedJson{"mode is not known"};
  urgent.mode = mode == "allow" ? policy::UrgentMode::kAllow : policy::UrgentMode::kNotify;
  urgent.rings = ReadTexts(object["rings"]);
  urgent.outside_windows = ReadBool(object["outside_windows"]);
  if (const Json* min_age = object.Optional("min_age")) urgent.min_age = ReadDuration(*min_age);
  if (const Json* soak = object.Optional("soak")) urgent.soak = ReadDuration(*soak);
  object.End();
  return urgent;
}

// The elements of a list that need not be there.
policy::Ring ReadRing(const Json& json) {
  policy::Ring ring;
  Object object(json);
  ring.name = ReadText(object["name"]);
  ring.selector = ReadSelector(object["selector"]);
  ring.lag = ReadInt<int>(object["lag"]);
  for (const Json& item : ReadArray(object["waves"])) {
    Object wave(item);
    policy::Wave& read = ring.waves.emplace_back();
    read.share = policy::Ppm(ReadInt<int64_t>(wave["share_ppm"]));
    if (const Json* max_hosts = wave.Optional("max_hosts")) read.max_hosts = ReadInt<int64_t>(*max_hosts);
    wave.End();
  }
  ring.soak = ReadDuration(object["soak"]);
  ring.min_age = ReadDuration(object["min_age"]);
  if (const Json* per_minute = object.Optional("hosts_per_minute")) {
    ring.hosts_per_minute = ReadInt<int64_t>(*per_minute);
  }
  if (const Json* windows = object.Optional("windows")) ring.windows = ReadWindows(*windows);
  if (const Json* approval = object.Optional("approval")) ring.approval = ReadApproval(*approval);
  if (const Json* approvers = object.Optional("approvers")) ring.approvers = ReadTexts(*approvers);
  if (const Json* hasten_to = object.Optional("hasten_to")) ring.hasten_to = ReadDuration(*hasten_to);
  ring.channels = ReadList(object.Optional("channels"), ReadRingRule);
  object.End();
  return ring;
}

policy::RateGate ReadRateGate(const Json& json) {
  Object object(json);
  policy::RateGate gate;
  gate.max_rate = policy::Ppm(ReadInt<int64_t>(object["max_rate_ppm"]));
  gate.min_count = ReadInt<int64_t>(object["min_count"]);
  gate.window = ReadDuration(object["window"]);
  object.End();
  return gate;
}

policy::SilenceGate ReadSilenceGate(const Json& json) {
  Object object(json);
  policy::SilenceGate gate;
  gate.missed_checkins = ReadInt<int>(object["missed_checkins"]);
  gate.max_excess = policy::Ppm(ReadInt<int64_t>(object["max_excess_ppm"]));
  gate.min_count = ReadInt<int64_t>(object["min_count"]);
  gate.window = ReadDuration(object["window"]);
  object.End();
  return gate;
}

policy::SloGates ReadGates(const Json& json) {
  policy::SloGates gates;
  Object object(json);
  if (const Json* crash = object.Optional("crash")) gates.crash = ReadRateGate(*crash);
  if (const Json* silence = object.Optional("silence")) gates.silence = ReadSilenceGate(*silence);
  if (const Json* degraded = object.Optional("degraded")) gates.degraded = ReadRateGate(*degraded);
  gates.cohort_keys = ReadTexts(object["cohort_keys"]);
  const std::string on_breach = ReadText(object["on_breach"]);
  bool known = false;
  for (const auto value :
       {policy::OnBreach::kHold, policy::OnBreach::kHalt, policy::OnBreach::kHaltAndRevert}) {
    if (on_breach != NameOf(value)) continue;
    gates.on_breach = value;
    known = true;
  }
  if (!known) throw MalformedJson{"on_breach is not known"};
  object.End();
  return gates;
}

}  // namespace

Json WriteSelector(const policy::Selector& selector) {
  Json all_of = Json::array();
  for (const policy::Requirement& requirement : selector.all_of) {
    all_of.push_back({{"key", requirement.key}, {"any_of", requirement.any_of}});
  }
  Json json = {{"all_of", std::move(all_of)}};
  if (selector.bucket.has_value()) {
    json["bucket"] = {{"from", selector.bucket->from}, {"to", selector.bucket->to}};
  }
  return json;
}

policy::Selector ReadSelector(const Json& json) {
  policy::Selector selector;
  Object object(json);
  for (const Json& item : ReadArray(object["all_of"])) {
    Object requirement(item);
    selector.all_of.push_back({ReadText(requirement["key"]), ReadTexts(requirement["any_of"])});
    requirement.End();
  }
  if (const Json* in = object.Optional("bucket")) {
    Object bucket(*in);
    selector.bucket = policy::HashBucket{ReadInt<int>(bucket["from"]), ReadInt<int>(bucket["to"])};
    bucket.End();
  }
  object.End();
  return selector;
}

Json WritePlan(const policy::Plan& plan) {
  Json json = {{"tenant", plan.tenant},
               {"channels", Json::array()},
               {"rings", Json::array()},
               {"gates", Write(plan.gates)},
               {"hold_revert_after", Write(plan.hold_revert_after)}};
  for (const policy::ChannelRule& rule : plan.channels) json["channels"].push_back(Write(rule));
  for (const policy::Ring& ring : plan.rings) json["rings"].push_back(Write(ring));
  if (plan.urgent_soak_factor.has_value()) json["urgent_soak_factor_ppm"] = plan.urgent_soak_factor->value;
  if (!plan.zone.empty()) json["zone"] = plan.zone;
  for (const policy::Freeze& freeze : plan.freezes) json["freezes"].push_back(Write(freeze));
  for (const policy::Blackout& blackout : plan.blackouts) json["blackouts"].push_back(Write(blackout));
  for (const policy::Denied& denied : plan.deny) json["deny"].push_back(Write(denied));
  if (plan.urgent.has_value()) json["urgent"] = Write(*plan.urgent);
  if (!plan.bucket_salt.empty()) json["bucket_salt"] = plan.bucket_salt;
  if (plan.rollback_depth.has_value()) json["rollback_depth"] = *plan.rollback_depth;
  if (plan.unqualified_platform == policy::UnqualifiedPlatform::kFirstRingOnly)
    json["unqualified_platform"] = kFirstRingOnly;
  if (plan.uncovered_cohorts == policy::UncoveredCohorts::kHold) json["uncovered_cohorts"] = kHold;
  if (plan.valid_until.has_value()) json["valid_until"] = WriteTime(*plan.valid_until);
  return json;
}

policy::Plan ReadPlan(const Json& json) {
  policy::Plan plan;
  Object object(json);
  plan.tenant = ReadText(object["tenant"]);
  for (const Json& rule : ReadArray(object["channels"])) plan.channels.push_back(ReadChannelRule(rule));
  for (const Json& ring : ReadArray(object["rings"])) plan.rings.push_back(ReadRing(ring));
  plan.gates = ReadGates(object["gates"]);
  if (const Json* factor = object.Optional("urgent_soak_factor_ppm")) {
    plan.urgent_soak_factor = policy::Ppm(ReadInt<int64_t>(*factor));
  }
  plan.hold_revert_after = ReadDuration(object["hold_revert_after"]);
  if (const Json* zone = object.Optional("zone")) plan.zone = ReadText(*zone);
  plan.freezes = ReadList(object.Optional("freezes"), ReadFreeze);
  plan.blackouts = ReadList(object.Optional("blackouts"), ReadBlackout);
  plan.deny = ReadList(object.Optional("deny"), ReadDenied);
  if (const Json* urgent = object.Optional("urgent")) plan.urgent = ReadUrgent(*urgent);
  if (const Json* salt = object.Optional("bucket_salt")) plan.bucket_salt = ReadText(*salt);
  if (const Json* depth = object.Optional("rollback_depth")) plan.rollback_depth = ReadInt<int>(*depth);
  if (const Json* unqualified = object.Optional("unqualified_platform")) {
    if (ReadText(*unqualified) != kFirstRingOnly)
      throw MalformedJson{"first_ring_only is wanted, or nothing"};
    plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly;
  }
  if (const Json* uncovered = object.Optional("uncovered_cohorts")) {
    if (ReadText(*uncovered) != kHold) throw MalformedJson{"hold is wanted, or nothing"};
    plan.uncovered_cohorts = policy::UncoveredCohorts::kHold;
  }
  if (const Json* until = object.Optional("valid_until")) plan.valid_until = ReadTime(*until);
  object.End();
  return plan;
}

}  // namespace ringfence::plan
