// The server's answers, given to the very class that agents run: hosts that pin their customer's signed plan
// follow it by what the server hands out, and judge every offer and every lease by it. Over random plans,
// fleets, decisions and times none is refused, and hosts that hold a tighter plan refuse.
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/agent/plan_guard.h"
#include "ringfence/policy/release.h"
#include "tests/plan/signing.h"
#include "tests/support/memory_files.h"
#include "tests/support/random_plan.h"

namespace ringfence::test {
namespace {

constexpr int kHosts = 16;

class GuardedFleet {
 public:
  explicit GuardedFleet(uint64_t seed) : random_(seed), fleet_(RandomHistory(seed)) {
    for (int i = 0; i < kHosts; ++i) {
      fleet_.AddHost("acme", {{"group", absl::StrCat("g", i % 5)}, {"os", i % 4 == 0 ? "beta" : "win10"}});
    }
    fleet_.effect = [this](const SimHost& host, const Digest& digest) {
      for (const policy::Release& release : releases_) {
        if (release.digest != digest) continue;
        ++leases_;
        agent::Directive lease;
        lease.channel = release.channel;
        lease.serial = release.serial;
        lease.version = release.version;
        lease.digest = digest;
        lease.size_bytes = release.size_bytes;
        Judge(host, lease, "lease");
      }
      return Effect::kGood;
    };
  }

  void Run() {
    fleet_.Start();
    while (chain_.empty()) NewPlan(RandomPlan(random_));
    for (int i = 0; i < kHosts; ++i) guards_.push_back(Guard(absl::StrCat("/host", i), chain_[0].sha256));
    for (int quarter = 0; quarter < 14 * 4; ++quarter) {
      if (quarter % 12 == 0) Publish();
      if (Chance(0.04)) NewPlan(RandomPlan(random_));
      if (Chance(0.05)) Freeze();
      if (Chance(0.03)) NewPlan(Ending(chain_.back().statement.plan, fleet_.now()));
      if (Chance(0.15)) Consent();
      if (Chance(0.06)) RollBack();
      if (Chance(0.05)) {
        fleet_.Relabel(static_cast<int>(random_() % kHosts),
                       {{"group", absl::StrCat("g", random_() % 5)}, {"os", "win10"}});
      }
      fleet_.RunFor(absl::Minutes(15));
      for (int i = 0; i < kHosts; ++i) Offers(i);
    }
    EXPECT_EQ(fleet_.Violations(), "");
  }

  int offers() const { return offers_; }
  int leases() const { return leases_; }
  int orders_back() const { return orders_back_; }
  int refused_when_tighter() const { return refused_when_tighter_; }
  const std::vector<std::string>& refused() const { return refused_; }

 private:
  bool Chance(double p) { return std::bernoulli_distribution(p)(random_); }
  std::unique_ptr<agent::PlanGuard> Guard(const std::string& folder, const Digest& root) {
    return agent::PlanGuard::Open({root, folder, {}}, &files_, &clock_);
  }

  // The next link of the customer's chain, as its people bring it.
  void NewPlan(policy::Plan plan) {
    plan::PlanStatement next =
        chain_.empty() ? plan::FirstOf(plan, plan::KeysOf("a")) : plan::NextAfter(chain_.back());
    next.plan = std::move(plan);
    const std::string envelope = plan::SealPlan(next, "a");
    const auto applied =
        fleet_.app().ApplySignedPlan(fleet_.Admin("acme"), envelope, static_cast<int64_t>(chain_.size()));
    if (!applied.ok()) return;  // a random plan may be none
    chain_.push_back(plan::Extend(chain_.empty() ? nullptr : &chain_.back(), envelope).value());
  }
  void Freeze() { NewPlan(Frozen(chain_.back().statement.plan, fleet_.now())); }
  void Publish() {
    if (auto published = PublishRandom(fleet_, random_)) releases_.push_back(*std::move(published));
  }
  void RollBack() {
    if (releases_.empty()) return;
    const uint64_t serial = releases_[random_() % releases_.size()].serial;
    if (!fleet_.app().RollBack(fleet_.Sre(), {"", "content", serial, ""}).ok()) return;
    for (int i = 0; i < kHosts; ++i) Offers(i);  // before they follow it
  }
  void Consent() {
    if (releases_.empty()) return;
    const policy::Release& release = releases_[random_() % releases_.size()];
    plan::ApprovalStatement said;
    said.seq = fleet_.app().NextSeq("acme");
    said.tenant = "acme";
    said.approve = Chance(0.85);
    said.channel = "content";
    said.serial = release.serial;
    if (said.approve) said.digests = {release.digest};
    if (said.approve && Chance(0.5)) said.not_after = fleet_.now() + absl::Hours(4);
    if (said.approve && Chance(0.5)) said.min_age = absl::Minutes(random_() % 90);
    // Refused where no ring asks.
    fleet_.app()
        .SignedConsent(fleet_.Admin("acme"), plan::SealApproval(said, "a"), said.approve)
        .status()
        .IgnoreError();
  }

  // What the agent knows when it judges: the plan that the server hands out, and the listing.
  void BringUpToDate(agent::PlanGuard& guard, const SimHost& host) {
    clock_.Advance(fleet_.now() - clock_.Now());
    while (guard.TakeIn(fleet_.app().FetchPlan("acme", guard.next_version(), guard.next_seq())) > 0) {
    }
    std::vector<agent::ListedRelease> listed;
    for (const policy::Release& release : releases_) {
      listed.push_back({release.serial, release.version, release.digest, release.urgent, release.published_at,
                        policy::IsQualified(release, host.labels)});
    }
    guard.Knows("content", std::move(listed));
  }

  void Judge(const SimHost& host, const agent::Directive& offer, const char* what) {
    size_t index = 0;
    while (&fleet_.host(static_cast<int>(index)) != &host) ++index;
    agent::PlanGuard& guard = *guards_[index];
    BringUpToDate(guard, host);
    const auto running = host.running.find("content");
    const Digest runs = running == host.running.end() ? Digest() : running->second;
    const agent::PlanGuard::Verdict verdict = guard.Judge(offer, host.id, host.labels, runs);
    if (!verdict.allowed) {
      refused_.push_back(absl::StrCat(what, " of ", offer.version, " at ", absl::FormatTime(fleet_.now()),
                                      " by plan ", chain_.size(), ": ", verdict.reason, " (", verdict.detail,
                                      ")"));
    }
    // What the server does not know of: its customer put a tighter plan beside the agent.
    plan::PlanStatement tighter = plan::NextAfter(chain_.back());
    tighter.plan.channels[0] = policy::ChannelRule{"content", policy::ChannelMode::kPaused, 0, ""};
    MemoryFiles disk;
    const auto held = agent::PlanGuard::Open({chain_[0].sha256, "/tighter", {}}, &disk, &clock_);
    BringUpToDate(*held, host);
    EXPECT_EQ(held->TakeIn({plan::SealPlan(tighter, "a")}), 1);
    refused_when_tighter_ += held->Judge(offer, host.id, host.labels, runs).allowed ? 0 : 1;
  }

  void OrderedBack(int index, const Digest& digest) {
    const SimHost& host = fleet_.host(index);
    const auto running = host.running.find("content"), previous = host.previous.find("content");
    if (running == host.running.end() || running->second != digest || previous == host.previous.end()) return;
    ++orders_back_;
    agent::PlanGuard& guard = *guards_[static_cast<size_t>(index)];
    BringUpToDate(guard, host);
    const agent::PlanGuard::Verdict verdict = guard.JudgeOrderBack("content", digest, previous->second);
    if (!verdict.allowed) refused_.push_back(absl::StrCat("order back: ", verdict.detail));
    plan::PlanStatement tighter = plan::NextAfter(chain_.back());
    tighter.plan.rollback_depth = 0;
    MemoryFiles disk;
    const auto held = agent::PlanGuard::Open({chain_[0].sha256, "/tighter", {}}, &disk, &clock_);
    BringUpToDate(*held, host);
    EXPECT_EQ(held->TakeIn({plan::SealPlan(tighter, "a")}), 1);
    EXPECT_FALSE(held->JudgeOrderBack("content", digest, previous->second).allowed);
  }

  // What the host would be told at a check-in now.
  void Offers(int index) {
    const auto reply = fleet_.Say(index, {});
    if (!reply.ok()) return;
    for (const app::Directive& directive : *reply->directives) {
      if (directive.kind == app::DirectiveKind::kRevert) OrderedBack(index, directive.digest);
      if (directive.kind != app::DirectiveKind::kPrefetch &&
          directive.kind != app::DirectiveKind::kRequestLease)
        continue;
      ++offers_;
      agent::Directive offer;
      offer.channel = directive.channel;
      offer.serial = directive.serial;
      offer.version = directive.version;
      offer.digest = directive.digest;
      offer.size_bytes = directive.size_bytes;
      Judge(fleet_.host(index), offer, "offer");
    }
  }

  std::mt19937_64 random_;
  ManualClock clock_{absl::UnixEpoch()};
  MemoryFiles files_;
  std::vector<plan::SignedPlan> chain_;
  std::vector<std::unique_ptr<agent::PlanGuard>> guards_;
  std::vector<policy::Release> releases_;
  int offers_ = 0, leases_ = 0, refused_when_tighter_ = 0, orders_back_ = 0;
  std::vector<std::string> refused_;
  FleetHarness fleet_;
};

TEST(PlanGuardDifferentialTest, NothingThatTheServerAnswersIsRefusedByTheAgentsOwnGuard) {
  int offers = 0, leases = 0, refused_when_tighter = 0, orders_back = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    GuardedFleet run(seed);
    run.Run();
    offers += run.offers();
    leases += run.leases();
    orders_back += run.orders_back();
    refused_when_tighter += run.refused_when_tighter();
    EXPECT_TRUE(run.refused().empty())
        << "seed " << seed << ": " << run.refused().size() << " refused, first: " << run.refused().front();
  }
  EXPECT_GT(leases, 50);
  EXPECT_GT(offers, 50);
  EXPECT_GT(orders_back, 5);
  EXPECT_EQ(refused_when_tighter, offers + leases) << "a host with a tighter plan takes none of them";
}

}  // namespace
}  // namespace ringfence::test
