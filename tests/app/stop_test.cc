// Stopping while the database hangs: it refuses nothing, and answers nothing.
#include <optional>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::Reason;
using storage::Scope;
using Gate = GatedStore::Gate;

const Scope kRelease{"", "content", 1, ""};

class StopTest : public testing::Test {
 protected:
  void Begin(absl::Duration patience) {
    FleetHarness::Options options;
    options.stop_patience = patience;
    fleet.emplace(options);
    fleet->AddRing("vendor", "dogfood", 30);
    fleet->Start();
    fleet->Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    release = fleet->Publish();
    ASSERT_TRUE(fleet->RunUntil([&] { return fleet->Running(release.digest) >= 2; }, absl::Hours(12)));
    for (host = 0; fleet->host(host).activated_at.contains(release.digest);) ++host;
  }
  // Without a commit: it must not wait for the store.
  std::optional<absl::StatusOr<app::LeaseReply>> Ask() {
    std::optional<absl::StatusOr<app::LeaseReply>> answer;
    fleet->app().Lease({fleet->host(host).id, "content", release.digest, "boot-1"},
                       [&](absl::StatusOr<app::LeaseReply> reply) { answer = std::move(reply); });
    return answer;
  }
  Reason Asked() {
    const auto answer = Ask();
    return answer.has_value() && answer->ok() ? (*answer)->reason : Reason::kNone;
  }
  // A lease that waits for its commit.
  void AskUntilDrawn(std::optional<absl::StatusOr<app::LeaseReply>>& answer) {
    for (int round = 0; round < 200; ++round) {
      for (host = 0; host < 30; ++host) {
        if (fleet->host(host).activated_at.contains(release.digest)) continue;
        answer.reset();
        fleet->app().Lease({fleet->host(host).id, "content", release.digest, "boot-1"},
                           [&](absl::StatusOr<app::LeaseReply> reply) { answer = std::move(reply); });
        if (!answer.has_value()) return;
      }
      fleet->RunFor(absl::Seconds(61));
    }
    FAIL() << "nobody was drawn";
  }

  std::optional<FleetHarness> fleet;
  policy::Release release;
  int host = 0;
};

TEST_F(StopTest, NoLeaseIsGivenFromTheMomentAHaltIsAskedFor) {
  Begin(absl::InfiniteDuration());
  ASSERT_NE(Asked(), Reason::kHalted);
  fleet->gate().Set(Gate::kShutBefore);
  absl::Status halted;
  std::thread person([&] { halted = fleet->app().Halt(fleet->Sre(), kRelease).status(); });
  fleet->gate().WaitForACall();
  EXPECT_EQ(Asked(), Reason::kHalted);
  fleet->gate().Set(Gate::kOpen);
  person.join();
  EXPECT_TRUE(halted.ok()) << halted;
  EXPECT_EQ(Asked(), Reason::kHalted);
}

TEST_F(StopTest, AStopThatTheDatabaseDoesNotTakeIsAnsweredInForceAndWrittenLater) {
  struct Case {
    const char* name;
    std::function<absl::Status(const app::Act&)> stop;
    Reason reason;
  };
  const Case cases[] = {
      {"pause", [&](const app::Act& act) { return fleet->app().Pause(act, kRelease).status(); },
       Reason::kVendorPaused},
      {"halt", [&](const app::Act& act) { return fleet->app().Halt(act, kRelease).status(); },
       Reason::kHalted},
      {"rollback", [&](const app::Act& act) { return fleet->app().RollBack(act, kRelease).status(); },
       Reason::kHalted},
      {"recall", [&](const app::Act& act) { return fleet->app().Recall(act, "content", 1).status(); },
       Reason::kRecalled},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    Begin(absl::Milliseconds(1));
    fleet->gate().Set(Gate::kShutBefore);
    const app::Act act = fleet->Sre();
    const absl::Status answer = one.stop(act);
    EXPECT_TRUE(absl::IsUnavailable(answer)) << answer;
    EXPECT_THAT(std::string(answer.message()), testing::HasSubstr("stopped here only"));
    EXPECT_EQ(Asked(), one.reason);
    fleet->gate().Set(Gate::kOpen);
    fleet->Step();
    EXPECT_TRUE(fleet->last_step.ok()) << fleet->last_step;
    fleet->Restart();
    EXPECT_EQ(Asked(), one.reason);
    // It was done once, and the repeat is known.
    int64_t written = 0;
    for (const storage::DecisionRow& row : fleet->watch().decisions())
      written += row.action == one.name ? 1 : 0;
    EXPECT_EQ(written, 1);
    EXPECT_EQ(fleet->app().Audit({})->front().request_id, act.request_id);
    EXPECT_EQ(fleet->app().ListReleases("content")->front().state, one.reason == Reason::kRecalled
                                                                       ? storage::ReleaseState::kRecalled
                                                                       : storage::ReleaseState::kPublished);
  }
}

TEST_F(StopTest, AnExposureThatIsCommittedWhileAHaltArrivesIsCountedAndNotTold) {
  Begin(absl::Milliseconds(1));
  std::optional<absl::StatusOr<app::LeaseReply>> answer;
  AskUntilDrawn(answer);
  const int64_t exposed = fleet->watch().Exposed("content", 1);
  fleet->gate().Set(Gate::kShutAfter);
  std::thread committer([&] { EXPECT_TRUE(fleet->app().CommitOnce().ok()); });
  fleet->gate().WaitForACall();
  EXPECT_TRUE(absl::IsUnavailable(fleet->app().Halt(fleet->Sre(), kRelease).status()));
  fleet->gate().Set(Gate::kOpen);
  committer.join();
  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_FALSE((*answer)->granted);
  EXPECT_EQ((*answer)->reason, Reason::kHalted);
  fleet->Restart();
  EXPECT_EQ(fleet->watch().Exposed("content", 1), exposed + 1);
  EXPECT_EQ(fleet->Rollout(1).ledger.exposed, exposed + 1);
}

TEST_F(StopTest, AHostThatAsksAgainWhileItsLeaseIsCommittedIsToldSo) {
  Begin(absl::InfiniteDuration());
  std::optional<absl::StatusOr<app::LeaseReply>> answer;
  AskUntilDrawn(answer);
  fleet->gate().Set(Gate::kShutBefore);
  std::thread committer([&] { EXPECT_TRUE(fleet->app().CommitOnce().ok()); });
  fleet->gate().WaitForACall();
  const auto again = Ask();
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(absl::IsUnavailable(again->status())) << again->status();
  EXPECT_THAT(std::string(again->status().message()), testing::HasSubstr("being committed"));
  fleet->gate().Set(Gate::kOpen);
  committer.join();
  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_TRUE((*answer)->granted);
}

TEST_F(StopTest, ARepeatOfAnActThatWasTakenBackSinceOrdersNobodyBack) {
  Begin(absl::InfiniteDuration());
  const app::Act act = fleet->Sre();
  ASSERT_TRUE(fleet->app().RollBack(act, kRelease).ok());
  for (const char* person : {"ann", "bob"}) {
    ASSERT_TRUE(fleet->app().Resume(fleet->Sre(person), kRelease, app::BrakeKind::kHalt).ok());
  }
  fleet->Restart();
  ASSERT_TRUE(fleet->app().RollBack(act, kRelease).ok());
  EXPECT_FALSE(fleet->Stopped(1));
  EXPECT_NE(Asked(), Reason::kHalted);
}

}  // namespace
}  // namespace ringfence::test
