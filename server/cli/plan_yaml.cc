#include "server/cli/plan_yaml.h"

#include <algorithm>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/cli/human.h"
#include "server/cli/proto_value.h"
#include "server/cli/value.h"
#include "server/cli/yaml_reader.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr absl::Duration kHoldRevertDefault = absl::Minutes(30);  // what the server takes for an absent one
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int32_t kMostInt = std::numeric_limits<int32_t>::max();

// The number of the enum value whose word stands in the node; 0 and a fault if it is none.
int Word(const YamlReader& in, const google::protobuf::EnumDescriptor& type, int fallback) {
  if (!in.present()) return fallback;
  std::string wanted;
  for (int i = 1; i < type.value_count(); ++i) {
    const std::string word = EnumWord(type, type.value(i)->number());
    if (in.IsScalar() && in.node().Scalar() == word) return type.value(i)->number();
    absl::StrAppend(&wanted, i == 1 ? "" : i + 1 == type.value_count() ? " or " : ", ", word);
  }
  in.Fail(wanted);
  return fallback;
}

// {os: win11, kernel: [a, b]}
void ReadSelector(const YamlReader& in, v1::Selector* out) {
  in.EachKey([&](const std::string& key, const YamlReader& value) {
    v1::Requirement* requirement = out->add_all_of();
    requirement->set_key(key);
    if (value.IsList()) {
      value.Each([&](const YamlReader& item) { requirement->add_any_of(item.Text("a label's value")); });
    } else {
      requirement->add_any_of(value.Text("a label's value, or a list of values"));
    }
  });
}

void ReadWave(const YamlReader& in, v1::Wave* out) {
  if (in.IsScalar()) {  // the short form: 5%
    out->set_share_ppm(in.SharePpm());
  } else if (in.IsMapOf({"share", "max_hosts"})) {
    out->set_share_ppm(in.Get("share").SharePpm());
    if (in.Get("max_hosts").present()) out->set_max_hosts(in.Get("max_hosts").Integer(0, kMost));
  }
}

void ReadRing(const YamlReader& in, v1::Ring* out) {
  if (!in.IsMapOf({"name", "selector", "lag", "waves", "soak", "min_age", "hosts_per_minute"})) return;
  if (!in.Get("name").present()) in.FailAt(in.node(), in.path(), "a ring needs a name");
  out->set_name(in.Get("name").Text("a name of a-z, 0-9 and -"));
  ReadSelector(in.Get("selector"), out->mutable_selector());
  out->set_lag(static_cast<int32_t>(in.Get("lag").Integer(0, kMostInt)));
  in.Get("waves").Each([&](const YamlReader& wave) { ReadWave(wave, out->add_waves()); });
  if (in.Get("soak").present()) FromDuration(in.Get("soak").Duration(), out->mutable_soak());
  if (in.Get("min_age").present()) FromDuration(in.Get("min_age").Duration(), out->mutable_min_age());
  if (in.Get("hosts_per_minute").present())
    out->set_hosts_per_minute(in.Get("hosts_per_minute").Integer(0, kMost));
}

void ReadRateGate(const YamlReader& in, v1::RateGate* out) {
  if (!in.IsMapOf({"max_rate", "min_count", "window"})) return;
  out->set_max_rate_ppm(in.Get("max_rate").SharePpm());
  out->set_min_count(in.Get("min_count").present() ? in.Get("min_count").Integer(1, kMost) : 1);
  if (in.Get("window").present()) FromDuration(in.Get("window").Duration(), out->mutable_window());
}

void ReadGates(const YamlReader& in, v1::SloGates* out) {
  if (!in.IsMapOf({"crash", "silence", "degraded", "cohort_keys", "on_breach"})) return;
  if (in.Get("crash").present()) ReadRateGate(in.Get("crash"), out->mutable_crash());
  if (in.Get("degraded").present()) ReadRateGate(in.Get("degraded"), out->mutable_degraded());
  if (const YamlReader silence = in.Get("silence");
      silence.present() && silence.IsMapOf({"missed_checkins", "max_excess", "min_count", "window"})) {
    v1::SilenceGate* gate = out->mutable_silence();
    gate->set_missed_checkins(static_cast<int32_t>(silence.Get("missed_checkins").Integer(1, kMostInt)));
    gate->set_max_excess_ppm(silence.Get("max_excess").SharePpm());
    gate->set_min_count(silence.Get("min_count").present() ? silence.Get("min_count").Integer(1, kMost) : 1);
    if (silence.Get("window").present())
      FromDuration(silence.Get("window").Duration(), gate->mutable_window());
  }
  in.Get("cohort_keys").Each([&](const YamlReader& key) { out->add_cohort_keys(key.Text("a label's key")); });
  out->set_on_breach(static_cast<v1::OnBreach>(
      Word(in.Get("on_breach"), *v1::OnBreach_descriptor(), v1::ON_BREACH_HALT_AND_REVERT)));
}

void ReadPlan(const YamlReader& in, v1::Plan* out) {
  if (!in.IsMapOf({"tenant", "channels", "rings", "gates", "urgent_soak_factor", "hold_revert_after"}))
    return;
  for (const char* needed : {"tenant", "channels", "rings"}) {
    if (!in.Get(needed).present()) in.FailAt(in.node(), needed, "is missing");
  }
  out->set_tenant(in.Get("tenant").Text("a tenant's name"));
  in.Get("channels").Each([&](const YamlReader& channel) {
    if (!channel.IsMapOf({"channel", "mode", "lag", "pinned_version"})) return;
    v1::ChannelRule* rule = out->add_channels();
    if (!channel.Get("channel").present())
      channel.FailAt(channel.node(), channel.path(), "a rule needs a channel");
    rule->set_channel(channel.Get("channel").Text("a channel's name"));
    rule->set_mode(static_cast<v1::ChannelMode>(
        Word(channel.Get("mode"), *v1::ChannelMode_descriptor(), v1::CHANNEL_MODE_FOLLOW)));
    rule->set_lag(static_cast<int32_t>(channel.Get("lag").Integer(0, kMostInt)));
    rule->set_pinned_version(channel.Get("pinned_version").Text("a version"));
  });
  in.Get("rings").Each([&](const YamlReader& ring) { ReadRing(ring, out->add_rings()); });
  if (in.Get("gates").present()) ReadGates(in.Get("gates"), out->mutable_gates());
  if (in.Get("urgent_soak_factor").present())
    out->set_urgent_soak_factor_ppm(in.Get("urgent_soak_factor").SharePpm());
  if (in.Get("hold_revert_after").present()) {
    FromDuration(in.Get("hold_revert_after").Duration(), out->mutable_hold_revert_after());
  }
}

void ReadManifest(const YamlReader& in, v1::ReleaseManifest* out) {
  if (!in.IsMapOf({"channel", "kind", "serial", "version", "targets", "matrix", "urgent"})) return;
  out->set_channel(in.Get("channel").Text("a channel's name"));
  out->set_kind(static_cast<v1::ChannelKind>(
      Word(in.Get("kind"), *v1::ChannelKind_descriptor(), v1::CHANNEL_KIND_UNSPECIFIED)));
  if (in.Get("serial").present()) out->set_serial(static_cast<uint64_t>(in.Get("serial").Integer(1, kMost)));
  out->set_version(in.Get("version").Text("a version"));
  ReadSelector(in.Get("targets"), out->mutable_targets());
  in.Get("matrix").Each([&](const YamlReader& platform) { ReadSelector(platform, out->add_matrix()); });
  out->set_urgent(in.Get("urgent").Boolean());
}

template <typename Message>
Parsed<Message> Parse(absl::string_view text, void (*read)(const YamlReader&, Message*)) {
  Parsed<Message> parsed;
  if (text.size() > kMaxFileBytes) {
    parsed.faults.push_back(
        {Place{}, "", absl::StrCat("the file has ", text.size(), " bytes, wanted at most 1 MiB")});
    return parsed;
  }
  YamlFile file;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() != 1) {
      file.faults.push_back(
          {Place{}, "", absl::StrCat("found ", documents.size(), " documents, wanted one")});
    } else {
      read(YamlReader(documents[0], "", &file), &parsed.message);
    }
  } catch (const YAML::Exception& error) {  // not YAML at all
    const Place place = error.mark.is_null() ? Place{} : Place{error.mark.line + 1, error.mark.column + 1};
    file.faults.push_back({place, "", Printable(error.msg)});
  }
  parsed.faults = std::move(file.faults);
  parsed.places = std::move(file.places);
  std::stable_sort(parsed.faults.begin(), parsed.faults.end(), [](const YamlFault& a, const YamlFault& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  return parsed;
}

// ---------------------------------------------------------------- writing

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

Value RingValue(const v1::Ring& ring) {
  Map map = {{"name", ring.name()}};
  if (ring.selector().all_of_size() > 0) map.emplace_back("selector", SelectorValue(ring.selector()));
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
  return map;
}

}  // namespace

Place Places::Find(absl::string_view path) const {
  for (const char* prefix : {"plan.", "manifest.", "header.manifest."}) absl::ConsumePrefix(&path, prefix);
  std::string at(path);
  while (true) {
    const auto found = places_.find(at);
    if (found != places_.end()) return found->second;
    const size_t cut = at.find_last_of(".[");
    if (cut == std::string::npos) return Place{};
    at.resize(cut);
  }
}

Parsed<v1::Plan> ParsePlanYaml(absl::string_view text) {
  return Parse<v1::Plan>(text, ReadPlan);
}

Parsed<v1::ReleaseManifest> ParseManifestYaml(absl::string_view text) {
  return Parse<v1::ReleaseManifest>(text, ReadManifest);
}

std::string PlanToYaml(const v1::Plan& plan) {
  Map map = {{"tenant", plan.tenant()}};
  List channels;
  for (const v1::ChannelRule& rule : plan.channels()) {
    Map channel = {{"channel", rule.channel()},
                   {"mode", EnumWord(*v1::ChannelMode_descriptor(), rule.mode())}};
    if (rule.lag() != 0) channel.emplace_back("lag", int64_t{rule.lag()});
    if (!rule.pinned_version().empty()) channel.emplace_back("pinned_version", rule.pinned_version());
    channels.push_back(std::move(channel));
  }
  map.emplace_back("channels", std::move(channels));
  List rings;
  for (const v1::Ring& ring : plan.rings()) rings.push_back(RingValue(ring));
  map.emplace_back("rings", std::move(rings));
  if (plan.has_gates()) map.emplace_back("gates", GatesValue(plan.gates()));
  if (plan.has_urgent_soak_factor_ppm()) {
    map.emplace_back("urgent_soak_factor", HumanShare(plan.urgent_soak_factor_ppm()));
  }
  if (plan.has_hold_revert_after() && ToDuration(plan.hold_revert_after()) != kHoldRevertDefault) {
    map.emplace_back("hold_revert_after", DurationText(plan.hold_revert_after()));
  }
  return ToYaml(map);
}

std::string Render(const std::string& file, const std::vector<YamlFault>& faults) {
  std::string out;
  for (const YamlFault& fault : faults) {
    absl::StrAppend(&out, file, ":", fault.place.line, ":", fault.place.column, ": ", fault.path,
                    fault.path.empty() ? "" : ": ", fault.what, "\n");
  }
  return out;
}

}  // namespace ringfence::cli
