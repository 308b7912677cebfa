// The one file that includes the JSON library.
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/agent/state_store.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {
namespace {

using nlohmann::json;

// An empty text is the zero digest.
std::string Text(const Digest& digest) {
  return digest.IsZero() ? "" : digest.ToString();
}

absl::StatusOr<Digest> DigestOf(const json& object, const char* key) {
  const std::string text = object.at(key).get<std::string>();
  if (text.empty()) return Digest{};
  return Digest::Parse(text);
}

json ToJson(const Directive& release) {
  return {{"channel", release.channel},
          {"serial", release.serial},
          {"version", release.version},
          {"digest", Text(release.digest)},
          {"size_bytes", release.size_bytes}};
}

absl::StatusOr<Directive> ReleaseOf(const json& object) {
  Directive release;
  release.channel = object.at("channel").get<std::string>();
  release.serial = object.at("serial").get<uint64_t>();
  release.version = object.at("version").get<std::string>();
  release.size_bytes = object.at("size_bytes").get<int64_t>();
  ASSIGN_OR_RETURN(release.digest, DigestOf(object, "digest"));
  return release;
}

absl::StatusOr<HostEvent> EventOf(const json& object) {
  HostEvent event;
  event.seq = object.at("seq").get<uint64_t>();
  event.boot_id = object.at("boot_id").get<std::string>();
  const int kind = object.at("kind").get<int>();
  if (kind < static_cast<int>(EventKind::kCrash) || kind > static_cast<int>(EventKind::kPlanRefused)) {
    return absl::DataLossError(absl::StrCat("event of kind ", kind));
  }
  event.kind = static_cast<EventKind>(kind);
  event.channel = object.at("channel").get<std::string>();
  ASSIGN_OR_RETURN(event.digest, DigestOf(object, "digest"));
  event.metric = object.at("metric").get<std::string>();
  event.detail = object.at("detail").get<std::string>();
  return event;
}

absl::StatusOr<Durable::Channel> ChannelOf(const json& object) {
  Durable::Channel channel;
  ASSIGN_OR_RETURN(channel.running, DigestOf(object, "running"));
  ASSIGN_OR_RETURN(channel.previous, DigestOf(object, "previous"));
  ASSIGN_OR_RETURN(channel.activating, DigestOf(object, "activating"));
  if (object.contains("staged")) {
    ASSIGN_OR_RETURN(channel.staged, ReleaseOf(object.at("staged")));
  }
  for (const json& burned : object.at("burned")) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(burned.get<std::string>()));
    channel.burned.push_back(digest);
  }
  return channel;
}

absl::StatusOr<Durable> DurableOf(const json& object) {
  Durable durable;
  ASSIGN_OR_RETURN(durable.agent, AgentId::Parse(object.at("agent").get<std::string>()));
  durable.secret = absl::HexStringToBytes(object.at("secret").get<std::string>());
  durable.tenant = object.at("tenant").get<std::string>();
  durable.boot_id = object.at("boot_id").get<std::string>();
  durable.said_goodbye = object.at("said_goodbye").get<bool>();
  durable.last_shutdown_clean = object.at("last_shutdown_clean").get<bool>();
  durable.next_seq = object.at("next_seq").get<uint64_t>();
  for (const json& item : object.at("queue")) {
    ASSIGN_OR_RETURN(HostEvent event, EventOf(item));
    durable.queue.push_back(std::move(event));
  }
  for (const auto& [name, item] : object.at("channels").items()) {
    ASSIGN_OR_RETURN(durable.channels[name], ChannelOf(item));
  }
  return durable;
}

}  // namespace

std::string EncodeDurable(const Durable& durable) {
  json object = {{"agent", durable.agent.ToString()},
                 {"secret", absl::BytesToHexString(durable.secret)},
                 {"tenant", durable.tenant},
                 {"boot_id", durable.boot_id},
                 {"said_goodbye", durable.said_goodbye},
                 {"last_shutdown_clean", durable.last_shutdown_clean},
                 {"next_seq", durable.next_seq},
                 {"queue", json::array()},
                 {"channels", json::object()}};
  for (const HostEvent& event : durable.queue) {
    object["queue"].push_back({{"seq", event.seq},
                               {"boot_id", event.boot_id},
                               {"kind", static_cast<int>(event.kind)},
                               {"channel", event.channel},
                               {"digest", Text(event.digest)},
                               {"metric", event.metric},
                               {"detail", event.detail}});
  }
  for (const auto& [name, channel] : durable.channels) {
    json item = {{"running", Text(channel.running)},
                 {"previous", Text(channel.previous)},
                 {"activating", Text(channel.activating)},
                 {"burned", json::array()}};
    if (channel.staged) item["staged"] = ToJson(*channel.staged);
    for (const Digest& digest : channel.burned) item["burned"].push_back(digest.ToString());
    object["channels"][name] = std::move(item);
  }
  // Details come from the host and need not be UTF-8: what cannot be shown is replaced, never an exception.
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Durable> DecodeDurable(absl::string_view text) {
  try {
    return DurableOf(json::parse(text.begin(), text.end()));
  } catch (const json::exception& error) {
    return absl::DataLossError(error.what());
  }
}

}  // namespace ringfence::agent
