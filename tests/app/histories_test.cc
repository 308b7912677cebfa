// Random histories: plans, tenants, breaking hosts, people who act, a server that dies and a store that
// fails. The invariants must hold in every one. RINGFENCE_SEED=n repeats one; RINGFENCE_HISTORIES=n runs so
// many.
#include <cstdlib>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/seed.h"

namespace ringfence::test {
namespace {

class History {
 public:
  // With `language`, plans also have windows, freezes, approvals, deny lists, barriers and urgency, which
  // change and are decided on. They are drawn apart, so that a seed without them stays the history it was.
  explicit History(uint64_t seed, bool language = false)
      : random_(seed), language_(language), words_(seed ^ 0x9e3779b97f4a7c15), fleet_(OptionsOf(seed)) {
    Build();
  }

  // Runs it to its end. Empty when every invariant held.
  std::string Run() {
    const int acts = Pick(10, 60);
    for (int i = 0; i < acts && fleet_.watch().violations().empty(); ++i) {
      fleet_.RunFor(absl::Seconds(Pick(10, 600)));
      Act();
      if (language_) ActOnLanguage();
    }
    Settle();
    return fleet_.Violations();
  }

 private:
  int Pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  bool Chance(double p) { return std::bernoulli_distribution(p)(random_); }
  template <typename T>
  const T& OneOf(const std::vector<T>& of) {
    return of[static_cast<size_t>(Pick(0, static_cast<int>(of.size()) - 1))];
  }

  FleetHarness::Options OptionsOf(uint64_t seed) {
    FleetHarness::Options options;
    options.seed = seed;
    options.internal_tenant = Chance(0.75) ? "vendor" : "";
    options.step = absl::Seconds(Pick(15, 30));
    options.factory_content = Chance(0.7);
    options.lost_replies = Chance(0.3) ? 0.1 : 0;
    options.repeated_events = Chance(0.3) ? 0.3 : 0;
    options.late_commits = Chance(0.3) ? 0.3 : 0;
    internal_ = options.internal_tenant;
    return options;
  }

  void Build() {
    if (!internal_.empty()) tenants_.push_back(internal_);
    tenants_.push_back("acme");
    if (Chance(0.4)) tenants_.push_back("bolt");
    for (const std::string& tenant : tenants_) {
      const int rings = tenant == internal_ ? 1 : Pick(1, 3);
      for (int r = 0; r < rings; ++r) {
        const int hosts = Chance(0.05) ? 0 : Pick(1, 12);
        for (int i = 0; i < hosts; ++i) {
          fleet_.AddHost(tenant, {{"ring", absl::StrCat("r", r)}, {"os", Chance(0.3) ? "xp" : "win10"}});
        }
      }
      plans_[tenant] = PlanOf(tenant, {});
      for (int r = 0; r < rings; ++r) {
        policy::Ring ring = RingNamed(absl::StrCat("r", r), Waves(), Chance(0.15) ? Pick(1, 2) : 0);
        if (tenant == internal_) ring.lag = 0;
        if (Chance(0.2)) ring.min_age = absl::Minutes(Pick(1, 30));
        if (Chance(0.2)) ring.hosts_per_minute = Pick(1, 3);
        plans_[tenant].rings.push_back(ring);
      }
      if (Chance(0.6)) plans_[tenant].gates = Gates();
      plans_[tenant].gates.on_breach = static_cast<policy::OnBreach>(Pick(1, 3));
      plans_[tenant].hold_revert_after = absl::Minutes(Pick(5, 40));
      for (int i = 0; language_ && i < 3; ++i) Say(plans_[tenant]);
    }
    fleet_.effect = [this](const SimHost& host, const Digest& digest) {
      const auto it = effects_.find(digest);
      if (it == effects_.end()) return Effect::kGood;
      const uint64_t place = HeadBigEndian(Sha256(absl::StrCat(host.id.raw(), digest.raw()))) % 1000;
      const bool hit = it->second.cohort ? host.labels.Has("os", "xp") : place < it->second.per_mille;
      return hit ? it->second.effect : Effect::kGood;
    };
    fleet_.refuses = [this](const SimHost& host, const Digest& digest) {
      return refused_.contains(digest) && host.id.bytes[0] % 4 == 0;
    };
    fleet_.Start();
    for (const std::string& tenant : tenants_) {
      if (Chance(0.97)) fleet_.Apply(plans_[tenant]);
    }
    if (Chance(0.4)) {
      fleet_.store().faults.unavailable = Chance(0.5) ? 0.05 : 0.01;
      fleet_.store().faults.doubt_done = 0.02;
      fleet_.store().faults.doubt_not_done = 0.02;
    }
    if (Chance(0.3)) fleet_.store().faults.rerun = 0.2;
    Publish();
  }

  int Word(int least, int most) { return std::uniform_int_distribution<int>(least, most)(words_); }
  bool Perhaps(double p) { return std::bernoulli_distribution(p)(words_); }

  // One sentence more or less of the plan.
  void Say(policy::Plan& plan) {
    if (plan.rings.empty()) return;
    policy::Ring& ring = plan.rings[static_cast<size_t>(Word(0, static_cast<int>(plan.rings.size()) - 1))];
    policy::ChannelRule& rule = plan.channels[0];
    const auto from_now = [&](int least, int most) {
      return fleet_.now() + absl::Minutes(Word(least, most));
    };
    switch (Word(0, 9)) {
      case 0:
      case 1: {
        plan.zone = Perhaps(0.5) ? "Europe/Berlin" : "";
        const absl::TimeZone zone = absl::FixedTimeZone(plan.zone.empty() ? 0 : 3600);  // in winter
        const absl::CivilMinute begin(zone.At(from_now(-30, 60)).cs);
        const auto minute = static_cast<int>(begin - absl::CivilMinute(absl::CivilDay(begin)));
        const int end = minute + Word(15, 120);
        ring.windows = {{{}, minute, end > 1440 ? end - 1440 : end, ""}};
        break;
      }
      case 2:
        ring.windows.clear();
        break;
      case 3: {
        const absl::Time from = from_now(-10, 60);
        plan.freezes = {{from, from + absl::Minutes(Word(1, 40)), "r", "o", {}}};
        break;
      }
      case 4:
        ring.approval = Perhaps(0.7) ? policy::Approval::kExplicit : policy::Approval::kAuto;
        break;
      case 5:
        plan.deny.clear();
        if (Perhaps(0.7)) plan.deny = {{std::nullopt, "content", absl::StrCat("v", Word(1, 4)), "r", "o"}};
        break;
      case 6:
        rule.barriers.clear();
        if (Perhaps(0.7)) rule.barriers = {absl::StrCat("v", Word(1, 3))};
        break;
      case 7:
        plan.urgent = policy::Urgent{
            policy::UrgentMode::kAllow, {}, absl::ZeroDuration(), absl::Minutes(5), Perhaps(0.5)};
        break;
      case 8: {
        policy::RingRule own;
        own.channel = "content";
        own.lag = Word(0, 1);
        if (Perhaps(0.5)) own.approval = policy::Approval::kAuto;
        ring.channels = {own};
        break;
      }
      case 9:
        if (rule.mode == policy::ChannelMode::kFollow)
          rule.below_version = Perhaps(0.5) ? "" : absl::StrCat("v", Word(2, 5));
        break;
    }
  }

  void ActOnLanguage() {
    const std::string& tenant = tenants_[static_cast<size_t>(Word(0, static_cast<int>(tenants_.size()) - 1))];
    if (Perhaps(0.15)) {
      policy::Plan changed = plans_[tenant];
      Say(changed);
      if (!policy::Validate(changed).empty()) return;
      plans_[tenant] = changed;
      (void)fleet_.TryApply(changed);
    }
    if (!Perhaps(0.6)) return;
    const uint64_t newest = fleet_.NextRelease().serial - 1;
    if (newest == 0) return;
    storage::ConsentRow wanted;
    wanted.tenant = tenant;
    wanted.channel = "content";
    wanted.serial = static_cast<uint64_t>(Word(1, static_cast<int>(newest)));
    wanted.ring = Perhaps(0.5) ? "" : absl::StrCat("r", Word(0, 2));
    wanted.approved = Perhaps(0.85);
    const app::Act act = tenant == internal_ ? fleet_.Sre() : fleet_.Admin(tenant);
    (void)fleet_.Insist([&] { return fleet_.app().Consent(act, wanted); });
  }

  std::vector<double> Waves() {
    switch (Pick(0, 3)) {
      case 0:
        return {0.1, 0.5, 1};
      case 1:
        return {0.3, 1};
      default:
        return {1};
    }
  }

  void Publish() {
    policy::Release release = fleet_.NextRelease();
    if (Chance(0.1)) release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
    if (Chance(0.1)) release.targets = policy::Selector{{{"os", {"win10", "xp"}}}};
    release.urgent = Chance(0.1);
    const auto published = fleet_.TryPublish(release);
    if (!published.ok()) return;
    if (Chance(0.6)) return;
    if (Chance(0.1)) refused_.insert(published->digest);
    effects_[published->digest] = {static_cast<Effect>(Pick(1, 9)), static_cast<uint64_t>(Pick(20, 1000)),
                                   Chance(0.2)};
  }

  storage::Scope SomeScope() {
    const uint64_t newest = fleet_.NextRelease().serial - 1;
    const uint64_t serial = newest == 0 ? 0 : static_cast<uint64_t>(Pick(1, static_cast<int>(newest)));
    switch (Pick(0, 3)) {
      case 0:
        return {"", "content", serial, ""};
      case 1:
        return {OneOf(tenants_), "content", serial, ""};
      case 2:
        return {OneOf(tenants_), "content", 0, ""};
      default:
        return {OneOf(tenants_), "content", serial, "r0"};
    }
  }

  void ChangePlan() {
    policy::Plan& plan = plans_[OneOf(tenants_)];
    policy::ChannelRule& rule = plan.channels[0];
    switch (Pick(0, 5)) {
      case 0:
        rule.mode = policy::ChannelMode::kPaused;
        rule.pinned_version.clear();
        rule.below_version.clear();
        break;
      case 1:
        rule.below_version.clear();
        rule.mode = policy::ChannelMode::kPinned;
        rule.pinned_version = absl::StrCat("v", Pick(1, 4));
        break;
      case 2:
        rule.lag = Pick(0, 1);
        [[fallthrough]];
      case 3:
        rule.mode = policy::ChannelMode::kFollow;
        rule.pinned_version.clear();
        break;
      case 4:
        OneOfRings(plan).waves = RingNamed("x", Waves()).waves;
        break;
      case 5:
        if (plan.rings.size() > 1 && Chance(0.5)) {
          plan.rings.pop_back();
        } else if (plan.rings.size() > 1) {
          std::swap(plan.rings.front(), plan.rings.back());
        }
        break;
    }
    (void)fleet_.TryApply(plan);
  }
  policy::Ring& OneOfRings(policy::Plan& plan) {
    return plan.rings[static_cast<size_t>(Pick(0, static_cast<int>(plan.rings.size()) - 1))];
  }

  void Act() {
    const int hosts = static_cast<int>(fleet_.hosts().size());
    const int host = hosts == 0 ? -1 : Pick(0, hosts - 1);
    const app::Act sre = fleet_.Sre(Chance(0.5) ? "ann" : "bob");
    const std::string& tenant = OneOf(tenants_);
    const app::Act admin = fleet_.Admin(tenant);
    storage::Scope scope = SomeScope();
    storage::Scope own = scope;
    own.tenant = tenant;
    const int act = Pick(0, 21);
    InvariantWatch::Trace(fleet_.now(),
                          absl::StrCat("act ", act, " host ",
                                       host < 0 ? "none" : fleet_.host(host).id.ToString().substr(0, 8)));
    switch (act) {
      case 0:
      case 1:
        return Publish();
      case 2:
        (void)fleet_.Insist([&] { return fleet_.app().Pause(sre, scope); });
        return;
      case 3:
        (void)fleet_.Insist([&] { return fleet_.app().Pause(admin, own); });
        return;
      case 4:
      case 5:
        for (const storage::Scope& paused :
             Braked([](const auto& row) { return row.tenant_paused || row.vendor_paused; })) {
          const app::Act vendor = fleet_.Sre();
          (void)fleet_.Insist([&] { return fleet_.app().Resume(vendor, paused, app::BrakeKind::kPause); });
          if (paused.tenant.empty()) continue;
          const app::Act own_admin = fleet_.Admin(paused.tenant);
          (void)fleet_.Insist([&] { return fleet_.app().Resume(own_admin, paused, app::BrakeKind::kPause); });
        }
        return;
      case 6:
        if (Chance(0.3)) (void)fleet_.Insist([&] { return fleet_.app().Halt(sre, scope); });
        return;
      case 7:
        if (Chance(0.3)) (void)fleet_.Insist([&] { return fleet_.app().RollBack(sre, scope); });
        return;
      case 8:
        if (Chance(0.1) && scope.serial != 0) {
          (void)fleet_.Insist([&] { return fleet_.app().Recall(sre, "content", scope.serial); });
        }
        return;
      case 9:
      case 10:
        for (const storage::Scope& halted : Braked([](const auto& row) { return row.halted; })) {
          for (const char* person : {"ann", "bob"}) {
            const app::Act act = fleet_.Sre(person);
            (void)fleet_.Insist([&] { return fleet_.app().Resume(act, halted, app::BrakeKind::kHalt); });
          }
        }
        return;
      case 11:
        for (const storage::Scope& held : Braked([](const auto& row) { return row.held; })) {
          const app::Act act = fleet_.Sre();
          (void)fleet_.Insist([&] { return fleet_.app().Resume(act, held, app::BrakeKind::kHold); });
        }
        return;
      case 12:
        return ChangePlan();
      case 13:
        if (host >= 0)
          fleet_.Relabel(host,
                         {{"ring", absl::StrCat("r", Pick(0, 2))}, {"os", Chance(0.5) ? "xp" : "win10"}});
        if (host >= 0) fleet_.host(host).send_labels = true;
        return;
      case 14:
        if (host >= 0) (void)fleet_.app().DeleteAgent(fleet_.Sre(), fleet_.host(host).id);
        return;
      case 15:
        if (host >= 0) (Chance(0.5) ? fleet_.host(host).goodbye_next : fleet_.host(host).away) = true;
        return;
      case 16:
        for (int i = 0; i < hosts; ++i) {
          if (fleet_.host(i).away) fleet_.WakeUp(i);
        }
        return;
      case 17:
        fleet_.deaf = true;
        fleet_.RunFor(absl::Seconds(Pick(10, 400)));
        fleet_.deaf = false;
        fleet_.watch().TimeWasGivenBack(fleet_.now());
        return;
      case 18:
        fleet_.Crash();
        if (Chance(0.5)) fleet_.RunFor(absl::Seconds(Pick(1, 300)));
        return fleet_.Restart();
      case 19:
        if (Chance(0.3)) {
          fleet_.clock().Advance(absl::Seconds(Pick(20, 7200)));
          fleet_.watch().TimeWasGivenBack(fleet_.now());
        }
        return;
      case 20:
        fleet_.store().down = true;
        fleet_.RunFor(absl::Seconds(Pick(5, 120)));
        fleet_.store().down = false;
        return;
      case 21:
        if (hosts < 40) fleet_.AddHost(tenant, {{"ring", "r0"}, {"os", "win10"}});
        return;
    }
  }

  std::vector<storage::Scope> Braked(bool (*wanted)(const storage::BrakeRow&)) {
    std::vector<storage::Scope> scopes;
    for (const auto& [scope, row] : fleet_.watch().brakes()) {
      if (wanted(row)) scopes.push_back(scope);
    }
    return scopes;
  }

  // Nothing fails any more: what the server says of itself must agree with the rows.
  void Settle() {
    fleet_.store().faults = {};
    fleet_.deaf = false;
    fleet_.RunFor(absl::Minutes(10));
    fleet_.Step();
    if (!fleet_.last_step.ok()) problems_ = absl::StrCat("steps still fail: ", fleet_.last_step.ToString());
    for (uint64_t serial = 1; serial < fleet_.NextRelease().serial; ++serial) {
      const app::RolloutInfo info = fleet_.Rollout(serial);
      const int64_t rows = fleet_.watch().Exposed("content", serial);
      // Older ones that nobody is known to run are not loaded at a start.
      bool in_use = fleet_.NextRelease().serial - serial <= 8;
      for (const auto& [agent, host] : fleet_.watch().hosts()) {
        const auto runs = host.running.find("content");
        in_use = in_use || (runs != host.running.end() && runs->second == info.release.release.digest);
      }
      if (!in_use) continue;
      if (info.ledger.exposed != rows) {
        absl::StrAppend(&problems_, "serial ", serial, ": ", info.ledger.exposed, " exposed, the rows say ",
                        rows, "\n");
      }
      int64_t healthy = fleet_.watch().Count("content", serial, storage::Outcome::kConfirmed);
      if (info.health.healthy != healthy) {
        absl::StrAppend(&problems_, "serial ", serial, ": ", info.health.healthy, " healthy, the rows say ",
                        healthy, "\n");
      }
      for (const auto& [scope, row] : fleet_.watch().brakes()) {
        if (scope.serial != serial || !row.Stops()) continue;
        bool shown = false;
        for (const storage::BrakeRow& brake : info.brakes) shown = shown || brake.scope == scope;
        if (!shown)
          absl::StrAppend(&problems_, "serial ", serial, ": a brake of the store is not in force\n");
      }
    }
  }

 public:
  const std::string& problems() const { return problems_; }

 private:
  struct Fault {
    Effect effect = Effect::kGood;
    uint64_t per_mille = 0;
    bool cohort = false;
  };
  std::mt19937_64 random_;
  const bool language_;
  std::mt19937_64 words_;
  std::string internal_;
  FleetHarness fleet_;
  std::vector<std::string> tenants_;
  std::map<std::string, policy::Plan> plans_;
  std::map<Digest, Fault> effects_;
  std::set<Digest> refused_;
  std::string problems_;
};

void Check(uint64_t seed, bool language = false) {
  History history(seed, language);
  const std::string violations = history.Run();
  EXPECT_EQ(violations, "") << "RINGFENCE_SEED=" << seed;
  EXPECT_EQ(history.problems(), "") << "RINGFENCE_SEED=" << seed;
}

TEST(HistoriesTest, EverySeedThatFoundABugHoldsNow) {
  std::ifstream file("tests/app/seeds.txt");
  ASSERT_TRUE(file.is_open());
  std::string line;
  while (std::getline(file, line)) {
    uint64_t seed = 0;
    if (absl::SimpleAtoi(line.substr(0, line.find(' ')), &seed)) Check(seed);
  }
}

TEST(HistoriesTest, TheInvariantsHoldInRandomHistories) {
  const char* given = std::getenv("RINGFENCE_HISTORIES");
  const char* one = std::getenv("RINGFENCE_SEED");
  const int histories = given != nullptr ? std::atoi(given) : one != nullptr ? 1 : 1000;
  const uint64_t first = Seed(20'240'719);
  for (int i = 0; i < histories; ++i) {
    Check(first + static_cast<uint64_t>(i));
    if (HasFailure()) {
      std::printf("RINGFENCE_SEED=%llu repeats it\n",
                  static_cast<unsigned long long>(first + static_cast<uint64_t>(i)));
      if (std::getenv("RINGFENCE_GO_ON") == nullptr) return;
    }
  }
}

// RINGFENCE_LANGUAGE_SEED=n repeats one.
TEST(HistoriesTest, ThePlanHoldsWithWindowsFreezesApprovalsAndBarriers) {
  const char* given = std::getenv("RINGFENCE_HISTORIES");
  const char* one = std::getenv("RINGFENCE_LANGUAGE_SEED");
  const int histories = given != nullptr ? std::atoi(given) : one != nullptr ? 1 : 500;
  const uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : Seed(20'261'122);
  for (int i = 0; i < histories; ++i) {
    Check(first + static_cast<uint64_t>(i), true);
    if (HasFailure()) {
      std::printf("RINGFENCE_LANGUAGE_SEED=%llu repeats it\n",
                  static_cast<unsigned long long>(first + static_cast<uint64_t>(i)));
      return;
    }
  }
}

}  // namespace
}  // namespace ringfence::test
