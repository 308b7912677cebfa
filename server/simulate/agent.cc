// The simulated agent: checks in, obeys, asks for leases, activates, proves itself. A good agent, as
// agent-api/ builds it; what its host suffers is elsewhere.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/simulate/plan_builder.h"
#include "server/simulate/world.h"

namespace ringfence::replay {
namespace {

constexpr Micros kLeaseLatency = 100'000;  // between the reply and the request for a lease
constexpr Micros kCommitEvery = 250'000;   // leases that arrive within it share one commit
constexpr Micros kAttestDelay = kSecond;   // from activation to the check-in that attests it
constexpr Micros kMostBackOff = 10 * kMinute;
constexpr size_t kMostExamples = 5;

}  // namespace

absl::string_view World::BootId(uint32_t boot) {
  while (boot_ids_.size() <= boot) {
    boot_ids_.push_back(std::make_unique<std::string>(absl::StrCat("boot-", boot_ids_.size())));
  }
  return *boot_ids_[boot];
}

absl::Span<const app::RunningView> World::RunningOf(const Host& host) {
  const uint32_t key = (static_cast<uint32_t>(host.running[0]) << 16) | host.running[1];
  auto& set = running_sets_[key];
  if (set == nullptr) {
    set = std::make_unique<std::vector<app::RunningView>>();
    // Channel names in their order.
    set->push_back({kContentChannel, ledger_.versions[host.running[kContentSlot]].digest});
    set->push_back({kSensorChannel, ledger_.versions[host.running[kSensorSlot]].digest});
  }
  return *set;
}

absl::Span<const Digest> World::StagedOf(const Host& host) {
  const uint32_t key = (static_cast<uint32_t>(host.staged[0]) << 16) | host.staged[1];
  if (key == 0xffffffffu) return {};
  auto& set = staged_sets_[key];
  if (set == nullptr) {
    set = std::make_unique<std::vector<Digest>>();
    for (const uint16_t version : host.staged) {
      if (version != kNoIndex) set->push_back(ledger_.versions[version].digest);
    }
  }
  return *set;
}

void World::AddEvent(uint32_t index, app::AgentEvent event) {
  Host& host = fleet_.hosts[index];
  event.seq = host.next_seq++;
  event.boot_id = std::string(BootId(host.boot));
  events_[index].push_back(std::move(event));
  host.has_events = true;
}

void World::ScheduleCheckIn(uint32_t index, Micros delay) {
  Host& host = fleet_.hosts[index];
  Push(delay, Kind::kCheckIn, index, 0, ++host.checkin_generation);
}

bool World::Call(uint32_t index, bool goodbye) {
  Host& host = fleet_.hosts[index];
  ++ledger_.requests_per_minute[static_cast<size_t>(now_ / kMinute)];
  if (!server_up_) {
    ++ledger_.failed_checkins;
    return false;
  }
  const Fleet::LabelSet& labels = fleet_.label_sets[host.labels];
  request_.agent = host.id;
  request_.boot_id = BootId(host.boot);
  request_.last_shutdown_clean = host.last_shutdown_clean;
  request_.labels_hash = labels.hash;
  request_.labels = host.send_labels ? &labels.labels : nullptr;
  request_.running = RunningOf(host);
  request_.staged = StagedOf(host);
  request_.events = {};
  request_.goodbye = goodbye;
  if (host.has_events) request_.events = events_[index];
  const absl::Status status = server_->CheckIn(request_, &reply_);
  ++ledger_.checkins;
  if (!status.ok()) {
    NoteServer(status);
    return false;
  }
  host.failed_calls = 0;
  host.send_labels = reply_.send_labels;
  if (host.has_events) {
    events_.erase(index);
    host.has_events = false;
  }
  if (to_serve_ > 0 && served_[index] == 0) {
    served_[index] = 1;
    if (--to_serve_ == 0) ledger_.restarts.back().served_at = now_;
  }
  return true;
}

void World::CheckIn(uint32_t index, bool goodbye) {
  Host& host = fleet_.hosts[index];
  if (!Call(index, goodbye)) {
    // Doubling back-off with jitter, so that a server that returns is not run over.
    const int doublings = std::min<int>(host.failed_calls, 10);
    host.failed_calls = static_cast<uint8_t>(std::min(host.failed_calls + 1, 200));
    const Micros most = std::min(h_ << doublings, std::max(kMostBackOff, h_));
    ScheduleCheckIn(index, FromSeconds(agent_rng_.Uniform(0.5, 1.0) * static_cast<double>(most) / kSecond));
    return;
  }
  if (goodbye) return;
  Micros next = FromDuration(reply_.next_checkin);
  if (host.checkin_factor != 1) next = static_cast<Micros>(static_cast<double>(next) * host.checkin_factor);
  ScheduleCheckIn(index, next);
  if (reply_.directives->empty()) return;
  // Held here: obeying may call the server again, which reuses reply_.
  const std::shared_ptr<const std::vector<app::Directive>> directives = reply_.directives;
  for (const app::Directive& directive : *directives) Obey(index, directive);
}

void World::BriefCheckIn(uint32_t index) {
  Host& host = fleet_.hosts[index];
  ++host.boot;
  host.last_shutdown_clean = false;
  if (!host.powered || host.cut_off || !Call(index, /*goodbye=*/false)) return;
  const std::shared_ptr<const std::vector<app::Directive>> directives = reply_.directives;
  for (const app::Directive& directive : *directives) {
    if (directive.kind == app::DirectiveKind::kRevert) Obey(index, directive);
  }
}

void World::CheckOffer(const Host& host, const Version& version) {
  const auto note = [&](int64_t& counter, absl::string_view what) {
    ++counter;
    if (ledger_.forbidden_examples.size() >= kMostExamples) return;
    ledger_.forbidden_examples.push_back(absl::StrCat(what, ": host ", host.id.ToString(), " of ",
                                                      fleet_.TenantOf(host), " was offered ", version.text));
  };
  for (const policy::Selector& selector : scenario_.never_offered) {
    if (fleet_.Matches(selector, host)) note(ledger_.forbidden_offers, "never_offered");
  }
  const ChannelPolicy& policy = fleet_.PolicyOf(host, version.slot);
  const bool plan_forbids =
      policy.mode == policy::ChannelMode::kPaused ||
      (policy.mode == policy::ChannelMode::kPinned && policy.pinned_version != version.text);
  if (plan_forbids || host.ring == kNoIndex || !IsTargetedAndQualified(host, version)) {
    note(ledger_.offers_outside_plan, "outside plan, targets or matrix");
  }
}

void World::Obey(uint32_t index, const app::Directive& directive) {
  Host& host = fleet_.hosts[index];
  const auto found = version_of_.find(directive.digest);
  if (found == version_of_.end()) return;
  const uint16_t version = found->second;
  const size_t slot = ledger_.versions[version].slot;
  switch (directive.kind) {
    case app::DirectiveKind::kPrefetch: {
      if (host.staged[slot] == version || host.fetching == version || host.running[slot] == version) return;
      CheckOffer(host, ledger_.versions[version]);
      host.fetching = version;
      const Micros wait = FromSeconds(agent_rng_.Unit() * absl::ToDoubleSeconds(directive.within));
      Push(wait + scenario_.fleet.download.Sample(agent_rng_), Kind::kDownloaded, index, version);
      return;
    }
    case app::DirectiveKind::kRequestLease:
      if (host.staged[slot] != version || host.activating != kNoIndex) return;
      Push(kLeaseLatency, Kind::kLease, index, version);
      return;
    case app::DirectiveKind::kRevert: {
      const uint64_t key = (static_cast<uint64_t>(index) << 16) | version;
      if (revert_ordered_.try_emplace(key, true).second) ledger_.revert_orders.push_back({now_, index});
      if (host.staged[slot] == version) host.staged[slot] = kNoIndex;
      if (host.activating == version) host.activating = kNoIndex;
      if (host.running[slot] == version) GoBack(index, slot);
      return;
    }
    case app::DirectiveKind::kDrop:
      if (host.staged[slot] == version) host.staged[slot] = kNoIndex;
      if (host.fetching == version) host.fetching = kNoIndex;
      return;
  }
}

void World::OnDownloaded(uint32_t index, uint16_t version) {
  Host& host = fleet_.hosts[index];
  if (host.fetching != version) return;
  host.fetching = kNoIndex;
  if (!CanTalk(host)) return;  // fell asleep over it; told again when it is back
  host.staged[ledger_.versions[version].slot] = version;
}

void World::OnLease(uint32_t index, uint16_t version) {
  Host& host = fleet_.hosts[index];
  const Version& wanted = ledger_.versions[version];
  if (!CanTalk(host) || !server_up_ || host.staged[wanted.slot] != version || host.activating != kNoIndex)
    return;
  ++ledger_.lease_requests;
  ++ledger_.requests_per_minute[static_cast<size_t>(now_ / kMinute)];
  app::LeaseRequest request;
  request.agent = host.id;
  request.channel = wanted.slot == kContentSlot ? kContentChannel : kSensorChannel;
  request.digest = wanted.digest;
  request.boot_id = BootId(host.boot);
  const int64_t before = answers_;
  const Micros asked_at = now_;
  server_->Lease(request, [this, index, version, asked_at,
                           incarnation = incarnation_](absl::StatusOr<app::LeaseReply> answer) {
    ++answers_;
    if (incarnation != incarnation_ || !answer.ok() || !answer->granted) return;
    OnGranted(index, version, asked_at, FromDuration(answer->ttl));
  });
  if (answers_ == before && !commit_scheduled_) {
    commit_scheduled_ = true;
    Push(kCommitEvery, Kind::kCommit, 0);
  }
}

void World::OnGranted(uint32_t index, uint16_t version, Micros asked_at, Micros ttl) {
  Host& host = fleet_.hosts[index];
  ledger_.grants.push_back({now_, index, version});
  CheckOffer(host, ledger_.versions[version]);
  const Micros ready_at = std::max(now_, asked_at + scenario_.fleet.activate_delay.Sample(agent_rng_));
  if (ready_at - asked_at > ttl) return;  // too slow: the lease dies unused
  host.activating = version;
  Push(ready_at - now_, Kind::kActivate, index, version);
}

void World::OnActivate(uint32_t index, uint16_t version) {
  Host& host = fleet_.hosts[index];
  const size_t slot = ledger_.versions[version].slot;
  if (host.activating != version) return;
  host.activating = kNoIndex;
  if (!host.powered || host.down || host.staged[slot] != version) return;  // the lease dies unused
  host.previous[slot] = host.running[slot];
  host.running[slot] = version;
  host.staged[slot] = kNoIndex;
  ++host.version_generation;
  ledger_.activations.push_back({now_, index, version});
  ScheduleCheckIn(index, kAttestDelay);
  Arm(index, version);
}

void World::GoBack(uint32_t index, size_t slot) {
  Host& host = fleet_.hosts[index];
  if (host.ignores_reverts || host.previous[slot] == kNoIndex) return;
  const bool harmed = host.fault != 0xff;
  if (harmed && host.down && !scenario_.faults[host.fault].heals_on_revert) return;
  const uint16_t bad = host.running[slot];
  host.running[slot] = host.previous[slot];
  host.previous[slot] = kNoIndex;
  if (harmed) {
    if (scenario_.faults[host.fault].heals_on_revert) Heal(index);
  } else {
    ++host.version_generation;
    Disarm(index);
  }
  app::AgentEvent event;
  event.kind = app::EventKind::kReverted;
  event.channel = slot == kContentSlot ? kContentChannel : kSensorChannel;
  event.digest = ledger_.versions[bad].digest;
  event.detail = "ordered";
  AddEvent(index, std::move(event));
  ScheduleCheckIn(index, kAttestDelay);
}

}  // namespace ringfence::replay
