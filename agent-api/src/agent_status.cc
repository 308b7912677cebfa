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

json VerificationJson(const ReleaseVerifier* verifier) {
  if (verifier == nullptr) return {{"state", "off"}, {"text", "releases are not verified on this host"}};
  const ReleaseVerifier::Report report = verifier->report();
  json out;
  if (!report.fault.empty()) {
    out["state"] = "holding";
    out["text"] = absl::StrCat("new releases are held, what runs keeps running: ", report.fault);
  } else if (report.refreshed_at == absl::InfinitePast()) {
    out["state"] = "starting";
    out["text"] = "release metadata was not asked for yet";
  } else {
    out["state"] = "following";
    out["text"] = "every release is verified by this host";
  }
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
  const json status = {{"agent", durable.agent.ToString()},
                       {"tenant", durable.tenant},
                       {"failed_calls", failed_calls_},
                       {"queued_events", durable.queue.size()},
                       {"verification", VerificationJson(options_.verifier)},
                       {"channels", std::move(channels)}};
  return status.dump(1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace) + "\n";
}

}  // namespace ringfence::agent
