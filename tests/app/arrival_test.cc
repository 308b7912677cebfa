// Whatever way a fleet's words come to the one replica that leads - directly, or through replicas that follow
// and hand them on in batches - they are the same evidence; and a leader that is gone adds nothing to it.
// docs/health-analysis.md, section 12.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/app.h"
#include "server/storage/fenced_store.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/seed.h"

namespace ringfence::test {
namespace {

constexpr int kHosts = 300;

// How the check-ins of one interval arrive.
enum class Way : uint8_t {
  kDirectly,          // host by host, always alike
  kShuffled,          // all in an order of their own each time
  kThroughFollowers,  // half of them some seconds later, in batches, some of them told twice
};

// A fleet that checks in once in each interval, and asks for leases afterwards, in one order.
class Arrivals {
 public:
  explicit Arrivals(Way way) : way_(way), random_(Seed(707)) {
    app_ = Lead();
    std::vector<storage::AgentRow> rows;
    for (int i = 0; i < kHosts; ++i) {
      Host& host = hosts_.emplace_back();
      host.row.agent.bytes.fill(static_cast<uint8_t>(i % 250 + 1));
      host.row.agent.bytes[15] = static_cast<uint8_t>(i / 250);
      host.row.tenant = "vendor";
      host.row.labels = *policy::Labels::Make(
          {{"ring", "dogfood"}, {"os", "win10"}, {"coinstalled", i % 3 == 0 ? "dlp" : "none"}});
      host.row.enrolled_at = host.row.last_seen = clock_.Now();
      rows.push_back(host.row);
    }
    EXPECT_TRUE(store_->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents(rows); }).ok());
    EXPECT_TRUE(app_->Start().ok());
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
    plan.gates = Gates();
    plan.gates.cohort_keys = {"coinstalled"};
    EXPECT_TRUE(app_->ApplyPlan(ActOf("sre"), plan, 0).ok());
    app::PublishRequest request;
    request.release.channel = "content";
    request.release.kind = policy::ChannelKind::kContent;
    request.release.serial = 1;
    request.release.version = "v1";
    request.release.matrix = {policy::Selector()};
    request.bytes = "FCT1 bytes";
    request.release.digest = digest_ = Sha256(request.bytes);
    const auto published = app_->Publish(ActOf("releaser"), request);
    EXPECT_TRUE(published.ok()) << published.status();
  }

  void Interval() {
    clock_.Advance(absl::Seconds(15));
    EXPECT_EQ(app_->RunOnce().ok(), !replaced_);
    std::vector<size_t> order(hosts_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (way_ != Way::kDirectly) std::shuffle(order.begin(), order.end(), random_);
    const auto follows = [&](size_t host) { return way_ == Way::kThroughFollowers && host % 2 == 1; };
    for (const size_t host : order) {
      if (!follows(host)) CheckIn(hosts_[host]);
    }
    clock_.Advance(absl::Seconds(5));
    for (const size_t host : order) {
      if (!follows(host)) continue;
      const app::AgentEvent* told = CheckIn(hosts_[host]);
      // The batch was lost on its way back: the follower's host says it again.
      if (told != nullptr && host % 4 == 1) CheckIn(hosts_[host], told);
    }
    clock_.Advance(absl::Seconds(5));
    for (Host& host : hosts_) {
      if (!host.dead && !host.runs) Ask(host);
    }
    app_->CommitOnce().IgnoreError();  // of a leader that was replaced: refused
    clock_.Advance(absl::Seconds(35));
  }

  // Another replica leads from now on, and this one has not heard of it. What that other one reads.
  std::unique_ptr<app::App> Replace() {
    replaced_ = true;
    std::unique_ptr<app::App> next = Lead();
    EXPECT_TRUE(next->Start().ok());
    return next;
  }
  // What the store holds of stops.
  std::vector<std::string> Stops() {
    std::vector<std::string> stops;
    EXPECT_TRUE(store_
                    ->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      stops.clear();
                      ASSIGN_OR_RETURN(const std::vector<storage::DecisionRow> rows, tx.Decisions({}));
                      for (const storage::DecisionRow& row : rows) {
                        if (row.action == "hold" || row.action == "halt") stops.push_back(row.rule);
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return stops;
  }
  double WealthInMemory() { return app_->GetRollout("content", 1, "")->health.m_r; }

  // What both ways must agree in.
  struct Found {
    double m_r = 0, m_a = 0;
    std::vector<std::string> decisions, events;
    std::map<std::string, std::vector<double>> vectors;
    int64_t exposed = 0, dead = 0;
  };
  Found Look() {
    Found found;
    const auto rollout = app_->GetRollout("content", 1, "");
    found.m_r = rollout->health.m_r;
    found.m_a = rollout->health.m_a;
    std::vector<storage::DecisionRow> decisions;
    std::vector<storage::EvidenceRecordRow> records;
    EXPECT_TRUE(store_
                    ->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      ASSIGN_OR_RETURN(decisions, tx.Decisions({}));
                      ASSIGN_OR_RETURN(records, tx.EvidenceRecords("content", 1));
                      return absl::OkStatus();
                    })
                    .ok());
    for (const storage::DecisionRow& row : decisions) {
      found.decisions.push_back(absl::StrCat(absl::FormatTime(row.at), " ", row.action, " ", row.rule, " [",
                                             row.cohort, "] ", row.why, " ", row.evidence));
    }
    for (const storage::EvidenceRecordRow& record : records) {
      for (const storage::EvidenceEvent& event : record.events) {
        found.events.push_back(absl::StrCat(record.bucket, " ", event.agent.ToString(), " ",
                                            policy::Name(event.health_channel), " ", event.treated, " ",
                                            event.pi, " ", event.x));
      }
    }
    EXPECT_TRUE(store_
                    ->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      ASSIGN_OR_RETURN(const std::vector<storage::EvidenceRow> rows,
                                       tx.Evidence("content", 1));
                      for (const storage::EvidenceRow& row : rows) {
                        std::vector<double>& to =
                            found.vectors[absl::StrCat(policy::Name(row.health_channel), " ", row.cell)];
                        to.assign(row.r.begin(), row.r.end());
                        to.insert(to.end(), row.guard.begin(), row.guard.end());
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    for (const Host& host : hosts_) {
      found.exposed += host.runs ? 1 : 0;
      found.dead += host.dead ? 1 : 0;
    }
    return found;
  }

 private:
  struct Host {
    storage::AgentRow row;
    bool runs = false, dead = false;
    int boots = 1;
    uint64_t seq = 0;
    std::vector<app::AgentEvent> events;
    app::AgentEvent last;
  };

  std::unique_ptr<app::App> Lead() {
    int64_t epoch = 0;
    EXPECT_TRUE(store_
                    ->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      ASSIGN_OR_RETURN(epoch, tx.TakeLeaderEpoch("replica", clock_.Now()));
                      return absl::OkStatus();
                    })
                    .ok());
    fences_.push_back(std::make_unique<storage::FencedStore>(store_.get(), epoch));
    app::AppOptions options;
    options.internal_tenant = "vendor";
    options.seed = 7;
    return app::App::Make(options, fences_.back().get(), &clock_, nullptr);
  }
  app::Act ActOf(const std::string& person) {
    app::Act act;
    act.actor.person = person;
    act.actor.role = person == "releaser" ? app::Role::kReleaseManager : app::Role::kSre;
    act.reason = "test";
    act.request_id = absl::StrCat("r", ++request_);
    return act;
  }
  // The event that it told, if any.
  const app::AgentEvent* CheckIn(Host& host, const app::AgentEvent* again = nullptr) {
    if (host.dead) return nullptr;
    const std::string boot = absl::StrCat("boot-", host.boots);
    const std::string hash = host.row.labels.Hash16();
    std::vector<app::RunningView> running;
    if (host.runs) running.push_back({"content", digest_});
    if (again != nullptr) host.events.push_back(*again);
    app::CheckInRequest request;
    request.agent = host.row.agent;
    request.boot_id = boot;
    request.labels_hash = hash;
    request.labels = &host.row.labels;
    request.running = running;
    request.staged = absl::MakeConstSpan(&digest_, 1);
    request.events = host.events;
    app::CheckInReply reply;
    EXPECT_TRUE(app_->CheckIn(request, &reply).ok());
    if (host.events.empty()) return nullptr;
    host.last = host.events.back();
    host.events.clear();
    return &host.last;
  }
  void Ask(Host& host) {
    app_->Lease({host.row.agent, "content", digest_, "boot-1"}, [&](absl::StatusOr<app::LeaseReply> reply) {
      if (!reply.ok() || !reply->granted) return;
      host.runs = true;
      // With one agent it dies, with others now and then a program of its own crashes.
      host.dead = host.row.labels.Has("coinstalled", "dlp");
      if (host.dead || host.row.agent.bytes[0] % 8 != 0) return;
      app::AgentEvent crash;
      crash.seq = ++host.seq;
      crash.kind = app::EventKind::kCrash;
      host.events.push_back(crash);
    });
  }

  const Way way_;
  std::mt19937_64 random_;
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  std::unique_ptr<storage::Store> store_ = storage::MakeMemoryStore();
  std::vector<std::unique_ptr<storage::FencedStore>> fences_;
  std::unique_ptr<app::App> app_;
  bool replaced_ = false;
  std::vector<Host> hosts_;
  Digest digest_;
  int request_ = 0;
};

TEST(ArrivalTest, ThroughFollowersAndInAnyOrderTheSameHistoryIsTheSameEvidenceAndTheSameDecisions) {
  const auto run = [](Way way) {
    Arrivals arrivals(way);
    for (int i = 0; i < 45; ++i) arrivals.Interval();
    return arrivals.Look();
  };
  const Arrivals::Found direct = run(Way::kDirectly);
  EXPECT_GT(direct.dead, 0);
  EXPECT_GT(direct.exposed, direct.dead);
  EXPECT_FALSE(direct.events.empty());
  EXPECT_NE(direct.m_r, 1.0);
  for (const Way way : {Way::kShuffled, Way::kThroughFollowers}) {
    const Arrivals::Found other = run(way);
    EXPECT_EQ(other.m_r, direct.m_r) << static_cast<int>(way);
    EXPECT_EQ(other.m_a, direct.m_a);
    EXPECT_EQ(other.events, direct.events);
    EXPECT_EQ(other.vectors, direct.vectors);
    EXPECT_EQ(other.decisions, direct.decisions);
    EXPECT_EQ(other.exposed, direct.exposed);
    EXPECT_EQ(other.dead, direct.dead);
  }
}

// ---- a leader that is gone

class GoneLeaderTest : public testing::Test {
 protected:
  // Until hosts that took the release have died in open strata.
  void Begin() {
    fleet.AddRing("vendor", "dogfood", 1500);
    fleet.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 3; }, absl::Hours(6)));
    dead = fleet.Running(release.digest);
    ASSERT_EQ(Recorded(), 0) << "the strata of those hosts are open";
  }
  // Bad events of hosts that took the release, as they are on record.
  int64_t Recorded() {
    int64_t events = 0;
    EXPECT_TRUE(fleet.store()
                    .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      events = 0;
                      ASSIGN_OR_RETURN(const std::vector<storage::EvidenceRecordRow> records,
                                       tx.EvidenceRecords("content", 1));
                      for (const storage::EvidenceRecordRow& record : records) {
                        for (const storage::EvidenceEvent& event : record.events)
                          events += event.treated ? 1 : 0;
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return events;
  }
  FleetHarness fleet;
  policy::Release release;
  int64_t dead = 0;
};

TEST_F(GoneLeaderTest, ItsOpenStrataAreVoidAndItsHostsStayInTheBudget) {
  Begin();
  fleet.Restart();
  EXPECT_EQ(fleet.Rollout(1).health.unproven, dead) << "with a new deadline";
  EXPECT_EQ(fleet.Rollout(1).health.m_r, 1.0);
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());  // nobody new
  fleet.RunFor(absl::Minutes(20));
  EXPECT_EQ(fleet.watch().Count("content", 1, storage::Outcome::kSilent), dead) << "and they count as harmed";
  EXPECT_EQ(Recorded(), 0) << "nothing of them is in the test, in either arm";
  EXPECT_EQ(fleet.Rollout(1).health.m_r, 1.0);
  EXPECT_EQ(fleet.Violations(), "");
}

// The leader was cut off and does not know it: what matures there comes too late for everybody else.
TEST(ReplacedLeaderTest, WhatMaturesAtALeaderThatWasReplacedReachesNoHalt) {
  Arrivals cut_off(Way::kDirectly);
  for (int i = 0; i < 30 && cut_off.Look().dead < 2; ++i) cut_off.Interval();
  ASSERT_GE(cut_off.Look().dead, 2);
  ASSERT_TRUE(cut_off.Look().events.empty()) << "the strata of the dead are open";
  const std::unique_ptr<app::App> next = cut_off.Replace();
  for (int i = 0; i < 12; ++i) cut_off.Interval();
  EXPECT_GT(cut_off.WealthInMemory(), 2.0) << "it has seen them die";
  EXPECT_TRUE(cut_off.Stops().empty()) << "and could stop nobody by it";
  EXPECT_TRUE(cut_off.Look().events.empty()) << "nor add to the evidence";
  EXPECT_EQ(next->GetRollout("content", 1, "")->health.m_r, 1.0);
}

}  // namespace
}  // namespace ringfence::test
