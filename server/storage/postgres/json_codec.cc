#include "server/storage/postgres/json_codec.h"

#include "absl/strings/str_cat.h"
#include "ringfence/plan/json_fields.h"

namespace ringfence::storage {
namespace {

using plan::Json;
using plan::MalformedJson;
using plan::Object;
using plan::ReadArray;
using plan::ReadBool;
using plan::ReadInt;
using plan::ReadPlan;
using plan::ReadSelector;
using plan::ReadText;
using plan::ReadTexts;
using plan::WriteSelector;

// Writers. The library throws on text that is not UTF-8 only when it prints.

absl::StatusOr<std::string> Print(const char* what, const Json& json) {
  try {
    return json.dump();
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.what()));
  }
}

double ReadDouble(const Json& json) {
  if (!json.is_number()) throw MalformedJson{"a number is wanted"};
  return json.get<double>();
}

policy::HealthChannel ReadHealthChannel(const Json& json) {
  const std::string name = ReadText(json);
  for (int i = 0; i < policy::kHealthChannels; ++i) {
    const auto channel = static_cast<policy::HealthChannel>(i);
    if (name == policy::Name(channel)) return channel;
  }
  throw MalformedJson{"channel is not known"};
}

EvidenceEvent ReadEvent(const Json& json) {
  EvidenceEvent event;
  Object object(json);
  const absl::StatusOr<AgentId> agent = AgentId::Parse(ReadText(object["agent"]));
  if (!agent.ok()) throw MalformedJson{std::string(agent.status().message())};
  event.agent = *agent;
  event.health_channel = ReadHealthChannel(object["channel"]);
  event.treated = ReadBool(object["treated"]);
  event.pi = ReadDouble(object["pi"]);
  event.cells = ReadTexts(object["cells"]);
  if (const Json* x = object.Optional("x")) event.x = ReadDouble(*x);
  if (const Json* c = object.Optional("c")) event.c = ReadDouble(*c);
  object.End();
  return event;
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
  return Print("plan", plan::WritePlan(plan));
}

absl::StatusOr<std::string> SelectorToJson(const policy::Selector& selector) {
  return Print("selector", WriteSelector(selector));
}

absl::StatusOr<std::string> SelectorsToJson(const std::vector<policy::Selector>& selectors) {
  Json json = Json::array();
  for (const policy::Selector& selector : selectors) json.push_back(WriteSelector(selector));
  return Print("selectors", json);
}

absl::StatusOr<std::string> ArtifactsToJson(const std::vector<policy::Artifact>& artifacts) {
  Json json = Json::array();
  for (const policy::Artifact& artifact : artifacts) {
    Json matrix = Json::array(), qualifications = Json::array();
    for (const policy::Selector& platform : artifact.matrix) matrix.push_back(WriteSelector(platform));
    for (const Digest& digest : artifact.qualifications) qualifications.push_back(digest.ToString());
    json.push_back({{"path", artifact.path},
                    {"sha256", artifact.digest.ToString()},
                    {"size_bytes", artifact.size_bytes},
                    {"matrix", std::move(matrix)},
                    {"qualifications", std::move(qualifications)}});
  }
  return Print("artifacts", json);
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

absl::StatusOr<std::string> EventsToJson(const std::vector<EvidenceEvent>& events) {
  Json json = Json::array();
  for (const EvidenceEvent& event : events) {
    Json item = {{"agent", event.agent.ToString()},
                 {"channel", policy::Name(event.health_channel)},
                 {"treated", event.treated},
                 {"pi", event.pi},  // printed so that the same double is read back
                 {"cells", event.cells}};
    if (event.health_channel == policy::HealthChannel::kGauge) {
      item["x"] = event.x;
      item["c"] = event.c;
    }
    json.push_back(std::move(item));
  }
  return Print("events", json);
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

absl::StatusOr<std::vector<policy::Artifact>> ArtifactsFromJson(absl::string_view text) {
  return Read("artifacts", text, [](const Json& json) {
    const auto digest = [](const Json& hex) {
      const absl::StatusOr<Digest> parsed = Digest::Parse(ReadText(hex));
      if (!parsed.ok()) throw MalformedJson{std::string(parsed.status().message())};
      return *parsed;
    };
    std::vector<policy::Artifact> artifacts;
    for (const Json& item : ReadArray(json)) {
      Object object(item);
      policy::Artifact& artifact = artifacts.emplace_back();
      artifact.path = ReadText(object["path"]);
      artifact.digest = digest(object["sha256"]);
      artifact.size_bytes = ReadInt<int64_t>(object["size_bytes"]);
      for (const Json& platform : ReadArray(object["matrix"]))
        artifact.matrix.push_back(ReadSelector(platform));
      for (const Json& hex : ReadArray(object["qualifications"]))
        artifact.qualifications.push_back(digest(hex));
      object.End();
    }
    return artifacts;
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

absl::StatusOr<std::vector<EvidenceEvent>> EventsFromJson(absl::string_view text) {
  return Read("events", text, [](const Json& json) {
    std::vector<EvidenceEvent> events;
    for (const Json& event : ReadArray(json)) events.push_back(ReadEvent(event));
    return events;
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
