// The canonical text of a plan: every field in the order of the schema, defaults left out.
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "server/cli/human.h"
#include "server/cli/plan_yaml.h"
#include "server/cli/proto_value.h"
#include "server/cli/value.h"

namespace ringfence::cli {
namespace {

constexpr absl::Duration kHoldRevertDefault = absl::Minutes(30);  // what the server takes for an absent one

// The longest exact form with whole units: 1h30m; a fraction of a second in milliseconds.
std::string DurationText(const google::protobuf::Duration& wire) {
  absl::Duration rest = ToDuration(wire);
  if (rest == absl::ZeroDuration()) return "0s";
  std::string out;
  const std::pair<absl::Duration, const char*> units[] = {{absl::Hours(24), "d"},
                                                          {absl::Hours(1), "h"},
                                                          {absl::Minutes(1), "m"},
                                                          {absl::Seconds(1), "s"},
                                                          {absl::Milliseconds(1), "ms"}};
  for (const auto& [unit, name] : units) {
    const int64_t count = absl::IDivDuration(rest, unit, &rest);
    if (count > 0) absl::StrAppend(&out, count, name);
  }
  return out.empty() ? "0s" : out;
}

Value SelectorValue(const v1::Selector& selector) {
  Map map;
  for (const v1::Requirement& requirement : selector.all_of()) {
    if (requirement.any_of_size() == 1) {
      map.emplace_back(requirement.key(), requirement.any_of(0));
    } else {
      List values(requirement.any_of().begin(), requirement.any_of().end());
      map.emplace_back(requirement.key(), std::move(values));
    }
  }
  if (selector.has_bucket()) {
    constexpr int64_t kBucketPpm = 100;
    map.emplace_back("bucket", Map{{"from", HumanShare(selector.bucket().from() * kBucketPpm)},
                                   {"to", HumanShare(selector.bucket().to() * kBucketPpm)}});
  }
  return map;
}

Value RateGateValue(const v1::RateGate& gate) {
  Map map = {{"max_rate", HumanShare(gate.max_rate_ppm())}, {"min_count", gate.min_count()}};
  if (gate.has_window()) map.emplace_back("window", DurationText(gate.window()));
  return map;
}

Value GatesValue(const v1::SloGates& gates) {
  Map map;
  if (gates.has_crash()) map.emplace_back("crash", RateGateValue(gates.crash()));
  if (gates.has_silence()) {
    const v1::SilenceGate& silence = gates.silence();
    Map gate = {{"missed_checkins", int64_t{silence.missed_checkins()}},
                {"max_excess", HumanShare(silence.max_excess_ppm())},
                {"min_count", silence.min_count()}};
    if (silence.has_window()) gate.emplace_back("window", DurationText(silence.window()));
    map.emplace_back("silence", std::move(gate));
  }
  if (gates.has_degraded()) map.emplace_back("degraded", RateGateValue(gates.degraded()));
  if (gates.cohort_keys_size() > 0) {
    map.emplace_back("cohort_keys", List(gates.cohort_keys().begin(), gates.cohort_keys().end()));
  }
  map.emplace_back("on_breach", EnumWord(*v1::OnBreach_descriptor(), gates.on_breach()));
  return map;
}

template <typename Names>
void AddNames(const char* key, const Names& names, Map& map) {
  if (!names.empty()) map.emplace_back(key, List(names.begin(), names.end()));
}

void AddText(const char* key, const std::string& text, Map& map) {
  if (!text.empty()) map.emplace_back(key, text);
}

std::string Clock(int minutes) {
  return absl::StrFormat("%02d:%02d", minutes / 60, minutes % 60);
}

void AddWindows(const google::protobuf::RepeatedPtrField<v1::MaintenanceWindow>& windows, Map& map) {
  if (windows.empty()) return;
  List list;
  for (const v1::MaintenanceWindow& window : windows) {
    Map one;
    List days;
    for (const int day : window.days()) days.push_back(EnumWord(*v1::Weekday_descriptor(), day));
    if (!days.empty()) one.emplace_back("days", std::move(days));
    one.emplace_back("from", Clock(window.from_minute()));
    one.emplace_back("to", Clock(window.to_minute()));
    AddText("zone", window.zone(), one);
    list.push_back(std::move(one));
  }
  map.emplace_back("windows", std::move(list));
}

Value RingRuleValue(const v1::RingRule& rule) {
  Map map = {{"channel", rule.channel()}};
  if (rule.has_lag()) map.emplace_back("lag", int64_t{rule.lag()});
  if (rule.has_min_age()) map.emplace_back("min_age", DurationText(rule.min_age()));
  if (rule.approval() != 0)
    map.emplace_back("approval", EnumWord(*v1::Approval_descriptor(), rule.approval()));
  AddWindows(rule.windows(), map);
  return map;
}

// In the plan's zone, with its offset, so that it means the same everywhere.
std::string TimeText(const google::protobuf::Timestamp& time, const std::string& zone_name) {
  absl::TimeZone zone = absl::UTCTimeZone();
  if (!zone_name.empty() && !absl::LoadTimeZone(zone_name, &zone)) zone = absl::UTCTimeZone();
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*S%Ez", ToTime(time), zone);
}

template <typename Message>
void AddScope(const Message& message, Map& map) {
  map.emplace_back("reason", message.reason());
  map.emplace_back("owner", message.owner());
  AddNames("rings", message.rings(), map);
  AddNames("channels", message.channels(), map);
}

void AddCalendar(const v1::Plan& plan, Map& map) {
  List freezes, blackouts, deny;
  for (const v1::Freeze& freeze : plan.freezes()) {
    Map one = {{"from", TimeText(freeze.from(), plan.zone())}, {"to", TimeText(freeze.to(), plan.zone())}};
    AddScope(freeze, one);
    freezes.push_back(std::move(one));
  }
  for (const v1::Blackout& blackout : plan.blackouts()) {
    Map one = {{"date", blackout.date()}};
    AddText("zone", blackout.zone(), one);
    AddScope(blackout, one);
    blackouts.push_back(std::move(one));
  }
  for (const v1::DeniedRelease& denied : plan.deny()) {
    Map one;
    AddText("sha256", absl::BytesToHexString(denied.digest()), one);
    AddText("channel", denied.channel(), one);
    AddText("version", denied.version(), one);
    one.emplace_back("reason", denied.reason());
    one.emplace_back("owner", denied.owner());
    deny.push_back(std::move(one));
  }
  if (!freezes.empty()) map.emplace_back("freezes", std::move(freezes));
  if (!blackouts.empty()) map.emplace_back("blackouts", std::move(blackouts));
  if (!deny.empty()) map.emplace_back("deny", std::move(deny));
  if (!plan.has_urgent()) return;
  const v1::Urgent& urgent = plan.urgent();
  Map one = {{"mode", EnumWord(*v1::UrgentMode_descriptor(), urgent.mode())}};
  AddNames("rings", urgent.rings(), one);
  if (urgent.has_min_age()) one.emplace_back("min_age", DurationText(urgent.min_age()));
  if (urgent.has_soak()) one.emplace_back("soak", DurationText(urgent.soak()));
  if (urgent.outside_windows()) one.emplace_back("outside_windows", true);
  map.emplace_back("urgent", std::move(one));
}

Value RingValue(const v1::Ring& ring) {
  Map map = {{"name", ring.name()}};
  if (ring.selector().all_of_size() > 0 || ring.selector().has_bucket())
    map.emplace_back("selector", SelectorValue(ring.selector()));
  if (ring.lag() != 0) map.emplace_back("lag", int64_t{ring.lag()});
  List waves;
  for (const v1::Wave& wave : ring.waves()) {
    if (wave.has_max_hosts()) {
      waves.push_back(Map{{"share", HumanShare(wave.share_ppm())}, {"max_hosts", wave.max_hosts()}});
    } else {
      waves.push_back(HumanShare(wave.share_ppm()));
    }
  }
  map.emplace_back("waves", std::move(waves));
  const auto is_set = [](const google::protobuf::Duration& d) {
    return ToDuration(d) != absl::ZeroDuration();
  };
  if (is_set(ring.soak())) map.emplace_back("soak", DurationText(ring.soak()));
  if (is_set(ring.min_age())) map.emplace_back("min_age", DurationText(ring.min_age()));
  if (ring.has_hosts_per_minute()) map.emplace_back("hosts_per_minute", ring.hosts_per_minute());
  AddWindows(ring.windows(), map);
  if (ring.approval() == v1::APPROVAL_EXPLICIT) map.emplace_back("approval", "explicit");
  if (ring.approvers_size() > 0)
    map.emplace_back("approvers", List(ring.approvers().begin(), ring.approvers().end()));
  if (ring.has_hasten_to()) map.emplace_back("hasten_to", DurationText(ring.hasten_to()));
  List channels;
  for (const v1::RingRule& rule : ring.channels()) channels.push_back(RingRuleValue(rule));
  if (!channels.empty()) map.emplace_back("channels", std::move(channels));
  return map;
}

// The server gives gates back also to a plan that has none.
bool SaysAnything(const v1::SloGates& gates) {
  return gates.has_crash() || gates.has_silence() || gates.has_degraded() || gates.cohort_keys_size() > 0 ||
         (gates.on_breach() != v1::ON_BREACH_UNSPECIFIED &&
          gates.on_breach() != v1::ON_BREACH_HALT_AND_REVERT);
}

}  // namespace

std::string PlanToYaml(const v1::Plan& plan) {
  Map map = {{"tenant", plan.tenant()}};
  AddText("zone", plan.zone(), map);
  if (plan.has_valid_until()) map.emplace_back("valid_until", TimeText(plan.valid_until(), plan.zone()));
  List channels;
  for (const v1::ChannelRule& rule : plan.channels()) {
    Map channel = {{"channel", rule.channel()},
                   {"mode", EnumWord(*v1::ChannelMode_descriptor(), rule.mode())}};
    if (rule.lag() != 0) channel.emplace_back("lag", int64_t{rule.lag()});
    AddText("pinned_version", rule.pinned_version(), channel);
    AddText("from", rule.from_version(), channel);
    AddText("below", rule.below_version(), channel);
    AddNames("barriers", rule.barriers(), channel);
    if (rule.approval() == v1::APPROVAL_EXPLICIT) channel.emplace_back("approval", "explicit");
    if (ToDuration(rule.min_age()) != absl::ZeroDuration())
      channel.emplace_back("min_age", DurationText(rule.min_age()));
    AddNames("approvers", rule.approvers(), channel);
    channels.push_back(std::move(channel));
  }
  map.emplace_back("channels", std::move(channels));
  List rings;
  for (const v1::Ring& ring : plan.rings()) rings.push_back(RingValue(ring));
  map.emplace_back("rings", std::move(rings));
  if (SaysAnything(plan.gates())) map.emplace_back("gates", GatesValue(plan.gates()));
  if (plan.has_urgent_soak_factor_ppm()) {
    map.emplace_back("urgent_soak_factor", HumanShare(plan.urgent_soak_factor_ppm()));
  }
  if (plan.has_hold_revert_after() && ToDuration(plan.hold_revert_after()) != kHoldRevertDefault) {
    map.emplace_back("hold_revert_after", DurationText(plan.hold_revert_after()));
  }
  AddCalendar(plan, map);
  AddText("bucket_salt", plan.bucket_salt(), map);
  if (plan.has_rollback_depth()) map.emplace_back("rollback_depth", int64_t{plan.rollback_depth()});
  if (plan.unqualified_platform() == v1::UNQUALIFIED_PLATFORM_FIRST_RING_ONLY)
    map.emplace_back("unqualified_platform", "first_ring_only");
  if (plan.uncovered_cohorts() == v1::UNCOVERED_COHORTS_HOLD) map.emplace_back("uncovered_cohorts", "hold");
  return ToYaml(map);
}

std::string FleetToYaml(const v1::PreviewPlanResponse& fleet) {
  List hosts;
  for (const v1::LabelMixEntry& entry : fleet.label_mix()) {
    Map labels;
    for (const v1::Label& label : entry.labels()) {  // sorted by key
      if (labels.empty() || labels.back().first != label.key()) labels.emplace_back(label.key(), List{});
      std::get<List>(labels.back().second.data).emplace_back(label.value());
    }
    hosts.emplace_back(Map{{"count", entry.hosts()}, {"labels", std::move(labels)}});
  }
  return ToYaml(Map{{"hosts", std::move(hosts)}});
}

}  // namespace ringfence::cli
