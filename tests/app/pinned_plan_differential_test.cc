// No lease that the server gives is one that the host's own evaluation of the same plan refuses: over random
// plans, fleets and times, in production wiring. And the other way round it would be no test: some leases are
// refused when the host holds a tighter plan.
#include <random>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/policy/bucket.h"
#include "ringfence/policy/pinned_plan.h"
#include "tests/support/customers_only.h"

namespace ringfence::test {
namespace {

using policy::Reason;

// A plan of two to four rings that uses every word of which a host can judge.
policy::Plan RandomPlan(std::mt19937_64& random) {
  const auto pick = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  const auto often = [&](double p) { return std::bernoulli_distribution(p)(random); };
  std::vector<policy::Ring> rings;
  const int count = static_cast<int>(pick(2, 4));
  int from = 0;
  for (int i = 0; i < count; ++i) {
    policy::Ring ring = RingNamed(absl::StrCat("r", i));
    if (often(0.5)) {
      const int to = i + 1 == count ? policy::kBuckets : from + static_cast<int>(pick(1000, 3000));
      ring.selector = policy::Selector{{}, policy::HashBucket{from, std::min(to, policy::kBuckets)}};
      from = std::min(to, policy::kBuckets - 1);
    } else {
      ring.selector = policy::Selector{{{"group", {absl::StrCat("g", i), absl::StrCat("g", i + 1)}}}};
    }
    if (i > 0) ring.lag = static_cast<int>(pick(0, 2));
    if (often(0.4)) ring.min_age = absl::Minutes(pick(5, 300));
    if (often(0.3)) {
      const int at = static_cast<int>(pick(0, 23)) * 60;
      ring.windows = {{{}, at, (at + static_cast<int>(pick(60, 600))) % (24 * 60) + 1, "UTC"}};
    }
    if (often(0.3)) {
      policy::RingRule rule;
      rule.channel = "content";
      if (often(0.5)) rule.lag = static_cast<int>(pick(0, 1));
      if (often(0.5)) rule.min_age = absl::Minutes(pick(0, 120));
      if (often(0.5)) rule.approval = policy::Approval::kExplicit;
      ring.channels = {rule};
    }
    rings.push_back(std::move(ring));
  }
  policy::Plan plan = PlanOf("acme", std::move(rings));
  plan.bucket_salt = absl::StrCat("s", pick(0, 9));
  if (often(0.2)) plan.channels[0].from_version = "v2";
  if (often(0.2)) plan.channels[0].barriers = {"v2"};
  if (often(0.2)) {
    plan.channels[0] = policy::ChannelRule{"content", policy::ChannelMode::kPinned, 0, "v2"};
  }
  if (often(0.2)) {
    plan.deny.resize(1);
    plan.deny[0].channel = "content";
    plan.deny[0].version = "v3";
    plan.deny[0].reason = plan.deny[0].owner = "x";
  }
  if (often(0.3)) plan.unqualified_platform = policy::UnqualifiedPlatform::kFirstRingOnly;
  if (often(0.3))
    plan.urgent = policy::Urgent{policy::UrgentMode::kAllow, {}, absl::Minutes(5), absl::Minutes(5), true};
  return plan;
}

class Differential {
 public:
  explicit Differential(uint64_t seed) : random_(seed), fleet_(Options(seed)) {
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
  static FleetHarness::Options Options(uint64_t seed) {
    FleetHarness::Options options = CustomersOnly();
    options.seed = seed;
    options.step = absl::Seconds(30);
    return options;
  }
  bool Chance(double p) { return std::bernoulli_distribution(p)(random_); }

  void NewPlan() {
    policy::Plan plan = RandomPlan(random_);
    if (fleet_.TryApply(plan).ok()) plan_ = std::move(plan);
  }
  void Freeze() {
    policy::Plan plan = plan_;
    plan.freezes = {{fleet_.now() + absl::Minutes(5), fleet_.now() + absl::Hours(1), "trade", "ann", {}}};
    if (fleet_.TryApply(plan).ok()) plan_ = std::move(plan);
  }
  void Publish() {
    policy::Release release = fleet_.NextRelease();
    if (Chance(0.3)) release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
    release.urgent = Chance(0.2);
    const auto published = fleet_.TryPublish(release);
    if (published.ok()) releases_.push_back(*published);
  }
  void Consent() {
    if (releases_.empty()) return;
    storage::ConsentRow row;
    row.tenant = "acme";
    row.channel = "content";
    row.serial = releases_[random_() % releases_.size()].serial;
    row.approved = Chance(0.8);
    const auto said = fleet_.app().Consent(fleet_.Admin("acme"), row);
    if (said.ok()) consents_[row.serial] = row.approved;
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
      for (policy::Ring& ring : tighter.rings) ring.min_age = absl::Hours(24 * 30);
      tighter.urgent.reset();
      for (policy::Ring& ring : tighter.rings) ring.channels.clear();
      refused_when_tighter_ += Ask(tighter, host, release) != Reason::kNone ? 1 : 0;
    }
  }

  std::mt19937_64 random_;
  policy::Plan plan_;
  std::vector<policy::Release> releases_;
  std::map<uint64_t, bool> consents_;
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
