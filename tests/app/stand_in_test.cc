// What a replica does that cannot reach the leader: its stops are final at their commit, and the leader acts
// on them as on its own.
#include "server/app/stand_in.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using app::BrakeKind;
using storage::Outcome;
using storage::Scope;
using testing::HasSubstr;

const Scope kRelease{"", "content", 1, ""};

class StandInTest : public testing::Test {
 protected:
  void SetUp() override {
    fleet.AddRing("vendor", "dogfood", 30);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 4; }, absl::Hours(4)));
    stand_in = app::MakeStandIn("vendor", &fleet.store(), &fleet.clock());
  }
  int64_t Exposed() { return fleet.watch().Exposed("content", 1); }
  size_t Decided(const std::string& action) {
    storage::DecisionFilter filter;
    const auto rows = fleet.app().Decisions(filter).value();
    return static_cast<size_t>(
        std::count_if(rows.begin(), rows.end(), [&](const auto& row) { return row.action == action; }));
  }

  FleetHarness fleet;
  policy::Release release;
  std::unique_ptr<app::App> stand_in;
};

TEST_F(StandInTest, NoExposureFollowsItsHaltEvenWhileTheLeaderKnowsNothingOfIt) {
  const absl::StatusOr<storage::BrakeRow> row = stand_in->Halt(fleet.Sre(), kRelease);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_TRUE(row->halted);
  const int64_t exposed = Exposed();
  fleet.RunFor(absl::Hours(1));
  EXPECT_EQ(Exposed(), exposed);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(StandInTest, TheLeaderThatHearsOfItStopsAndShowsWhoDidIt) {
  ASSERT_TRUE(stand_in->Pause(fleet.Sre("ann", "it smells"), kRelease).ok());
  ASSERT_TRUE(fleet.app().TakeInBrakes(kRelease).ok());
  const app::RolloutInfo info = fleet.Rollout(1);
  ASSERT_EQ(info.brakes.size(), 1u);
  EXPECT_TRUE(info.brakes[0].vendor_paused);
  EXPECT_EQ(info.brakes[0].actor, "ann");
  EXPECT_EQ(info.brakes[0].reason, "it smells");
  // And lets go again, on top of what the other wrote.
  ASSERT_TRUE(fleet.app().Resume(fleet.Sre(), kRelease, BrakeKind::kPause).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 30; }, absl::Hours(24)));
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(StandInTest, TheLeaderOrdersHostsBackAfterItsRollback) {
  const int64_t running = fleet.Running(release.digest);
  const absl::StatusOr<app::RollBackReply> reply = stand_in->RollBack(fleet.Sre(), kRelease);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_GE(reply->hosts, running);
  ASSERT_TRUE(fleet.app().TakeInBrakes(std::nullopt).ok());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 0; }, absl::Hours(1)));
}

TEST_F(StandInTest, ItsRecallIsOneForTheLeaderToo) {
  ASSERT_TRUE(stand_in->Recall(fleet.Sre(), "content", 1).ok());
  ASSERT_TRUE(fleet.app().TakeInBrakes(std::nullopt).ok());
  EXPECT_EQ(fleet.app().ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  EXPECT_FALSE(fleet.app().Resume(fleet.Sre(), kRelease, BrakeKind::kHalt).ok());
}

// The caller's first answer was lost, wherever it had asked.
TEST_F(StandInTest, AnActThatIsRepeatedAtTheOtherReplicaIsOneAct) {
  const app::Act act = fleet.Sre();
  ASSERT_TRUE(stand_in->Halt(act, kRelease).ok());
  ASSERT_TRUE(fleet.app().Halt(act, kRelease).ok());
  ASSERT_TRUE(stand_in->Halt(act, kRelease).ok());
  EXPECT_EQ(Decided("halt"), 1u);
  EXPECT_EQ(fleet.app().Audit({})->front().act, "rollout.halt");
  EXPECT_EQ(stand_in->Pause(act, kRelease).status().code(), absl::StatusCode::kInvalidArgument);
}

// A brake that was read before another one was written is not the last word.
TEST_F(StandInTest, BothReplicasStopTheSameScopeAndBothHold) {
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), kRelease).ok());
  ASSERT_TRUE(stand_in->Halt(fleet.Sre(), kRelease).ok());
  ASSERT_TRUE(fleet.app().Pause(fleet.Admin("vendor"), Scope{"vendor", "content", 1, ""}).ok());
  ASSERT_TRUE(fleet.app().TakeInBrakes(std::nullopt).ok());
  bool halted = false, paused = false;
  for (const storage::BrakeRow& row : fleet.Rollout(1).brakes) {
    halted = halted || row.halted;
    paused = paused || row.tenant_paused;
    if (row.scope == kRelease) {
      EXPECT_TRUE(row.vendor_paused && row.halted);
    }
  }
  EXPECT_TRUE(halted && paused);
}

TEST_F(StandInTest, RefusesWhatTheLeaderWouldRefuse) {
  using absl::StatusCode;
  EXPECT_EQ(stand_in->Halt(fleet.Sre(), {"", "content", 7, ""}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(stand_in->Halt(fleet.Sre(), {"acmee", "content", 1, ""}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(stand_in->Halt(fleet.Sre(), {"vendor", "content", 1, "x"}).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(stand_in->Halt(fleet.Sre(), {"vendor", "", 0, ""}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(stand_in->Pause(fleet.Admin("acme"), kRelease).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(stand_in->Recall(fleet.Admin("vendor"), "content", 1).status().code(),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(Decided("halt") + Decided("pause") + Decided("recall"), 0u);
}

TEST_F(StandInTest, WithoutTheDatabaseItClaimsNothing) {
  fleet.store().down = true;
  const absl::Status stopped = stand_in->Halt(fleet.Sre(), kRelease).status();
  EXPECT_EQ(stopped.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(stopped.message()), HasSubstr("nothing is known to be stopped"));
}

TEST_F(StandInTest, HandsOutArtifactsAndGrantsNothing) {
  EXPECT_EQ(stand_in->ArtifactChunk(release.digest, 0).value(), FleetHarness::BytesOf(release));
  absl::Status answer;
  stand_in->Lease({fleet.host(0).id, "content", release.digest, "boot-1"},
                  [&](absl::StatusOr<app::LeaseReply> reply) { answer = reply.status(); });
  EXPECT_EQ(answer.code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace ringfence::test
