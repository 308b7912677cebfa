// Random histories of server, network, loader, crashes and restarts against one machine; an independent
// checker watches every effect. The seed is printed; RINGFENCE_SEED replays one.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "gtest/gtest.h"
#include "ringfence/agent/machine.h"
#include "ringfence/base/hash.h"

namespace ringfence::agent {
namespace {

constexpr int kHistories = 1500;
constexpr int kSteps = 250;

uint64_t FirstSeed() {
  if (const char* text = std::getenv("RINGFENCE_SEED")) return std::strtoull(text, nullptr, 10);
  return std::random_device{}();
}

// The world around the machine, and what it must never see.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    for (int i = 0; i < 5; ++i) digests_.push_back(Sha256(std::to_string(i)));
    Boot();
  }

  void Run() {
    for (int i = 0; i < kSteps && !::testing::Test::HasFailure(); ++i) OneThing();
  }

 private:
  static constexpr const char* kChannels[] = {"content", "sensor"};

  int Pick(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  bool Chance(int percent) { return Pick(100) < percent; }
  const Digest& AnyDigest() { return digests_[static_cast<size_t>(Pick(static_cast<int>(digests_.size())))]; }
  std::string AnyChannel() { return kChannels[Pick(2)]; }

  void Boot() {
    call_open_ = false;
    enrol_open_ = false;
    leases_.clear();
    fetches_.clear();
    flips_.clear();
    if (Chance(40)) boot_id_ = "boot-" + std::to_string(++boots_);
    machine_ = std::make_unique<Machine>(MachineOptions{}, disk_, random_());
    std::vector<Running> attested;
    for (const auto& [channel, digest] : loader_) attested.push_back({channel, digest});
    last_check_in_ = absl::InfinitePast();  // a new process knows nothing of the last call
    Step(Started{boot_id_, policy::Labels(), attested});
  }

  void OneThing() {
    now_ += absl::Milliseconds(Pick(4000));
    switch (Pick(10)) {
      case 0:
      case 1:
      case 2:
        if (call_open_) return AnswerCheckIn();
        if (enrol_open_) return AnswerEnrol();
        now_ = std::max(now_, std::min(machine_->NextWakeup(), now_ + absl::Hours(2)));
        return Step(TimePassed{});
      case 3:
        return Step(TimePassed{});
      case 4:
        return AnswerLease();
      case 5:
        return AnswerFetch();
      case 6:
      case 7:
        return AnswerFlip();
      case 8:
        if (Chance(20)) return LoaderFallsBack();
        if (Chance(30)) return Step(Reported{EventKind::kCrash, AnyChannel(), AnyDigest(), "", "boom"});
        if (Chance(20))
          return Step(LabelsChanged{policy::Labels::Make({{"os", std::to_string(Pick(9))}}).value()});
        // An answer to a question that nobody asked, or that was forgotten.
        if (Chance(50))
          return Step(Leased{AnyChannel(), static_cast<uint64_t>(Pick(5)), {false, {}, "budget", {}}});
        return Step(Fetched{AnyChannel(), AnyDigest(), Sha256("noise")});
      case 9:
        if (Chance(25)) return Boot();
        return;
    }
  }

  void AnswerEnrol() {
    enrol_open_ = false;
    if (Chance(50)) return Step(EnrolFailed{"no"});
    Step(Enrolled{{std::string(32, 's'), "acme", absl::Seconds(Pick(90))}});
  }

  void AnswerCheckIn() {
    call_open_ = false;
    if (Chance(25)) return Step(CheckInFailed{absl::Seconds(Pick(10)), "away"});
    CheckInReply reply;
    reply.next_checkin = absl::Seconds(Pick(90));
    reply.send_labels = Chance(10);
    for (int i = Pick(4); i > 0; --i) {
      Directive directive;
      directive.kind = static_cast<DirectiveKind>(1 + Pick(4));
      directive.channel = AnyChannel();
      directive.digest = AnyDigest();
      if (directive.kind == DirectiveKind::kRevert && Chance(70) && loader_.count(directive.channel)) {
        directive.digest = loader_[directive.channel];
      }
      directive.within = absl::Seconds(Pick(20));
      reply.directives.push_back(directive);
      if (directive.kind == DirectiveKind::kPrefetch && Chance(50)) {
        directive.kind = DirectiveKind::kRequestLease;
        reply.directives.push_back(directive);
      }
    }
    Step(CheckedIn{reply});
  }

  void AnswerLease() {
    if (leases_.empty()) return;
    const auto [lease, asked] = leases_.front();
    const std::string& channel = lease.channel;
    const Digest& digest = lease.digest;
    leases_.erase(leases_.begin());
    if (Chance(15)) return Step(LeaseFailed{channel, lease.ask, "unavailable"});
    if (Chance(10)) return Step(Unfit{channel, lease.ask, Chance(50), "recalled"});
    LeaseReply reply;
    reply.granted = Chance(75);
    reply.ttl = absl::Seconds(Pick(1500));
    if (reply.granted) granted_[{channel, digest}] = asked + std::min(reply.ttl, absl::Seconds(600));
    Step(Leased{channel, lease.ask, reply});
  }

  void AnswerFetch() {
    if (fetches_.empty()) return;
    const auto [channel, digest] = fetches_.front();
    fetches_.erase(fetches_.begin());
    if (Chance(15)) return Step(FetchFailed{channel, digest, AnyFault(), "?"});
    const Digest got = Chance(10) ? AnyDigest() : digest;
    if (got == digest) staged_.insert({channel, digest});
    Step(Fetched{channel, digest, got});
  }

  FetchFault AnyFault() {
    constexpr FetchFault kAll[] = {FetchFault::kDownload, FetchFault::kRefused, FetchFault::kRefusedNow};
    return kAll[Pick(3)];
  }

  void AnswerFlip() {
    if (flips_.empty()) return;
    const auto [channel, target] = flips_.front();
    flips_.erase(flips_.begin());
    const bool works = Chance(80);
    if (works) loader_[channel] = target;
    Flipped flipped{channel, loader_.count(channel) ? loader_[channel] : Digest{}, !works && Chance(50), "?"};
    if (!works && !flipped.too_late && Chance(50)) flipped.fault = AnyFault();
    Step(flipped);
  }

  void LoaderFallsBack() {
    const std::string channel = AnyChannel();
    const ChannelState* state = machine_->Find(channel);
    if (state == nullptr || state->running.IsZero() || state->previous.IsZero()) return;
    if (state->phase == Phase::kActivating || state->phase == Phase::kReverting) return;
    const FellBack event{channel, state->running, state->previous, "three failed starts"};
    burned_.insert({channel, event.from});
    loader_[channel] = event.to;
    Step(event);
  }

  void Step(const Event& event) {
    Effects effects = machine_->Step(event, now_);
    // The process may die after any effect; what it had written stays.
    const size_t survives =
        Chance(3) ? static_cast<size_t>(Pick(static_cast<int>(effects.size()) + 1)) : effects.size();
    for (size_t i = 0; i < survives; ++i) std::visit([this](const auto& e) { Carry(e); }, effects[i]);
    CheckState();
    if (survives < effects.size()) Boot();
  }

  void CheckState() {
    for (const char* channel : kChannels) {
      const ChannelState* state = machine_->Find(channel);
      if (state == nullptr) continue;
      if (loader_.count(channel)) {
        ASSERT_FALSE(state->running.IsZero()) << "nothing is said to run, but something does";
      }
      for (const auto& [burned_channel, digest] : burned_) {
        if (burned_channel == channel && written_burned_.count({channel, digest})) {
          ASSERT_TRUE(IsBurned(*state, digest)) << "a burned digest was forgotten";
        }
      }
    }
  }

  void Carry(const Persist&) {
    disk_ = machine_->ToDurable();
    for (const auto& [name, channel] : disk_.channels) {
      for (const Digest& digest : channel.burned) written_burned_.insert({name, digest});
    }
    for (const HostEvent& event : disk_.queue) {
      const auto [it, fresh] = seqs_.insert({{event.boot_id, event.seq}, event});
      ASSERT_TRUE(fresh || it->second == event) << "seq " << event.seq << " means two things";
    }
  }
  void Carry(const SendEnrol&) { enrol_open_ = true; }
  void Carry(const SendCheckIn& send) {
    ASSERT_FALSE(call_open_) << "two check-ins at once";
    call_open_ = true;
    ASSERT_GE(now_ - last_check_in_, absl::Seconds(1)) << "check-ins too close";
    last_check_in_ = now_;
    for (const auto& [channel, digest] : loader_) {
      const auto it = std::find_if(send.request.running.begin(), send.request.running.end(),
                                   [&channel = channel](const Running& r) { return r.channel == channel; });
      ASSERT_NE(it, send.request.running.end()) << "a running channel was left out";
    }
    for (const HostEvent& event : send.request.events) {
      ASSERT_TRUE(seqs_.count({event.boot_id, event.seq})) << "sent before it was written";
    }
  }
  void Carry(const StartFetch& fetch) { fetches_.push_back({fetch.release.channel, fetch.release.digest}); }
  void Carry(const CancelFetch& cancel) { std::erase(fetches_, std::pair(cancel.channel, cancel.digest)); }
  void Carry(const SendLease& lease) { leases_.push_back({lease, now_}); }
  void Carry(const Activate& activate) {
    const std::pair key(activate.channel, activate.digest);
    ASSERT_TRUE(granted_.count(key)) << "activates without a lease";
    ASSERT_LT(now_, granted_[key]) << "activates after the lease ended";
    ASSERT_LE(activate.deadline, granted_[key]) << "may activate after the lease ended";
    ASSERT_TRUE(staged_.count(key)) << "activates bytes that were not verified";
    ASSERT_FALSE(burned_.count(key)) << "activates what it went back from";
    ASSERT_EQ(disk_.channels[activate.channel].activating, activate.digest) << "activates before writing so";
    granted_.erase(key);
    flips_.push_back(key);
  }
  void Carry(const Revert& revert) {
    ASSERT_FALSE(revert.to.IsZero()) << "goes back to nothing";
    ASSERT_FALSE(burned_.count({revert.channel, revert.to})) << "goes back to what it went back from";
    burned_.insert({revert.channel, revert.from});
    flips_.push_back({revert.channel, revert.to});
  }
  void Carry(const Discard& discard) {
    ASSERT_FALSE(loader_.count(discard.channel) && loader_[discard.channel] == discard.digest)
        << "discards what runs";
    const ChannelState* state = machine_->Find(discard.channel);
    ASSERT_TRUE(state == nullptr || state->previous != discard.digest) << "discards what it would go back to";
    staged_.erase({discard.channel, discard.digest});
  }
  void Carry(const Note&) {}

  using Key = std::pair<std::string, Digest>;
  std::mt19937_64 random_;
  std::vector<Digest> digests_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  int boots_ = 0;
  std::string boot_id_ = "boot-0";
  Durable disk_;
  std::map<std::string, Digest> loader_;  // what really runs
  std::unique_ptr<Machine> machine_;

  bool call_open_ = false, enrol_open_ = false;
  absl::Time last_check_in_ = absl::InfinitePast();
  std::vector<std::pair<SendLease, absl::Time>> leases_;
  std::vector<Key> fetches_, flips_;
  std::map<Key, absl::Time> granted_;  // live until
  std::set<Key> staged_, burned_, written_burned_;
  std::map<std::pair<std::string, uint64_t>, HostEvent> seqs_;
};

TEST(MachinePropertyTest, KeepsItsPromisesInEveryHistory) {
  const uint64_t first = FirstSeed();
  std::printf("RINGFENCE_SEED=%llu (and the %d after it)\n", static_cast<unsigned long long>(first),
              kHistories - 1);
  for (int i = 0; i < kHistories; ++i) {
    SCOPED_TRACE(::testing::Message() << "RINGFENCE_SEED=" << first + static_cast<uint64_t>(i));
    World world(first + static_cast<uint64_t>(i));
    world.Run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ringfence::agent
