// The race of a halt: ten thousand hosts have the release on disk and ask, and it is halted. What may still
// flip is what holds a lease that is not over; how many that are at most, the server chose. And a server that
// goes on signing after the halt moves nobody who heard of it.
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/agent/activation_guard.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/lease.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/order_keys.h"

namespace ringfence::test {
namespace {

constexpr absl::Duration kFlight = absl::Seconds(12);  // the slowest answer is on its way for so long

// Keeps nothing: what is asked about here does not outlast the test.
class NoDisk final : public agent::FileSystem {
 public:
  absl::StatusOr<std::string> Read(const std::string& path) override { return absl::NotFoundError(path); }
  absl::Status Write(const std::string&, absl::string_view, int) override { return absl::OkStatus(); }
  absl::Status Sync(const std::string&) override { return absl::OkStatus(); }
  absl::Status Rename(const std::string&, const std::string&) override { return absl::OkStatus(); }
  absl::Status SyncFolder(const std::string&) override { return absl::OkStatus(); }
};

class HaltRace {
 public:
  // The hosts are dealt out among the rings.
  HaltRace(int hosts, const std::vector<std::string>& rings)
      : store_(storage::MakeMemoryStore()), director_(Key('d')) {
    app::AppOptions options;
    options.internal_tenant = "vendor";
    options.seed = 7;
    options.halt_key = std::make_shared<const trust::SigningKey>(Key('h'));
    options.authority = std::make_shared<const trust::Authority>(Everybody());
    std::vector<storage::AgentRow> rows(static_cast<size_t>(hosts));
    for (int i = 0; i < hosts; ++i) {
      Host& host = hosts_.emplace_back();
      host.ring = rings[static_cast<size_t>(i) % rings.size()];
      const Digest drawn = Sha256(absl::StrCat("host ", i));
      std::copy_n(drawn.bytes.begin(), 16, host.id.bytes.begin());
      host.guard = std::make_unique<agent::ActivationGuard>(&disk_, "/state", &clock_, Everybody());
      storage::AgentRow& row = rows[static_cast<size_t>(i)];
      row.agent = host.id;
      row.tenant = "vendor";
      row.secret_hash = Sha256("secret");
      row.labels = policy::Labels::Make({{"ring", host.ring}, {"os", "win10"}}).value();
      row.enrolled_at = row.last_seen = clock_.Now();
    }
    EXPECT_TRUE(store_->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents(rows); }).ok());
    app_ = app::App::Make(options, store_.get(), &clock_, nullptr);
    EXPECT_TRUE(app_->Start().ok());
    std::vector<policy::Ring> named;
    for (const std::string& ring : rings) named.push_back(RingNamed(ring));
    EXPECT_TRUE(app_->ApplyPlan(By("ann", app::Role::kSre), PlanOf("vendor", named), 0).ok());
    app::PublishRequest request;
    request.bytes = "the release";
    policy::Release& release = request.release;
    release.channel = "content";
    release.kind = policy::ChannelKind::kContent;
    release.serial = 1;
    release.version = "1";
    release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
    release.digest = Sha256(request.bytes);
    const auto published = app_->Publish(By("rita", app::Role::kReleaseManager), request);
    EXPECT_TRUE(published.ok()) << published.status();
    release_ = published->row.release;
    for (Host& host : hosts_) CheckIn(host);
  }

  app::Act By(const std::string& person, app::Role role) {
    return {{person, role, "", ""}, absl::StrCat("race-", ++acts_), "race"};
  }

  // One second: answers arrive, a sixtieth of the hosts check in, and those that may ask ask.
  void Second() {
    clock_.Advance(absl::Seconds(1));
    ++second_;
    for (auto it = flying_.begin(); it != flying_.end() && it->first <= clock_.Now(); it = flying_.erase(it))
      Arrive(hosts_[static_cast<size_t>(it->second.host)], it->second);
    for (size_t i = static_cast<size_t>(second_ % 60); i < hosts_.size(); i += 60) {
      CheckIn(hosts_[i]);
      if (!hosts_[i].runs && !hosts_[i].waits) Ask(i);
    }
    EXPECT_TRUE(app_->CommitOnce().ok());
    if (second_ % 15 == 0) {
      EXPECT_TRUE(app_->RunOnce().ok());
    }
  }

  void Halt(const storage::Scope& scope = {"", "content", 1, ""}) {
    EXPECT_TRUE(app_->Halt(By("ann", app::Role::kSre), scope).ok());
    flips_before_ = flips_;
  }
  // A server that somebody took over grants everybody of the ring everything, with the director's key, and
  // says that they are in another one.
  int64_t FlipsByAServerThatWasTakenOver(const std::string& ring = "dogfood") {
    const int64_t before = flips_;
    for (Host& host : hosts_) {
      if (host.runs || host.ring != ring) continue;
      const std::string nonce = host.guard->Ask(++host.ask, host.id, "vendor", Directive(), clock_.Now());
      Flying grant{0, host.ask, true, SignedFor(host, nonce, {}, "elsewhere", uint64_t{1} << 52)};
      Arrive(host, grant);
    }
    return flips_ - before;
  }

  int64_t flips() const { return flips_; }
  int64_t flips_since_halt() const { return flips_ - flips_before_; }
  // Leases that were granted and may still be used.
  int64_t unexpired() {
    int64_t count = 0;
    for (const auto& [at, flying] : flying_) count += flying.granted ? 1 : 0;
    return count;
  }
  app::HealthInfo Health() { return app_->GetRollout("content", 1, "")->health; }

 private:
  struct Flying {
    int host = 0;
    uint64_t ask = 0;
    bool granted = false;
    std::string signed_lease;
    std::shared_ptr<const app::Notices> notices = nullptr;
  };
  struct Host {
    AgentId id;
    std::string ring;
    std::unique_ptr<agent::ActivationGuard> guard;
    uint64_t ask = 0;
    bool runs = false, waits = false;
  };

  agent::Directive Directive() const {
    agent::Directive directive;
    directive.channel = "content";
    directive.serial = 1;
    directive.digest = release_.digest;
    directive.size_bytes = release_.size_bytes;
    return directive;
  }
  static void Hear(Host& host, const app::Notices* notices) {
    if (notices == nullptr) return;
    agent::SignedNotices heard;
    for (const auto& halt : notices->halts) heard.halts.push_back(halt.envelope);
    for (const auto& order : notices->orders) heard.orders.push_back(order.envelope);
    if (host.guard->halt_seq() == 0) host.guard->TakeIn(heard, "vendor");
  }

  void CheckIn(Host& host) {
    const app::RunningView running{"content", release_.digest};
    app::CheckInRequest request;
    request.agent = host.id;
    request.boot_id = "boot-1";
    if (host.runs) request.running = {&running, 1};
    if (!host.runs) request.staged = {&release_.digest, 1};
    app::CheckInReply reply;
    EXPECT_TRUE(app_->CheckIn(request, &reply).ok());
    Hear(host, app_->NoticesFor("vendor", host.id).get());
  }

  std::string SignedFor(const Host& host, const std::string& nonce, const app::LeaseTerms& terms,
                        const std::string& ring, uint64_t halt_seq) const {
    trust::Lease lease;
    lease.tenant = "vendor";
    lease.agent = host.id;
    lease.nonce = nonce;
    lease.channel = "content";
    lease.sha256 = release_.digest;
    lease.length = release_.size_bytes;
    lease.to_serial = 1;
    lease.ring = ring;
    lease.plan_version = static_cast<int64_t>(terms.plan_version);
    lease.plan_sha256 = terms.plan_sha256;
    lease.halt_seq = halt_seq;
    lease.ttl = absl::Seconds(20);
    lease.issued_at = clock_now_;
    return trust::SignLease(lease, director_);
  }

  void Ask(size_t index) {
    Host& host = hosts_[index];
    if (!host.guard->MayActivate(release_.digest, "vendor").ok()) return;
    host.waits = true;
    clock_now_ = clock_.Now();
    const std::string nonce = host.guard->Ask(++host.ask, host.id, "vendor", Directive(), clock_.Now());
    app_->Lease({host.id, "content", release_.digest, "boot-1"}, [this, index, nonce, ask = host.ask](
                                                                     absl::StatusOr<app::LeaseReply> reply) {
      Flying flying{static_cast<int>(index), ask, reply.ok() && reply->granted, ""};
      if (flying.granted) {
        flying.signed_lease =
            SignedFor(hosts_[index], nonce, reply->terms, reply->terms.ring, reply->terms.halt_seq);
      }
      flying.notices = app_->NoticesFor("vendor", hosts_[index].id);
      const absl::Duration under_way = kFlight * std::uniform_real_distribution<double>(0, 1)(random_);
      flying_.emplace(clock_.Now() + under_way, flying);
    });
  }

  void Arrive(Host& host, const Flying& flying) {
    host.waits = false;
    Hear(host, flying.notices.get());
    agent::LeaseReply reply;
    reply.granted = flying.granted;
    reply.signed_lease = flying.signed_lease;
    if (!host.guard->Judge(flying.ask, reply, clock_.Now()).granted) return;
    if (!host.guard->MayActivate(release_.digest, "vendor").ok()) return;
    host.runs = true;
    ++flips_;
  }

  NoDisk disk_;
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  absl::Time clock_now_;
  std::unique_ptr<storage::Store> store_;
  const trust::SigningKey director_;
  std::unique_ptr<app::App> app_;
  std::mt19937_64 random_{11};
  policy::Release release_;
  std::deque<Host> hosts_;
  std::multimap<absl::Time, Flying> flying_;
  int64_t second_ = 0, flips_ = 0, flips_before_ = 0;
  int acts_ = 0;
};

TEST(HaltRaceTest, OfTenThousandStagedHostsNoMoreFlipAfterAHaltThanHoldALease) {
  HaltRace race(10'000, {"dogfood"});
  for (int i = 0; i < 7200 && (race.flips() < 40 || race.unexpired() < 3); ++i) race.Second();
  ASSERT_GE(race.unexpired(), 3) << "nobody is on the way: the race shows nothing";
  const int64_t unexpired = race.unexpired();
  EXPECT_LE(unexpired, race.Health().budget);
  race.Halt();
  for (int i = 0; i < 60; ++i) race.Second();
  EXPECT_LE(race.flips_since_halt(), unexpired);
  EXPECT_EQ(race.unexpired(), 0);
  EXPECT_EQ(race.FlipsByAServerThatWasTakenOver(), 0);
}

TEST(HaltRaceTest, AHaltOfOneRingReachesEachOfItsHostsSticksThereAndHoldsNobodyElse) {
  constexpr int kHosts = 2'000;
  HaltRace race(kHosts, {"dogfood", "office"});
  for (int i = 0; i < 7200 && (race.flips() < 40 || race.unexpired() < 3); ++i) race.Second();
  const int64_t unexpired = race.unexpired();
  ASSERT_GE(unexpired, 3) << "nobody is on the way: the race shows nothing";
  race.Halt({"vendor", "content", 1, "dogfood"});
  for (int i = 0; i < 60; ++i) race.Second();
  EXPECT_LE(race.flips_since_halt(), unexpired);
  EXPECT_EQ(race.FlipsByAServerThatWasTakenOver("dogfood"), 0);
  EXPECT_EQ(race.FlipsByAServerThatWasTakenOver("office"), kHosts / 2) << "their ring was not halted";
}

}  // namespace
}  // namespace ringfence::test
