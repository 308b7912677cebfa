// Two brakes: what a customer stops, its own people let go; what the vendor stops, the vendor's. Over random
// histories of both, with urgent releases, neither is undone by the other's go, and nothing moves under
// either.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/seed.h"

namespace ringfence::test {
namespace {

using app::BrakeKind;
using policy::Reason;
using storage::Scope;

struct Side {
  bool tenant = false, vendor = false, halted = false;
};

class TwoBrakes {
 public:
  explicit TwoBrakes(uint64_t seed) : random_(seed), fleet_(OptionsOf(seed)) {
    fleet_.AddRing("vendor", "dogfood", 4);
    fleet_.AddRing("acme", "canary", 8);
    fleet_.AddRing("acme", "rest", 8);
    fleet_.Start();
    fleet_.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    policy::Plan plan = PlanOf("acme", {RingNamed("canary"), RingNamed("rest")});
    // As fast as a plan may let an urgent release be: brakes hold all the same.
    plan.urgent =
        policy::Urgent{policy::UrgentMode::kAllow, {}, absl::ZeroDuration(), policy::kSoakFloor, true};
    fleet_.Apply(plan);
    scopes_ = {{"acme", "", 0, ""},        {"acme", "content", 0, ""}, {"acme", "", 0, "canary"},
               {"acme", "", 0, "rest"},    {"acme", "content", 1, ""}, {"", "content", 1, ""},
               {"acme", "content", 2, ""}, {"", "content", 2, ""}};
    Publish();
  }

  std::string Run() {
    for (int i = 0; i < 60 && fault_.empty(); ++i) {
      Act();
      Check();
      Forward();
    }
    return fault_.empty() ? fleet_.Violations() : fault_;
  }
  int64_t exposed() { return exposed_; }
  int64_t refusals() const { return refusals_; }

 private:
  static FleetHarness::Options OptionsOf(uint64_t seed) {
    FleetHarness::Options options;
    options.seed = seed;
    return options;
  }
  int Pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  void Publish() {
    policy::Release release = fleet_.NextRelease();
    release.urgent = Pick(0, 1) == 1;
    ASSERT_TRUE(fleet_.TryPublish(release).ok());
    ++published_;
  }

  void Act() {
    if (published_ < 2 && Pick(0, 9) == 0) return Publish();
    const Scope& scope = scopes_[static_cast<size_t>(Pick(0, static_cast<int>(scopes_.size()) - 1))];
    if (scope.serial > published_) return;
    Side& side = sides_[scope];
    const bool tenants = !scope.tenant.empty();
    switch (Pick(0, 7)) {
      case 0:
        if (tenants) Must(fleet_.app().Pause(fleet_.Admin("acme"), scope).ok(), "tenant pauses", scope);
        side.tenant = side.tenant || tenants;
        break;
      case 1:
        Must(fleet_.app().Pause(fleet_.Sre(), scope).ok(), "vendor pauses", scope);
        side.vendor = true;
        break;
      case 2:
        if (scope.serial == 0) break;
        Must(fleet_.app().Halt(fleet_.Sre(), scope).ok(), "vendor halts", scope);
        side.halted = true;
        break;
      case 3:
      case 4: {
        if (!tenants) break;
        const bool went = fleet_.app().Resume(fleet_.Admin("acme"), scope, BrakeKind::kPause).ok();
        Must(went == side.tenant, "tenant lets go of its own pause only", scope);
        side.tenant = false;
        if (scope.serial != 0)
          Must(!fleet_.app().Resume(fleet_.Admin("acme"), scope, BrakeKind::kHalt).ok(),
               "a tenant lifts a halt", scope);
        break;
      }
      case 5:
      case 6: {
        const bool went = fleet_.app().Resume(fleet_.Sre(), scope, BrakeKind::kPause).ok();
        Must(went == side.vendor, "vendor lets go of its own pause only", scope);
        side.vendor = false;
        break;
      }
      default:
        if (scope.serial == 0) break;
        for (const char* person : {"ann", "bob"}) {
          const bool went = fleet_.app().Resume(fleet_.Sre(person), scope, BrakeKind::kHalt).ok();
          Must(went == side.halted, "two persons lift a halt", scope);
        }
        side.halted = false;
        break;
    }
  }

  void Must(bool held, const char* what, const Scope& scope) {
    if (held || !fault_.empty()) return;
    fault_ = absl::StrCat(what, ": ", scope.tenant, "/", scope.channel, "/", scope.serial, "/", scope.ring,
                          " at ", absl::FormatTime(fleet_.now()));
  }

  bool Stopped(const std::string& ring, uint64_t serial) {
    for (const Scope& scope :
         {Scope{"acme", "", 0, ""}, Scope{"acme", "content", 0, ""}, Scope{"acme", "", 0, ring},
          Scope{"acme", "content", serial, ""}, Scope{"", "content", serial, ""}}) {
      const auto found = sides_.find(scope);
      if (found == sides_.end()) continue;
      if (found->second.tenant || found->second.vendor || found->second.halted) return true;
    }
    return false;
  }

  // What the store says is what was done, side by side.
  void Check() {
    EXPECT_TRUE(fleet_.store()
                    .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      const auto rows = tx.Brakes();
                      if (!rows.ok()) return rows.status();
                      for (const storage::BrakeRow& row : *rows) {
                        const auto found = sides_.find(row.scope);
                        const Side side = found == sides_.end() ? Side() : found->second;
                        Must(row.tenant_paused == side.tenant, "the tenant's pause", row.scope);
                        Must(row.vendor_paused == side.vendor, "the vendor's pause", row.scope);
                        Must(row.halted == side.halted, "the halt", row.scope);
                      }
                      return absl::OkStatus();
                    })
                    .ok());
  }

  std::map<std::pair<std::string, uint64_t>, int64_t> Exposed() {
    std::map<std::pair<std::string, uint64_t>, int64_t> exposed;
    EXPECT_TRUE(fleet_.store()
                    .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      exposed.clear();
                      for (uint64_t serial = 1; serial <= published_; ++serial) {
                        const absl::Status status =
                            tx.ForEachExposure("content", serial, [&](const storage::ExposureRow& row) {
                              if (row.tenant == "acme") ++exposed[{row.ring, serial}];
                            });
                        if (!status.ok()) return status;
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return exposed;
  }

  // Time goes on. Where a brake is on, no exposure is committed.
  void Forward() {
    const auto before = Exposed();
    fleet_.RunFor(absl::Minutes(Pick(1, 25)));
    auto after = Exposed();
    for (auto& [where, count] : after) {
      const auto known = before.find(where);
      const int64_t fresh = count - (known == before.end() ? 0 : known->second);
      exposed_ += fresh;
      if (fresh > 0 && Stopped(where.first, where.second) && fault_.empty())
        fault_ = absl::StrCat(fresh, " hosts of ", where.first, " got ", where.second, " under a brake");
    }
    for (SimHost& host : fleet_.hosts()) {
      if (host.last_answer == Reason::kTenantPaused || host.last_answer == Reason::kVendorPaused ||
          host.last_answer == Reason::kHalted)
        ++refusals_;
    }
  }

  std::mt19937_64 random_;
  FleetHarness fleet_;
  std::vector<Scope> scopes_;
  std::map<Scope, Side> sides_;
  uint64_t published_ = 0;
  int64_t exposed_ = 0, refusals_ = 0;
  std::string fault_;
};

TEST(TwoBrakesTest, NeitherIsUndoneByTheOthersGoAndNothingMovesUnderEither) {
  int64_t exposed = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    TwoBrakes history(seed);
    const std::string fault = history.Run();
    ASSERT_EQ(fault, "") << "seed " << seed;
    exposed += history.exposed();
  }
  EXPECT_GT(exposed, 20) << "the histories let next to nobody move: they show nothing";
}

class BrakeScopesTest : public testing::Test {
 protected:
  BrakeScopesTest() {
    fleet.AddRing("vendor", "dogfood", 4);
    fleet.AddRing("acme", "canary", 12);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    fleet.Apply(PlanOf("acme", {RingNamed("canary")}));
  }
  FleetHarness fleet;
};

TEST_F(BrakeScopesTest, ATenantPausesARingForEveryReleaseAlsoBeforeOneComes) {
  const Scope ring{"acme", "", 0, "canary"};
  EXPECT_TRUE(absl::IsNotFound(fleet.app().Pause(fleet.Admin("acme"), {"acme", "", 0, "theatre"}).status()));
  ASSERT_TRUE(fleet.app().Pause(fleet.Admin("acme"), ring).ok());
  policy::Release urgent = fleet.NextRelease();
  urgent.urgent = true;
  const auto release = fleet.TryPublish(urgent);
  ASSERT_TRUE(release.ok());
  fleet.RunFor(absl::Hours(8));
  EXPECT_GT(fleet.Running(release->digest), 0);
  EXPECT_EQ(fleet.RunningIn("acme", "canary", release->digest), 0);
  ASSERT_TRUE(fleet.app().Resume(fleet.Admin("acme"), ring, BrakeKind::kPause).ok());
  EXPECT_TRUE(
      fleet.RunUntil([&] { return fleet.RunningIn("acme", "canary", release->digest) > 0; }, absl::Hours(8)));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(BrakeScopesTest, ReachingForTheOtherSidesBrakeIsOnRecord) {
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Minutes(5));
  const Scope acme{"acme", "", 0, ""};
  ASSERT_TRUE(fleet.app().Pause(fleet.Admin("acme"), acme).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(fleet.app().Resume(fleet.Sre(), acme, BrakeKind::kPause).status()));
  const Scope of_release{"acme", "content", release.serial, ""};
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), of_release).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().Resume(fleet.Admin("acme"), of_release, BrakeKind::kHalt).status()));
  const auto audit = fleet.app().Audit({});
  ASSERT_TRUE(audit.ok());
  std::vector<std::string> persons;
  for (const storage::AuditRow& row : *audit) {
    if (row.act == "bypass_denied") persons.push_back(absl::StrCat(row.role, ": ", row.after));
  }
  EXPECT_THAT(persons, testing::UnorderedElementsAre("sre: to take the tenant's own pause off",
                                                     "tenant-admin: to take a halt off"));
}

}  // namespace
}  // namespace ringfence::test
