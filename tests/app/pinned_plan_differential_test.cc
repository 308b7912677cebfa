// No lease that the server gives is one that the host's own evaluation of the same plan refuses: over random
// plans, fleets and times, in production wiring. And the other way round it would be no test: some leases are
// refused when the host holds a tighter plan. plan_guard_differential_test.cc asks the class that agents run.
#include <random>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/policy/bucket.h"
#include "ringfence/policy/pinned_plan.h"
#include "tests/support/random_plan.h"

namespace ringfence::test {
namespace {

using policy::Reason;

class Differential {
 public:
  explicit Differential(uint64_t seed) : random_(seed), fleet_(RandomHistory(seed)) {
    for (int i = 0; i < 24; ++i) {
      fleet_.AddHost("acme", {{"group", absl::StrCat("g", i % 5)}, {"os", i % 4 == 0 ? "beta" : "win10"}});
    }
    fleet_.effect = [this](const SimHost& host, const Digest& digest) {
      Judge(host, digest);
      return Effect::kGood;
    };
  }

  void Run() {
    fleet_.Start();
    NewPlan();
    for (int hour = 0; hour < 16; ++hour) {
      if (hour % 3 == 0) Publish();
      if (Chance(0.15)) NewPlan();
      if (Chance(0.2)) Freeze();
      if (Chance(0.05)) End();
      if (Chance(0.5)) Consent();
      if (Chance(0.2)) {
        fleet_.Relabel(static_cast<int>(random_() % 24), {{"group", absl::StrCat("g", random_() % 5)}});
      }
      fleet_.RunFor(absl::Hours(1));
    }
    EXPECT_EQ(fleet_.Violations(), "");
  }
  int leases() const { return leases_; }
  int refused_when_tighter() const { return refused_when_tighter_; }
  const std::vector<std::string>& refused() const { return refused_; }

 private:
  bool Chance(double p) { return std::bernoulli_distribution(p)(random_); }

  void NewPlan() {
    policy::Plan plan = RandomPlan(random_);
    if (fleet_.TryApply(plan).ok()) plan_ = std::move(plan);
  }
  void Freeze() {
    policy::Plan plan = Frozen(plan_, fleet_.now());
    if (fleet_.TryApply(plan).ok()) plan_ = std::move(plan);
  }
  void End() {
    policy::Plan plan = Ending(plan_, fleet_.now());
    if (fleet_.TryApply(plan).ok()) plan_ = std::move(plan);
  }
  void Publish() {
    if (auto published = PublishRandom(fleet_, random_)) releases_.push_back(*std::move(published));
  }
  void Consent() {
    if (releases_.empty()) return;
    storage::ConsentRow row;
    row.tenant = "acme";
    row.channel = "content";
    row.serial = releases_[random_() % releases_.size()].serial;
    row.approved = Chance(0.8);
    if (row.approved && Chance(0.5)) row.min_age = absl::Minutes(random_() % 90);
    const auto said = fleet_.app().Consent(fleet_.Admin("acme"), row);
    if (!said.ok()) return;
    consents_[row.serial] = row.approved;
    if (row.min_age.has_value()) hastened_[row.serial] = *row.min_age;
  }

  Reason Ask(const policy::Plan& plan, const SimHost& host, const policy::Release& release) {
    policy::HostView view;
    std::vector<policy::Milestone> published;
    const auto running = host.running.find("content");
    for (const policy::Release& known : releases_) {
      published.push_back({known.serial, known.version});
      if (running != host.running.end() && running->second == known.digest) view.running = known.serial;
    }
    view.published = published;
    view.now = fleet_.now();
    view.age = fleet_.now() - release.published_at;
    if (const auto said = consents_.find(release.serial); said != consents_.end())
      view.consent = said->second ? policy::Consent::kApproved : policy::Consent::kDenied;
    if (const auto age = hastened_.find(release.serial); age != hastened_.end()) view.hastened = age->second;
    return policy::EvaluateOnHost(plan, policy::LabelsFor(plan, host.labels, host.id), release, view).reason;
  }
  void Judge(const SimHost& host, const Digest& digest) {
    ++leases_;
    for (const policy::Release& release : releases_) {
      if (release.digest != digest) continue;
      const Reason reason = Ask(plan_, host, release);
      if (reason != Reason::kNone) {
        refused_.push_back(absl::StrCat(policy::Name(reason), ": ", host.id.ToString(), " takes ",
                                        release.version, " at ", absl::FormatTime(fleet_.now())));
      }
      policy::Plan tighter = plan_;
      for (policy::Ring& ring : tighter.rings) {
        ring.min_age = absl::Hours(24 * 30);
        ring.hasten_to.reset();
      }
      tighter.urgent.reset();
      for (policy::Ring& ring : tighter.rings) ring.channels.clear();
      refused_when_tighter_ += Ask(tighter, host, release) != Reason::kNone ? 1 : 0;
    }
  }

  std::mt19937_64 random_;
  policy::Plan plan_;
  std::vector<policy::Release> releases_;
  std::map<uint64_t, bool> consents_;
  std::map<uint64_t, absl::Duration> hastened_;
  int leases_ = 0, refused_when_tighter_ = 0;
  std::vector<std::string> refused_;
  FleetHarness fleet_;
};

TEST(PinnedPlanDifferentialTest, NoLeaseOfTheServerIsOneThatTheHostRefuses) {
  int leases = 0, refused_when_tighter = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Differential run(seed);
    run.Run();
    leases += run.leases();
    refused_when_tighter += run.refused_when_tighter();
    EXPECT_TRUE(run.refused().empty())
        << "seed " << seed << ": " << run.refused().size() << " refused, first: " << run.refused().front();
  }
  EXPECT_GT(leases, 100);
  EXPECT_EQ(refused_when_tighter, leases) << "a host with a tighter plan takes none of them";
}

}  // namespace
}  // namespace ringfence::test
