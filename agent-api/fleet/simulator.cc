#include "simulator.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"

namespace ringfence::fleet {

using agent::Directive;
using agent::Effect;
using agent::Event;

struct Simulator::Host {
  size_t tenant = 0;
  std::string ring;
  policy::Labels labels;
  std::unique_ptr<agent::Machine> machine;
  std::map<std::string, Digest> running;  // what the simulated loader attests
  uint32_t life = 0;                      // rises with each death and boot
  int boots = 0;
  bool up = false;
  absl::Time start_at;                            // first boot, or the boot after a crash
  absl::Time strike_at = absl::InfiniteFuture();  // the fault of what it runs
  const FaultConfig* fault = nullptr;
  Digest struck_by;                           // the release that struck it last
  absl::Time armed = absl::InfiniteFuture();  // earliest live timer
  uint64_t luck = 0;
};

namespace {

// A share in [0, 1) that depends on the host and the salt alone.
double Luck(uint64_t luck, uint64_t salt) {
  agent::Chance chance(luck ^ (salt * 0xd1342543de82ef95ull + 1));
  return chance.Share();
}

AgentId AgentIdOf(agent::Chance& chance) {
  AgentId id;
  for (size_t i = 0; i < 2; ++i) {
    const uint64_t word = chance.Next();
    for (size_t j = 0; j < 8; ++j) id.bytes[i * 8 + j] = static_cast<uint8_t>(word >> (8 * j));
  }
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | 0x40);  // version 4
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

std::string Pick(const Mix& mix, double luck) {
  double total = 0;
  for (const auto& [value, weight] : mix.values) total += weight;
  double at = luck * total;
  for (const auto& [value, weight] : mix.values) {
    if (at < weight) return value;
    at -= weight;
  }
  return mix.values.back().first;
}

}  // namespace

Simulator::Simulator(FleetConfig config, std::string server, TokenSource tokens)
    : config_(std::move(config)), tokens_(std::move(tokens)) {
  for (int i = 0; i < config_.connections; ++i) {
    agent::ClientOptions options;
    options.server = server;
    options.connection = i;
    clients_.push_back(std::make_unique<agent::Client>(options));
  }
}

Simulator::~Simulator() = default;

void Simulator::Build() {
  agent::Chance chance(config_.seed);
  for (size_t t = 0; t < config_.tenants.size(); ++t) {
    const TenantConfig& tenant = config_.tenants[t];
    for (int n = 0; n < tenant.hosts; ++n) {
      auto host = std::make_unique<Host>();
      host->tenant = t;
      host->luck = chance.Next();
      std::vector<policy::Labels::Pair> labels;
      double below = 0;
      for (const auto& [ring, share] : tenant.rings) {
        below += share;
        host->ring = ring;
        if (n < below * tenant.hosts - 1e-9) break;
      }
      if (!host->ring.empty()) labels.emplace_back("ring", host->ring);
      uint64_t salt = 1;
      for (const auto& [key, mix] : tenant.labels)
        labels.emplace_back(key, Pick(mix, Luck(host->luck, ++salt)));
      auto made = policy::Labels::Make(std::move(labels));
      if (made.ok()) host->labels = *std::move(made);
      for (const std::string& channel : config_.channels) {
        host->running[channel] = Sha256(absl::StrCat("factory ", channel));
      }
      agent::Durable durable;
      durable.agent = AgentIdOf(chance);
      agent::MachineOptions options;
      options.min_interval = absl::Milliseconds(100);  // a scaled server may ask for less than a second
      host->machine = std::make_unique<agent::Machine>(options, std::move(durable), chance.Next());
      hosts_.push_back(std::move(host));
    }
  }
}

void Simulator::Arm(size_t index, absl::Time at) {
  Host& host = *hosts_[index];
  if (at >= host.armed || at == absl::InfiniteFuture()) return;
  host.armed = at;
  timers_.push({at, index});
}

void Simulator::Boot(size_t index, absl::Time now) {
  Host& host = *hosts_[index];
  if (host.boots > 0) {
    agent::MachineOptions options;
    options.min_interval = absl::Milliseconds(100);
    host.machine =
        std::make_unique<agent::Machine>(options, host.machine->ToDurable(), host.luck + host.life);
  }
  ++host.life;
  ++host.boots;
  host.up = true;
  agent::Started started;
  started.boot_id = absl::StrCat("boot-", host.boots);
  started.labels = host.labels;
  for (const auto& [channel, digest] : host.running) started.attested.push_back({channel, digest});
  Step(index, started, now);
}

void Simulator::Step(size_t index, const Event& event, absl::Time now) {
  std::deque<Event> events = {event};
  while (!events.empty()) {
    Host& host = *hosts_[index];
    const agent::Effects effects = host.machine->Step(events.front(), now);
    events.pop_front();
    for (const Effect& effect : effects) Carry(index, effect, now, events);
  }
  const Host& host = *hosts_[index];
  Arm(index, std::min(host.machine->NextWakeup(), host.strike_at));
}

void Simulator::Carry(size_t index, const Effect& effect, absl::Time now, std::deque<Event>& more) {
  Host& host = *hosts_[index];
  agent::Client& client = *clients_[index % clients_.size()];
  const uint32_t life = host.life;
  const auto credential = [&] { return agent::Credential{host.machine->agent(), host.machine->secret()}; };

  if (std::holds_alternative<agent::SendEnrol>(effect)) {
    const AgentId agent = host.machine->agent();
    tokens_(config_.tenants[host.tenant].name, [this, index, life, &client, agent, labels = host.labels,
                                                boot = host.machine->boot_id()](
                                                   absl::StatusOr<std::string> token) {
      if (!token.ok()) return Post(index, life, agent::EnrolFailed{std::string(token.status().message())});
      client.Enrol(*token, agent, labels, boot, [this, index, life](absl::StatusOr<agent::EnrolReply> reply) {
        if (reply.ok()) return Post(index, life, agent::Enrolled{*std::move(reply)});
        Post(index, life, agent::EnrolFailed{std::string(reply.status().message())});
      });
    });
  } else if (const auto* check_in = std::get_if<agent::SendCheckIn>(&effect)) {
    client.CheckIn(credential(), check_in->request,
                   [this, index, life](absl::StatusOr<agent::CheckInReply> reply) {
                     if (reply.ok()) return Post(index, life, agent::CheckedIn{*std::move(reply)});
                     Post(index, life,
                          agent::CheckInFailed{agent::Client::RetryAfter(reply.status()),
                                               std::string(reply.status().message())});
                   });
  } else if (const auto* fetch = std::get_if<agent::StartFetch>(&effect)) {
    known_.emplace(fetch->release.digest, fetch->release);
    auto hash = std::make_shared<Sha256Stream>();
    client.Fetch(
        credential(), fetch->release.digest, 0,
        [hash](int64_t, absl::string_view bytes) {
          hash->Update(bytes);
          return absl::OkStatus();
        },
        [this, index, life, hash, release = fetch->release](absl::StatusOr<int64_t> size) {
          if (size.ok())
            return Post(index, life, agent::Fetched{release.channel, release.digest, hash->Finish()});
          Post(index, life,
               agent::FetchFailed{release.channel, release.digest, agent::FetchFault::kDownload,
                                  std::string(size.status().message())});
        });
  } else if (const auto* lease = std::get_if<agent::SendLease>(&effect)) {
    client.Lease(credential(), {lease->channel, lease->digest, host.machine->boot_id()},
                 [this, index, life, lease = *lease](absl::StatusOr<agent::LeaseReply> reply) {
                   if (reply.ok())
                     return Post(index, life, agent::Leased{lease.channel, lease.ask, *std::move(reply)});
                   Post(index, life,
                        agent::LeaseFailed{lease.channel, lease.ask, std::string(reply.status().message())});
                 });
  } else if (const auto* activate = std::get_if<agent::Activate>(&effect)) {
    ReleaseLedger& ledger = LedgerOf(known_[activate->digest]);
    ++ledger.leases;
    ledger.last_lease = now;
    ++ledger.exposed;
    Flip(index, activate->channel, activate->digest, /*revert=*/false, now);
    more.push_back(agent::Flipped{activate->channel, activate->digest, false, ""});
  } else if (const auto* revert = std::get_if<agent::Revert>(&effect)) {
    const auto release = known_.find(revert->from);
    if (release != known_.end()) {
      ReleaseLedger& ledger = LedgerOf(release->second);
      ++ledger.reverted;
      if (host.struck_by != revert->from) ++ledger.saved;
    }
    Flip(index, revert->channel, revert->to, /*revert=*/true, now);
    more.push_back(agent::Flipped{revert->channel, revert->to, false, ""});
  }
  // Persist: a simulated crash keeps the machine's memory. CancelFetch, Discard, Note: nothing to do here.
}

ReleaseLedger& Simulator::LedgerOf(const Directive& release) {
  ReleaseLedger& ledger = ledgers_[release.digest];
  ledger.channel = release.channel;
  ledger.version = release.version;
  ledger.serial = release.serial;
  return ledger;
}

const FaultConfig* Simulator::FaultFor(size_t index, const Directive& release) const {
  const Host& host = *hosts_[index];
  for (size_t i = 0; i < config_.faults.size(); ++i) {
    const FaultConfig& fault = config_.faults[i];
    if (!fault.channel.empty() && fault.channel != release.channel) continue;
    if (!fault.version.empty() && fault.version != release.version) continue;
    const bool matches = std::all_of(fault.match.begin(), fault.match.end(), [&](const auto& label) {
      return host.labels.Has(label.first, label.second);
    });
    if (matches && Luck(host.luck, 1000 + i) < fault.probability) return &fault;
  }
  return nullptr;
}

void Simulator::Flip(size_t index, const std::string& channel, const Digest& to, bool revert,
                     absl::Time now) {
  Host& host = *hosts_[index];
  host.running[channel] = to;
  host.strike_at = absl::InfiniteFuture();
  host.fault = nullptr;
  const auto release = known_.find(to);
  if (revert || release == known_.end()) return;
  host.fault = FaultFor(index, release->second);
  if (host.fault == nullptr) return;
  host.struck_by = Digest{};
  const absl::Duration spread = host.fault->delay_max - host.fault->delay_min;
  host.strike_at = now + host.fault->delay_min + spread * Luck(host.luck, 500 + HeadBigEndian(to));
}

void Simulator::Strike(size_t index, absl::Time now) {
  Host& host = *hosts_[index];
  const FaultConfig& fault = *host.fault;
  host.strike_at = absl::InfiniteFuture();
  for (const auto& [channel, digest] : host.running) {
    const auto release = known_.find(digest);
    if (release == known_.end() || FaultFor(index, release->second) != &fault) continue;
    ReleaseLedger& ledger = LedgerOf(release->second);
    ++ledger.harmed;
    if (!ledger.first_harm) ledger.first_harm = now;
    host.struck_by = digest;
    switch (fault.effect) {
      case FaultEffect::kSilent:
        host.up = false;
        ++host.life;
        return;
      case FaultEffect::kCrash:
        Step(index, agent::Reported{agent::EventKind::kCrash, channel, digest, "", "simulated"}, now);
        host.up = false;
        ++host.life;
        host.start_at = now + fault.down_for;
        Arm(index, host.start_at);
        return;
      case FaultEffect::kDegraded:
        Step(index, agent::Reported{agent::EventKind::kDegraded, channel, digest, fault.metric, "simulated"},
             now);
        return;
    }
  }
}

void Simulator::Due(size_t index, absl::Time now) {
  Host& host = *hosts_[index];
  host.armed = absl::InfiniteFuture();
  if (!host.up) {
    if (now >= host.start_at) {
      host.start_at = absl::InfiniteFuture();
      Boot(index, now);
    } else {
      Arm(index, host.start_at);
    }
    return;
  }
  if (now >= host.strike_at) Strike(index, now);
  if (!host.up) return;
  if (now >= host.machine->NextWakeup()) {
    Step(index, agent::TimePassed{}, now);
  } else {
    Arm(index, std::min(host.machine->NextWakeup(), host.strike_at));
  }
}

void Simulator::Post(size_t host, uint32_t life, Event event) {
  MutexLock lock(&mutex_);
  inbox_.push_back({host, life, std::move(event)});
  if (inbox_.size() == 1) wake_.notify_one();
}

void Simulator::RunUntil(absl::Time until, const std::function<absl::Time()>& now) {
  if (!built_) {
    built_ = true;
    Build();
    for (size_t i = 0; i < hosts_.size(); ++i) {
      hosts_[i]->start_at = now() + config_.ramp * Luck(hosts_[i]->luck, 0);
      Arm(i, hosts_[i]->start_at);
    }
  }
  std::vector<Answer> answers;
  while (now() < until) {
    answers.clear();
    {
      MutexLock lock(&mutex_);
      if (inbox_.empty()) {
        const absl::Time next = timers_.empty() ? until : std::min(until, timers_.top().at);
        // A little patience lets answers gather: fewer wake-ups, the same work.
        const absl::Duration wait = std::clamp(next - now(), absl::Milliseconds(1), absl::Milliseconds(20));
        wake_.wait_for(lock.native(), absl::ToChronoNanoseconds(wait));
      }
      answers.swap(inbox_);
    }
    const absl::Time at = now();
    for (const Answer& answer : answers) {
      const bool check_in = std::holds_alternative<agent::CheckedIn>(answer.event);
      checkins_ += check_in;
      checkin_errors_ += std::holds_alternative<agent::CheckInFailed>(answer.event);
      Host& host = *hosts_[answer.host];
      if (host.life == answer.life && host.up) Step(answer.host, answer.event, at);
    }
    while (!timers_.empty() && timers_.top().at <= at) {
      const Timer timer = timers_.top();
      timers_.pop();
      if (timer.at == hosts_[timer.host]->armed) Due(timer.host, at);  // else an earlier one took its place
    }
  }
}

FleetStats Simulator::Stats() const {
  FleetStats stats;
  stats.checkins = checkins_;
  stats.checkin_errors = checkin_errors_;
  absl::flat_hash_map<Digest, ReleaseLedger> ledgers = ledgers_;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    const Host& host = *hosts_[i];
    ++stats.hosts;
    stats.up += host.up;
    stats.enrolled += host.machine->enrolled();
    for (const auto& [channel, digest] : host.running) {
      const auto ledger = ledgers.find(digest);
      if (ledger == ledgers.end() || !host.up) continue;
      ++ledger->second.running;
      ++ledger->second.running_by_ring[absl::StrCat(config_.tenants[host.tenant].name, "/", host.ring)];
    }
    for (auto& [digest, ledger] : ledgers) {
      if (!host.up && host.struck_by != digest) continue;
      if (FaultFor(i, known_.at(digest)) != nullptr) ++ledger.push_to_all_would_harm;
    }
  }
  for (auto& [digest, ledger] : ledgers) stats.releases.push_back(std::move(ledger));
  std::sort(stats.releases.begin(), stats.releases.end(), [](const ReleaseLedger& a, const ReleaseLedger& b) {
    return std::tie(a.channel, a.serial) < std::tie(b.channel, b.serial);
  });
  return stats;
}

}  // namespace ringfence::fleet
