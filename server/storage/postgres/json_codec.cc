#include "server/storage/postgres/json_codec.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace ringfence::storage {
namespace {

using Json = nlohmann::json;

// Thrown by the readers below and caught by Read, so that each reader can be an expression.
struct MalformedJson {
  std::string what;
};

// Writers. The library throws on text that is not UTF-8 only when it prints.

absl::StatusOr<std::string> Print(const char* what, const Json& json) {
  try {
    return json.dump();
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.what()));
  }
}

Json Write(absl::Duration duration) {
  return absl::FormatDuration(duration);
}

Json Write(const policy::Selector& selector) {
  Json all_of = Json::array();
  for (const policy::Requirement& requirement : selector.all_of) {
    all_of.push_back({{"key", requirement.key}, {"any_of", requirement.any_of}});
  }
  return {{"all_of", std::move(all_of)}};
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
  return {
      {"channel", rule.channel}, {"mode", mode}, {"lag", rule.lag}, {"pinned_version", rule.pinned_version}};
}

Json Write(const policy::Wave& wave) {
  Json json = {{"share_ppm", wave.share.value}};
  if (wave.max_hosts.has_value()) json["max_hosts"] = *wave.max_hosts;
  return json;
}

Json Write(const policy::Ring& ring) {
  Json json = {{"name", ring.name},        {"selector", Write(ring.selector)},
               {"lag", ring.lag},          {"waves", Json::array()},
               {"soak", Write(ring.soak)}, {"min_age", Write(ring.min_age)}};
  for (const policy::Wave& wave : ring.waves) json["waves"].push_back(Write(wave));
  if (ring.hosts_per_minute.has_value()) json["hosts_per_minute"] = *ring.hosts_per_minute;
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

// Readers.

// Reads the fields of an object and, at its end, refuses those that nobody asked for: a field that an older
// program does not know may be a limit that it must not ignore.
class Object {
 public:
  explicit Object(const Json& json) : json_(json) {
    if (!json.is_object()) throw MalformedJson{"an object is wanted"};
  }
  const Json& operator[](const char* name) {
    const auto found = json_.find(name);
    if (found == json_.end()) throw MalformedJson{absl::StrCat("field ", name, " is missing")};
    ++read_;
    return *found;
  }
  const Json* Optional(const char* name) { return json_.contains(name) ? &(*this)[name] : nullptr; }
  void End() const {
    if (read_ != json_.size()) throw MalformedJson{"a field is not known"};
  }

 private:
  const Json& json_;
  size_t read_ = 0;
};

std::string ReadText(const Json& json) {
  if (!json.is_string()) throw MalformedJson{"a text is wanted"};
  return json.get<std::string>();
}

template <typename Int>
Int ReadInt(const Json& json) {
  if (!json.is_number_integer()) throw MalformedJson{"a whole number is wanted"};
  return json.get<Int>();
}

const Json& ReadArray(const Json& json) {
  if (!json.is_array()) throw MalformedJson{"an array is wanted"};
  return json;
}

absl::Duration ReadDuration(const Json& json) {
  absl::Duration duration;
  if (!absl::ParseDuration(ReadText(json), &duration)) throw MalformedJson{"a duration is wanted"};
  return duration;
}

std::vector<std::string> ReadTexts(const Json& json) {
  std::vector<std::string> texts;
  for (const Json& text : ReadArray(json)) texts.push_back(ReadText(text));
  return texts;
}

policy::Selector ReadSelector(const Json& json) {
  policy::Selector selector;
  Object object(json);
  for (const Json& item : ReadArray(object["all_of"])) {
    Object requirement(item);
    selector.all_of.push_back({ReadText(requirement["key"]), ReadTexts(requirement["any_of"])});
    requirement.End();
  }
  object.End();
  return selector;
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
  object.End();
  return rule;
}

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
  object.End();
  return plan;
}

// The pairs of an array of arrays of two texts.
std::vector<std::pair<std::string, std::string>> ReadPairs(const Json& json) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Json& item : ReadArray(json)) {
    if (ReadArray(item).size() != 2) throw MalformedJson{"a pair is wanted"};
    pairs.emplace_back(ReadText(item[0]), ReadText(item[1]));
  }
  return pairs;
}

template <typename Reader>
auto Read(const char* what, absl::string_view text, Reader reader)
    -> absl::StatusOr<decltype(reader(std::declval<const Json&>()))> {
  try {
    const Json json = Json::parse(text.begin(), text.end());
    return reader(json);
  } catch (const MalformedJson& malformed) {
    return absl::DataLossError(absl::StrCat(what, " from the database: ", malformed.what));
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrCat(what, " from the database: ", error.what()));
  }
}

}  // namespace

absl::StatusOr<std::string> PlanToJson(const policy::Plan& plan) {
  Json json = {{"tenant", plan.tenant},
               {"channels", Json::array()},
               {"rings", Json::array()},
               {"gates", Write(plan.gates)},
               {"hold_revert_after", Write(plan.hold_revert_after)}};
  for (const policy::ChannelRule& rule : plan.channels) json["channels"].push_back(Write(rule));
  for (const policy::Ring& ring : plan.rings) json["rings"].push_back(Write(ring));
  if (plan.urgent_soak_factor.has_value()) json["urgent_soak_factor_ppm"] = plan.urgent_soak_factor->value;
  return Print("plan", json);
}

absl::StatusOr<std::string> SelectorToJson(const policy::Selector& selector) {
  return Print("selector", Write(selector));
}

absl::StatusOr<std::string> SelectorsToJson(const std::vector<policy::Selector>& selectors) {
  Json json = Json::array();
  for (const policy::Selector& selector : selectors) json.push_back(Write(selector));
  return Print("selectors", json);
}

absl::StatusOr<std::string> LabelsToJson(const policy::Labels& labels) {
  Json json = Json::array();
  for (const auto& [key, value] : labels.pairs()) json.push_back(Json::array({key, value}));
  return Print("labels", json);
}

absl::StatusOr<std::string> RunningToJson(const std::vector<Running>& running) {
  Json json = Json::array();
  for (const Running& item : running) json.push_back(Json::array({item.channel, item.digest.ToString()}));
  return Print("running", json);
}

absl::StatusOr<policy::Plan> PlanFromJson(absl::string_view text) {
  return Read("plan", text, ReadPlan);
}

absl::StatusOr<policy::Selector> SelectorFromJson(absl::string_view text) {
  return Read("selector", text, ReadSelector);
}

absl::StatusOr<std::vector<policy::Selector>> SelectorsFromJson(absl::string_view text) {
  return Read("selectors", text, [](const Json& json) {
    std::vector<policy::Selector> selectors;
    for (const Json& selector : ReadArray(json)) selectors.push_back(ReadSelector(selector));
    return selectors;
  });
}

absl::StatusOr<policy::Labels> LabelsFromJson(absl::string_view text) {
  return Read("labels", text, [](const Json& json) {
    absl::StatusOr<policy::Labels> labels = policy::Labels::Make(ReadPairs(json));
    if (!labels.ok()) throw MalformedJson{std::string(labels.status().message())};
    return *std::move(labels);
  });
}

absl::StatusOr<std::vector<Running>> RunningFromJson(absl::string_view text) {
  return Read("running", text, [](const Json& json) {
    std::vector<Running> running;
    for (auto& [channel, hex] : ReadPairs(json)) {
      const absl::StatusOr<Digest> digest = Digest::Parse(hex);
      if (!digest.ok()) throw MalformedJson{std::string(digest.status().message())};
      running.push_back({std::move(channel), *digest});
    }
    return running;
  });
}

absl::StatusOr<std::pair<Scope, int64_t>> BrakeNoticeFromJson(absl::string_view text) {
  return Read("brake notice", text, [](const Json& json) {
    if (ReadArray(json).size() != 5) throw MalformedJson{"five values are wanted"};
    const Scope scope{.tenant = ReadText(json[0]),
                      .channel = ReadText(json[1]),
                      .serial = ReadInt<uint64_t>(json[2]),
                      .ring = ReadText(json[3])};
    return std::make_pair(scope, ReadInt<int64_t>(json[4]));
  });
}

}  // namespace ringfence::storage
