#include "tests/support/fleet_harness.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"

namespace ringfence::test {

using app::DirectiveKind;
using app::EventKind;

FleetHarness::FleetHarness(Options options)
    : options_(std::move(options)),
      clock_(absl::FromUnixSeconds(1'700'000'000)),
      watch_({options_.internal_tenant, options_.h}),
      memory_(storage::MakeMemoryStore()),
      store_(std::make_unique<RecordingStore>(
          memory_.get(), [this](const Changes& changes) { watch_.Committed(changes, clock_.Now()); },
          options_.seed * 3 + 1)),
      gate_(std::make_unique<GatedStore>(store_.get())),
      random_(options_.seed * 7 + 5) {
  effect = [](const SimHost&, const Digest&) { return Effect::kGood; };
  refuses = [](const SimHost&, const Digest&) { return false; };
}

Digest FleetHarness::Factory(const std::string& channel) {
  return Sha256(absl::StrCat("factory ", channel));
}

int FleetHarness::AddHost(const std::string& tenant, std::vector<policy::Labels::Pair> labels) {
  const size_t index = hosts_.size();
  SimHost& host = hosts_.emplace_back();
  const Digest digest = Sha256(absl::StrCat("host ", index));
  std::copy_n(digest.bytes.begin(), 16, host.id.bytes.begin());
  host.tenant = tenant;
  host.labels = policy::Labels::Make(std::move(labels)).value();
  if (options_.factory_content) host.running["content"] = Factory("content");
  by_id_[host.id] = index;
  watch_.Enrolled(host.id, tenant, host.labels);
  storage::AgentRow row;
  row.agent = host.id;
  row.tenant = tenant;
  row.secret_hash = Sha256("secret");
  row.labels = host.labels;
  for (const auto& [channel, running] : host.running) row.running.push_back({channel, running});
  row.enrolled_at = row.last_seen = clock_.Now();
  if (app_ == nullptr) {
    RF_CHECK(memory_->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents({&row, 1}); }).ok());
  } else {
    const app::Act act = Sre();
    const auto token = Insist([&] { return app_->CreateEnrolToken(act, tenant, absl::Hours(1)); });
    RF_CHECK(token.ok());
    const auto reply = app_->Enrol({token->token, host.id, host.labels, absl::StrCat("boot-", host.boots)});
    if (!reply.ok()) host.removed = true;  // in doubt: the token may be used up
  }
  Schedule(host, clock_.Now() + options_.h * std::uniform_real_distribution<double>(0, 1)(random_));
  return static_cast<int>(index);
}

void FleetHarness::AddRing(const std::string& tenant, const std::string& ring, int count) {
  for (int i = 0; i < count; ++i) AddHost(tenant, {{"ring", ring}, {"os", "win10"}});
}

void FleetHarness::Schedule(SimHost& host, absl::Time at) {
  host.next = at;
  due_.push({at, by_id_.at(host.id)});
}

void FleetHarness::WakeUp(int index) {
  SimHost& woken = host(index);
  woken.away = false;
  Schedule(woken, clock_.Now());
}

void FleetHarness::Relabel(int index, std::vector<policy::Labels::Pair> labels) {
  host(index).labels = policy::Labels::Make(std::move(labels)).value();
}

void FleetHarness::MakeApp() {
  app::AppOptions options;
  options.internal_tenant = options_.internal_tenant;
  options.checkin_interval = options_.h;
  options.seed = options_.seed;
  options.stop_patience = options_.stop_patience;
  options.halt_key = options_.halt_key;
  options.authority = options_.authority;
  options.trust = options_.trust;
  app_ = app::App::Make(options, gate_.get(), &clock_, nullptr);
}

void FleetHarness::Start() {
  MakeApp();
  const absl::Status status = app_->Start();
  RF_CHECK(status.ok());
  next_step_ = clock_.Now() + options_.step;
}

void FleetHarness::Crash() {
  app_.reset();
  watch_.Crashed(clock_.Now());
}

void FleetHarness::Restart() {
  Crash();
  for (int i = 0; i < 1000; ++i) {
    MakeApp();
    if (app_->Start().ok()) break;
  }
  next_step_ = clock_.Now() + options_.step;
}

void FleetHarness::Commit() {
  const int64_t failed = store_->failed();
  const absl::Status status = app_->CommitOnce().status();
  if (!status.ok() || store_->failed() != failed) watch_.BudgetsAreLate();
}

void FleetHarness::Step() {
  if (app_ == nullptr) return;
  const int64_t failed = store_->failed();
  last_step = app_->RunOnce();
  if (last_step.ok() && store_->failed() == failed) {
    watch_.Flushed();
  } else {
    watch_.BudgetsAreLate();
  }
  Commit();
}

void FleetHarness::RunFor(absl::Duration time) {
  RunUntil([] { return false; }, time);
}

bool FleetHarness::RunUntil(const std::function<bool()>& done, absl::Duration at_most) {
  const absl::Time end = clock_.Now() + at_most;
  while (true) {
    const absl::Time host_at = due_.empty() ? absl::InfiniteFuture() : due_.top().at;
    if (std::min(host_at, next_step_) > end) {
      clock_.Set(end);
      return done();
    }
    if (next_step_ <= host_at) {
      clock_.Set(next_step_);
      next_step_ = std::max(next_step_ + options_.step, clock_.Now());
      Step();
      if (done()) return true;
      continue;
    }
    const Due due = due_.top();
    due_.pop();
    clock_.Set(due.at);
    SimHost& host = hosts_[due.host];
    if (host.next == due.at) CheckIn(host);
  }
}

void FleetHarness::CheckInNow(int index) {
  CheckIn(host(index));
}

void FleetHarness::Queue(SimHost& host, EventKind kind, const std::string& channel, const Digest& digest) {
  app::AgentEvent event;
  event.seq = ++host.seq;
  event.boot_id = absl::StrCat("boot-", host.boots);
  event.kind = kind;
  event.channel = channel;
  event.digest = digest;
  event.detail = "simulated";
  host.outbox.push_back(std::move(event));
}

void FleetHarness::Boot(SimHost& host, bool clean) {
  ++host.boots;
  host.clean_boot = clean;
  if (!clean) Queue(host, EventKind::kCrash, "", Digest());
}

void FleetHarness::GoBack(SimHost& host, const std::string& channel, const Digest& from,
                          const std::string& detail) {
  host.running[channel] = host.previous[channel];
  if (host.running[channel].IsZero()) host.running.erase(channel);
  host.burned.insert(from);
  host.staged.erase(from);
  ++host.reverts;
  Queue(host, EventKind::kReverted, channel, from);
  host.outbox.back().detail = detail;
}

void FleetHarness::Activate(SimHost& host, const std::string& channel, const Digest& digest) {
  const Effect what = effect(host, digest);
  host.suffers[digest] = what;
  if (what == Effect::kNeverActivates) return;
  if (what == Effect::kActivationFails) {
    Queue(host, EventKind::kActivationFailed, channel, digest);
    return;
  }
  host.previous[channel] = host.running.contains(channel) ? host.running[channel] : Digest();
  host.running[channel] = digest;
  host.activated_at[digest] = clock_.Now();
  switch (what) {
    case Effect::kBricks:
      host.dead = true;
      break;
    case Effect::kBricksLater:
      host.dies_at = clock_.Now() + absl::Minutes(20);
      break;
    case Effect::kCrashes:
    case Effect::kCrashesOften:
      Boot(host, false);
      break;
    case Effect::kDegrades:
      Queue(host, EventKind::kDegraded, channel, digest);
      break;
    case Effect::kFallsBackUnheard:
      Boot(host, false);
      GoBack(host, channel, digest, "the loader fell back");
      break;
    default:
      break;
  }
}

void FleetHarness::CheckIn(SimHost& host) {
  if (host.dead || host.away || host.removed) return;
  if (clock_.Now() >= host.dies_at) {
    host.dead = true;
    return;
  }
  const absl::Time retry =
      clock_.Now() + options_.h * std::uniform_real_distribution<double>(0.8, 1.2)(random_);
  if (deaf || app_ == nullptr) return Schedule(host, retry);

  for (auto& [channel, digest] : std::map<std::string, Digest>(host.running)) {
    if (digest == Factory(channel) || !host.activated_at.contains(digest)) continue;
    const Effect what = host.suffers[digest];
    if (what == Effect::kCrashesOften) Boot(host, false);
    if (what == Effect::kFallsBackHeard && clock_.Now() - host.activated_at[digest] > options_.h) {
      Boot(host, false);
      GoBack(host, channel, digest, "the loader fell back");
    }
  }

  const std::string boot = absl::StrCat("boot-", host.boots);
  const std::string hash = host.labels.Hash16();
  std::vector<app::RunningView> running;
  for (const auto& [channel, digest] : host.running) running.push_back({channel, digest});
  std::vector<Digest> staged(host.staged.begin(), host.staged.end());
  std::vector<app::AgentEvent> events = host.outbox;
  if (Chance(options_.repeated_events)) {
    events.insert(events.end(), host.sent_before.begin(), host.sent_before.end());
  }
  app::CheckInRequest request;
  request.agent = host.id;
  request.boot_id = boot;
  request.last_shutdown_clean = host.clean_boot;
  request.labels_hash = hash;
  if (host.send_labels) request.labels = &host.labels;
  request.running = running;
  request.staged = staged;
  request.events = events;
  request.goodbye = host.goodbye_next;
  app::CheckInReply reply;
  const absl::Status status = app_->CheckIn(request, &reply);
  if (absl::IsUnauthenticated(status)) {
    host.removed = true;
    return;
  }
  RF_CHECK(status.ok());
  const auto known = watch_.hosts().find(host.id);
  const policy::Labels& heard_labels = host.send_labels ? host.labels : known->second.labels;
  watch_.Heard(host.id, heard_labels, host.running, clock_.Now());
  for (const app::AgentEvent& event : host.outbox) {
    if (event.kind == EventKind::kReverted) watch_.WentBack(host.id, event.digest, clock_.Now());
  }
  const bool slow = std::any_of(host.running.begin(), host.running.end(), [&](const auto& entry) {
    const auto it = host.suffers.find(entry.second);
    return it != host.suffers.end() && it->second == Effect::kSlows;
  });
  Schedule(host, clock_.Now() + reply.next_checkin * (slow ? 2 : 1));
  if (Chance(options_.lost_replies)) return;  // everything is said again
  host.sent_before = std::move(host.outbox);
  host.outbox.clear();
  host.send_labels = reply.send_labels;
  host.directives = *reply.directives;
  if (host.goodbye_next) {
    host.goodbye_next = false;
    host.away = true;
    return;
  }
  for (const app::Directive& directive : *reply.directives) OnDirective(host, directive);
}

void FleetHarness::OnDirective(SimHost& host, const app::Directive& directive) {
  const absl::Time soon = clock_.Now() + absl::Seconds(std::uniform_int_distribution<int>(2, 10)(random_));
  switch (directive.kind) {
    case DirectiveKind::kPrefetch:
      watch_.Offered(host.id, directive.digest, clock_.Now());
      if (refuses(host, directive.digest)) {
        Queue(host, EventKind::kRejected, directive.channel, directive.digest);
      } else {
        host.staged.insert(directive.digest);
      }
      return Schedule(host, soon);
    case DirectiveKind::kRequestLease:
      return OnLease(host, directive);
    case DirectiveKind::kRevert: {
      const auto runs = host.running.find(directive.channel);
      if (runs == host.running.end() || runs->second != directive.digest) return;
      GoBack(host, directive.channel, directive.digest, "ordered back");
      return Schedule(host, soon);
    }
    case DirectiveKind::kDrop:
      host.staged.erase(directive.digest);
      return;
  }
}

void FleetHarness::OnLease(SimHost& host, const app::Directive& directive) {
  const size_t index = by_id_.at(host.id);
  const absl::Time asked = clock_.Now();
  const bool lost = Chance(options_.lost_replies);
  app_->Lease({host.id, directive.channel, directive.digest, absl::StrCat("boot-", host.boots)},
              [this, index, directive, asked, lost](absl::StatusOr<app::LeaseReply> reply) {
                SimHost& host = hosts_[index];
                if (!reply.ok()) return;
                host.last_answer = reply->granted ? policy::Reason::kNone : reply->reason;
                host.last_retry = reply->retry_after;
                if (!reply->granted) return;
                watch_.Granted(host.id, directive.digest, clock_.Now());
                ++host.grants;
                if (lost || clock_.Now() - asked >= reply->ttl || host.dead || host.away) return;
                Activate(host, directive.channel, directive.digest);
                Schedule(host, clock_.Now() + absl::Seconds(3));
              });
  if (Chance(options_.late_commits)) {
    watch_.BudgetsAreLate();
  } else {
    Commit();
  }
}

absl::StatusOr<app::LeaseReply> FleetHarness::AskLease(int index, const std::string& channel,
                                                       const Digest& digest) {
  absl::StatusOr<app::LeaseReply> answer = absl::UnknownError("no answer");
  app_->Lease({host(index).id, channel, digest, absl::StrCat("boot-", host(index).boots)},
              [&](absl::StatusOr<app::LeaseReply> reply) { answer = std::move(reply); });
  Commit();
  return answer;
}

absl::StatusOr<app::CheckInReply> FleetHarness::Say(int index, std::vector<app::AgentEvent> events) {
  SimHost& speaker = host(index);
  const std::string boot = absl::StrCat("boot-", speaker.boots);
  const std::string hash = speaker.labels.Hash16();
  std::vector<app::RunningView> running;
  for (const auto& [channel, digest] : speaker.running) running.push_back({channel, digest});
  app::CheckInRequest request;
  request.agent = speaker.id;
  request.boot_id = boot;
  request.last_shutdown_clean = true;
  request.labels_hash = hash;
  request.running = running;
  request.events = events;
  app::CheckInReply reply;
  if (const absl::Status status = app_->CheckIn(request, &reply); !status.ok()) return status;
  watch_.Heard(speaker.id, speaker.labels, speaker.running, clock_.Now());
  return reply;
}

app::Act FleetHarness::Sre(const std::string& person, const std::string& reason) {
  return {{person, app::Role::kSre, "", "key of " + person}, absl::StrCat("request-", ++request_), reason};
}

app::Act FleetHarness::Admin(const std::string& tenant, const std::string& reason) {
  return {{absl::StrCat("admin of ", tenant), app::Role::kTenantAdmin, tenant, "key of " + tenant},
          absl::StrCat("request-", ++request_),
          reason};
}

app::Act FleetHarness::Releaser() {
  return {{"rel", app::Role::kReleaseManager, ""}, absl::StrCat("request-", ++request_), "a release"};
}

std::string FleetHarness::BytesOf(const policy::Release& release) {
  return absl::StrCat("bytes of ", release.channel, " ", release.version);
}

policy::Release FleetHarness::NextRelease(const std::string& channel) {
  policy::Release release;
  release.channel = channel;
  release.kind = channel == "sensor" ? policy::ChannelKind::kSensor : policy::ChannelKind::kContent;
  release.serial = serials_[channel] + 1;
  release.version = absl::StrCat("v", release.serial);
  release.matrix = {policy::Selector{}};
  release.digest = Sha256(BytesOf(release));
  return release;
}

absl::StatusOr<policy::Release> FleetHarness::TryPublish(policy::Release release) {
  release.digest = Sha256(BytesOf(release));
  const app::Act act = Releaser();
  const auto reply = Insist([&] { return app_->Publish(act, {release, BytesOf(release)}); });
  if (!reply.ok()) return reply.status();
  serials_[release.channel] = std::max(serials_[release.channel], release.serial);
  return reply->row.release;
}

policy::Release FleetHarness::Publish(const std::string& channel) {
  auto release = TryPublish(NextRelease(channel));
  RF_CHECK(release.ok());
  return *release;
}

absl::StatusOr<storage::PlanRow> FleetHarness::TryApply(const policy::Plan& plan) {
  const app::Act act = plan.tenant == options_.internal_tenant ? Sre() : Admin(plan.tenant);
  auto row = Insist([&] { return app_->ApplyPlan(act, plan, revisions_[plan.tenant]); });
  if (row.ok()) revisions_[plan.tenant] = row->revision;
  return row;
}

void FleetHarness::Apply(const policy::Plan& plan) {
  const auto row = TryApply(plan);
  if (!row.ok()) std::fprintf(stderr, "plan: %s\n", row.status().ToString().c_str());
  RF_CHECK(row.ok());
}

int64_t FleetHarness::Running(const Digest& digest) const {
  return std::count_if(hosts_.begin(), hosts_.end(), [&](const SimHost& host) {
    const auto it = host.running.begin();
    (void)it;
    return std::any_of(host.running.begin(), host.running.end(),
                       [&](const auto& entry) { return entry.second == digest; });
  });
}

int64_t FleetHarness::RunningIn(const std::string& tenant, const std::string& ring,
                                const Digest& digest) const {
  return std::count_if(hosts_.begin(), hosts_.end(), [&](const SimHost& host) {
    return host.tenant == tenant && host.labels.Has("ring", ring) &&
           std::any_of(host.running.begin(), host.running.end(),
                       [&](const auto& entry) { return entry.second == digest; });
  });
}

const storage::StageRow* FleetHarness::StageOf(const std::string& tenant, const std::string& ring,
                                               uint64_t serial, const std::string& channel) const {
  for (const auto& [id, row] : watch_.stages()) {
    if (row.tenant == tenant && row.ring == ring && row.serial == serial && row.channel == channel)
      return &row;
  }
  return nullptr;
}

policy::StageState FleetHarness::StateOf(const std::string& tenant, const std::string& ring,
                                         uint64_t serial) const {
  const storage::StageRow* row = StageOf(tenant, ring, serial);
  return row == nullptr ? policy::StageState::kWaiting : row->state;
}

app::RolloutInfo FleetHarness::Rollout(uint64_t serial, const std::string& channel) {
  auto info = app_->GetRollout(channel, serial, "");
  RF_CHECK(info.ok());
  return *std::move(info);
}

bool FleetHarness::Decided(const std::string& action, const std::string& rule) const {
  return std::any_of(watch_.decisions().begin(), watch_.decisions().end(), [&](const auto& row) {
    return row.action == action && (rule.empty() || row.rule == rule);
  });
}

bool FleetHarness::Stopped(uint64_t serial) {
  const app::RolloutInfo info = Rollout(serial);
  return std::any_of(info.brakes.begin(), info.brakes.end(),
                     [](const auto& brake) { return brake.held || brake.halted || brake.recalled; });
}

std::string FleetHarness::Violations() const {
  return absl::StrJoin(watch_.violations(), "\n");
}

policy::Ring RingNamed(const std::string& name, std::vector<double> waves, int lag) {
  policy::Ring ring;
  ring.name = name;
  ring.selector = policy::Selector{{{"ring", {name}}}};
  ring.lag = lag;
  for (const double share : waves)
    ring.waves.push_back({policy::Ppm(static_cast<int64_t>(share * 1e6 + 0.5)), {}});
  ring.soak = absl::Minutes(5);
  return ring;
}

policy::Plan PlanOf(const std::string& tenant, std::vector<policy::Ring> rings) {
  policy::Plan plan;
  plan.tenant = tenant;
  policy::ChannelRule rule;
  rule.channel = "content";
  plan.channels = {rule};
  plan.rings = std::move(rings);
  return plan;
}

policy::SloGates Gates() {
  policy::SloGates gates;
  gates.crash = policy::RateGate{policy::Ppm(20'000), 3, absl::Hours(6)};
  gates.silence = policy::SilenceGate{3, policy::Ppm(50'000), 3, absl::Hours(1)};
  gates.degraded = policy::RateGate{policy::Ppm(20'000), 3, absl::Hours(6)};
  gates.cohort_keys = {"os"};
  return gates;
}

}  // namespace ringfence::test
