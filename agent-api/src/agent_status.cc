// What an agent says about itself, for people and for programs.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "ringfence/agent/agent.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::agent {
namespace {

using nlohmann::json;

json DigestJson(const Digest& digest) {
  return digest.IsZero() ? json(nullptr) : json(digest.ToString());
}

constexpr const char* kStates[] = {"off", "starting", "following", "holding"};

std::string StateOf(const ReleaseVerifier* verifier) {
  if (verifier == nullptr) return "off";
  const ReleaseVerifier::Report report = verifier->report();
  if (!report.fault.empty()) return "holding";
  return report.refreshed_at == absl::InfinitePast() ? "starting" : "following";
}

json VerificationJson(const ReleaseVerifier* verifier) {
  if (verifier == nullptr) return {{"state", "off"}, {"text", "releases are not verified on this host"}};
  const ReleaseVerifier::Report report = verifier->report();
  const std::string state = StateOf(verifier);
  json out;
  out["state"] = state;
  out["text"] = state == "holding"
                    ? absl::StrCat("new releases are held, what runs keeps running: ", report.fault)
                : state == "starting" ? "release metadata was not asked for yet"
                                      : "every release is verified by this host";
  out["refreshed_at"] =
      report.refreshed_at == absl::InfinitePast()
          ? json(nullptr)
          : json(tuf::TimeText(absl::FromUnixSeconds(absl::ToUnixSeconds(report.refreshed_at))));
  out["metadata"] = json::array();
  for (const ReleaseVerifier::Expiry& expiry : report.metadata) {
    out["metadata"].push_back(
        {{"role", expiry.role}, {"version", expiry.version}, {"expires", tuf::TimeText(expiry.expires)}});
  }
  out["throwaway_keys"] = report.throwaway;
  out["trust_version"] = report.memory.trust_version;
  out["clock_behind_s"] = absl::ToInt64Seconds(report.clock_behind);
  out["trouble"] = report.trouble;
  return out;
}

}  // namespace

std::string Agent::StatusJson() const {
  const Durable durable = machine_.ToDurable();
  const TrustMemory memory =
      options_.verifier == nullptr ? TrustMemory{} : options_.verifier->report().memory;
  json channels = json::object();
  for (const auto& [name, stored] : durable.channels) {
    const ChannelState* state = machine_.Find(name);
    json& channel = channels[name];
    channel["running"] = DigestJson(stored.running);
    channel["previous"] = DigestJson(stored.previous);
    channel["phase"] = Name(state->phase);
    if (state->phase != Phase::kIdle) {
      channel["candidate"] = DigestJson(state->candidate.digest);
      channel["candidate_version"] = state->candidate.version;
    }
    channel["burned"] = stored.burned.size();
    const auto known = memory.channels.find(name);
    if (known != memory.channels.end()) {
      channel["highest_serial"] = known->second.highest;
      channel["rollback_floor"] = known->second.floor;
    }
    const auto load = loads_.find(stored.running);
    const bool installed = known != memory.channels.end() && known->second.factory.count(stored.running) != 0;
    if (options_.verifier == nullptr) {
      channel["verified"] = "not on this host";
    } else if (load != loads_.end() && !load->second.empty()) {
      channel["verified"] = absl::StrCat("no: ", load->second);
    } else {
      channel["verified"] = installed ? "as installed" : "yes";
    }
  }
  const json status = {
      {"agent", durable.agent.ToString()},
      {"tenant", durable.tenant},
      {"failed_calls", failed_calls_},
      {"queued_events", durable.queue.size()},
      {"verification", VerificationJson(options_.verifier)},
      {"plan", options_.plan_guard == nullptr ? "none is pinned on this host: no cryptographic veto"
                                              : options_.plan_guard->Describe()},
      {"channels", std::move(channels)}};
  return status.dump(1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace) + "\n";
}

std::string Agent::MetricsText() const {
  const std::string state = StateOf(options_.verifier);
  std::string text = "# TYPE ringfence_agent_verification_state gauge\n";
  for (const char* one : kStates)
    absl::StrAppend(&text, "ringfence_agent_verification_state{state=\"", one, "\"} ", state == one ? 1 : 0,
                    "\n");
  absl::StrAppend(&text, "# TYPE ringfence_agent_failed_calls gauge\nringfence_agent_failed_calls ",
                  failed_calls_, "\n");
  if (options_.verifier == nullptr) return text;
  const ReleaseVerifier::Report report = options_.verifier->report();
  absl::StrAppend(&text, "# TYPE ringfence_agent_metadata_expires_seconds gauge\n");
  for (const ReleaseVerifier::Expiry& expiry : report.metadata) {
    // A role's name is a stranger's: quoted as a file's would be, it cannot break the line.
    absl::StrAppend(&text, "ringfence_agent_metadata_expires_seconds{role=\"", tuf::Quote(expiry.role),
                    "\"} ", absl::ToUnixSeconds(expiry.expires), "\n");
  }
  absl::StrAppend(&text,
                  "# TYPE ringfence_agent_clock_behind_seconds gauge\nringfence_agent_clock_behind_seconds ",
                  absl::ToInt64Seconds(report.clock_behind), "\n");
  std::string serials = "# TYPE ringfence_agent_highest_serial gauge\n";
  std::string floors = "# TYPE ringfence_agent_rollback_floor gauge\n";
  for (const auto& [name, channel] : report.memory.channels) {
    absl::StrAppend(&serials, "ringfence_agent_highest_serial{channel=\"", name, "\"} ", channel.highest,
                    "\n");
    absl::StrAppend(&floors, "ringfence_agent_rollback_floor{channel=\"", name, "\"} ", channel.floor, "\n");
  }
  return absl::StrCat(text, serials, floors);
}

}  // namespace ringfence::agent
