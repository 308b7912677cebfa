// What enters the system: releases, plans, agents; and what a doubtful or repeated call makes of it.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "server/storage/fenced_store.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

using policy::StageState;
using storage::Outcome;

std::string WordOf(const absl::Status& status) {
  const auto payload = status.GetPayload(app::App::kRefusalUrl);
  return payload.has_value() ? std::string(*payload) : absl::StrCat("none: ", status.ToString());
}

class EntryTest : public testing::Test {
 protected:
  void Begin(int hosts = 8) {
    fleet.AddRing("vendor", "dogfood", hosts);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  }
  absl::StatusOr<app::PublishReply> PublishRaw(const policy::Release& release) {
    return fleet.app().Publish(fleet.Releaser(), {release, FleetHarness::BytesOf(release)});
  }
  // Of 30 hosts one that proved itself, with nothing under way.
  int ProvenHost() {
    Begin(30);
    const policy::Release release = fleet.Publish();
    EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy >= 1; }, absl::Hours(1)));
    EXPECT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
    fleet.RunFor(absl::Minutes(5));
    for (int i = 29; i >= 0; --i) {
      if (fleet.host(i).running["content"] == release.digest) return i;
    }
    return -1;
  }
  FleetHarness fleet;
};

TEST_F(EntryTest, PublishingTheSameReleaseTwiceIsAnsweredLikeTheFirstTime) {
  Begin();
  const policy::Release release = fleet.NextRelease();
  const auto first = PublishRaw(release);
  ASSERT_TRUE(first.ok());
  const auto again = PublishRaw(release);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->row, first->row);
  EXPECT_EQ(fleet.app().ListReleases("content")->size(), 1u);
}

TEST_F(EntryTest, ASerialThatDoesNotRiseIsStale) {
  Begin();
  policy::Release release = fleet.NextRelease();
  release.serial = 5;
  ASSERT_TRUE(PublishRaw(release).ok());
  for (const uint64_t serial : {5, 4}) {
    policy::Release other = fleet.NextRelease();
    other.serial = serial;
    other.version = "other";
    other.digest = Sha256(FleetHarness::BytesOf(other));
    EXPECT_EQ(WordOf(PublishRaw(other).status()), "stale_version");
  }
  policy::Release same_bytes = release;
  same_bytes.serial = 6;
  EXPECT_EQ(WordOf(PublishRaw(same_bytes).status()), "stale_version");
}

TEST_F(EntryTest, HaltedAndRecalledBytesAreKnownBad) {
  Begin();
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"", "content", 1, ""}).ok());
  EXPECT_EQ(WordOf(PublishRaw(release).status()), "known_bad");
  policy::Release again = release;
  again.serial = 2;
  EXPECT_EQ(WordOf(PublishRaw(again).status()), "known_bad");
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  EXPECT_EQ(WordOf(PublishRaw(again).status()), "known_bad");
  fleet.Restart();
  EXPECT_EQ(WordOf(PublishRaw(again).status()), "known_bad");
}

TEST_F(EntryTest, TheSameBytesInASecondChannelAreRefusedAndLeaveTheFirstAsItIs) {
  Begin();
  const policy::Release first = fleet.Publish();
  policy::Release second = first;
  second.channel = "sensor";
  second.kind = policy::ChannelKind::kSensor;
  const auto publish = [&] {
    return fleet.app().Publish(fleet.Releaser(), {second, FleetHarness::BytesOf(first)}).status();
  };
  EXPECT_EQ(WordOf(publish()), "digest_taken");
  EXPECT_THAT(std::string(publish().message()),
              testing::HasSubstr("digest: found the bytes of content serial 1"));
  EXPECT_TRUE(fleet.app().ListReleases("sensor")->empty());
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(first.digest) == 8; }, absl::Hours(12)));
}

TEST_F(EntryTest, BytesStoppedInOneChannelAreKnownBadInEvery) {
  Begin();
  const policy::Release first = fleet.Publish();
  policy::Release second = first;
  second.channel = "sensor";
  second.kind = policy::ChannelKind::kSensor;
  const auto publish = [&] {
    return fleet.app().Publish(fleet.Releaser(), {second, FleetHarness::BytesOf(first)}).status();
  };
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"", "content", 1, ""}).ok());
  EXPECT_EQ(WordOf(publish()), "known_bad");
  ASSERT_TRUE(fleet.app().Recall(fleet.Sre(), "content", 1).ok());
  EXPECT_EQ(WordOf(publish()), "known_bad");
  fleet.Restart();
  EXPECT_EQ(WordOf(publish()), "known_bad");
}

TEST_F(EntryTest, BytesThatAreNotTheTestedOnesAreRefused) {
  Begin();
  const policy::Release release = fleet.NextRelease();
  EXPECT_EQ(WordOf(fleet.app().Publish(fleet.Releaser(), {release, "other bytes"}).status()),
            "evidence_mismatch");
  EXPECT_EQ(WordOf(fleet.app().Publish(fleet.Releaser(), {release, ""}).status()), "malformed");
  policy::Release nameless = release;
  nameless.channel = "Not A Slug";
  EXPECT_EQ(WordOf(PublishRaw(nameless).status()), "malformed");
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().Publish(fleet.Sre(), {release, FleetHarness::BytesOf(release)}).status()));
}

TEST_F(EntryTest, APublicationInDoubtIsAdoptedWhenItIsRepeated) {
  Begin();
  const policy::Release release = fleet.NextRelease();
  fleet.store().next = {RecordingStore::Next::kDoubtDone};
  EXPECT_FALSE(PublishRaw(release).ok());
  const auto again = PublishRaw(release);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(again->row.rollout, 0);
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 8; }, absl::Hours(12)));
}

TEST_F(EntryTest, TheBytesComeBackAsTheyWerePublished) {
  Begin();
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Minutes(2));
  const auto size = fleet.app().MayFetch(fleet.host(0).id, release.digest);
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(*fleet.app().ArtifactChunk(release.digest, 0), FleetHarness::BytesOf(release));
  EXPECT_FALSE(fleet.app().MayFetch(fleet.host(0).id, Sha256("else")).ok());
  const int stranger = fleet.AddHost("acme", {{"ring", "canary"}});
  EXPECT_TRUE(
      absl::IsPermissionDenied(fleet.app().MayFetch(fleet.host(stranger).id, release.digest).status()));
}

TEST_F(EntryTest, APlanIsAppliedOnTheRevisionThatWasReadOnly) {
  Begin();
  const policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  EXPECT_TRUE(absl::IsAborted(fleet.app().ApplyPlan(fleet.Sre(), plan, 0).status()));
  EXPECT_TRUE(absl::IsAborted(fleet.app().ApplyPlan(fleet.Sre(), plan, 2).status()));
  EXPECT_EQ(fleet.app().ApplyPlan(fleet.Sre(), plan, 1)->revision, 2);
  EXPECT_EQ(fleet.app().PlanHistory("vendor")->size(), 2u);
}

TEST_F(EntryTest, AMalformedPlanLeavesTheOldOneInForce) {
  Begin();
  policy::Plan broken = PlanOf("vendor", {RingNamed("dogfood")});
  broken.rings[0].waves.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().ApplyPlan(fleet.Sre(), broken, 1).status()));
  const policy::Release release = fleet.Publish();
  EXPECT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 8; }, absl::Hours(12)));
  EXPECT_EQ(fleet.app().PlanHistory("vendor")->front().revision, 1);
}

TEST_F(EntryTest, APlanInDoubtIsInForceOnceItIsRepeated) {
  Begin();
  policy::Plan paused = PlanOf("vendor", {RingNamed("dogfood")});
  paused.channels[0].mode = policy::ChannelMode::kPaused;
  fleet.store().next = {RecordingStore::Next::kDoubtDone};
  fleet.Apply(paused);
  const policy::Release release = fleet.Publish();
  fleet.RunFor(absl::Hours(3));
  EXPECT_EQ(fleet.Running(release.digest), 0);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(EntryTest, ARepeatedPlanRequestIsAnsweredAndOneOfAnotherContentRefused) {
  Begin();
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  const app::Act act = fleet.Sre();
  ASSERT_EQ(fleet.app().ApplyPlan(act, plan, 1)->revision, 2);
  EXPECT_EQ(fleet.app().ApplyPlan(act, plan, 1)->revision, 2);
  plan.channels[0].lag = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(fleet.app().ApplyPlan(act, plan, 1).status()));
}

TEST_F(EntryTest, OnlyTheTenantsOwnAdminAppliesItsPlan) {
  Begin();
  const policy::Plan plan = PlanOf("acme", {RingNamed("all")});
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().ApplyPlan(fleet.Sre(), plan, 0).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().ApplyPlan(fleet.Admin("bolt"), plan, 0).status()));
  EXPECT_TRUE(fleet.app().ApplyPlan(fleet.Admin("acme"), plan, 0).ok());
}

TEST_F(EntryTest, APlanThatIsTightenedStopsALeaseThatWaitsForItsCommit) {
  Begin(20);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 1; }, absl::Hours(1)));
  fleet.RunFor(absl::Minutes(5));
  const int64_t exposed = fleet.watch().Exposed("content", 1);
  int asked = 0;
  for (int i = 0; i < 20; ++i) {
    fleet.app().Lease({fleet.host(i).id, "content", release.digest, "boot-1"},
                      [&](absl::StatusOr<app::LeaseReply> reply) {
                        ++asked;
                        EXPECT_FALSE(reply.ok() && reply->granted);
                      });
  }
  policy::Plan paused = PlanOf("vendor", {RingNamed("dogfood")});
  paused.channels[0].mode = policy::ChannelMode::kPaused;
  fleet.Apply(paused);
  fleet.Step();
  EXPECT_EQ(asked, 20);
  EXPECT_EQ(fleet.watch().Exposed("content", 1), exposed);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(EntryTest, AnotherInternalTenantIsRefusedAtTheStart) {
  Begin();
  app::AppOptions options;
  options.internal_tenant = "acme";
  const auto other = app::App::Make(options, &fleet.store(), &fleet.clock(), nullptr);
  EXPECT_TRUE(absl::IsFailedPrecondition(other->Start()));
}

TEST_F(EntryTest, AServerThatAnotherOvertookSaysThatItDoesNotLead) {
  const std::unique_ptr<storage::Store> memory = storage::MakeMemoryStore();
  ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  int64_t epoch = 0;
  const auto take = [&](storage::Transaction& tx) -> absl::Status {
    const absl::StatusOr<int64_t> taken = tx.TakeLeaderEpoch("a", clock.Now());
    if (taken.ok()) epoch = *taken;
    return taken.status();
  };
  ASSERT_TRUE(memory->ReadWrite(take).ok());
  storage::FencedStore fenced(memory.get(), epoch);
  const auto app = app::App::Make({}, &fenced, &clock, nullptr);
  ASSERT_TRUE(app->Start().ok());
  const auto token = app->CreateEnrolToken(fleet.Sre(), "acme", absl::Hours(1));
  AgentId id;
  id.bytes[0] = 7;
  ASSERT_TRUE(app->Enrol({token->token, id, {}, "boot"}).ok());
  const auto boot = [&](absl::string_view boot_id) {  // something to write
    app::CheckInRequest request;
    request.agent = id;
    request.boot_id = boot_id;
    request.last_shutdown_clean = true;
    app::CheckInReply reply;
    return app->CheckIn(request, &reply).ok();
  };
  ASSERT_TRUE(boot("second"));
  ASSERT_TRUE(app->RunOnce().ok());
  EXPECT_TRUE(app->Status().leader);
  ASSERT_TRUE(memory->ReadWrite(take).ok());
  ASSERT_TRUE(boot("third"));
  EXPECT_TRUE(absl::IsAborted(app->RunOnce()));
  EXPECT_FALSE(app->Status().leader);
}

TEST_F(EntryTest, TheExposuresOfAnAgentAreShownNewestFirst) {
  Begin();
  for (int i = 1; i <= 3; ++i) {
    const policy::Release release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 8; }, absl::Hours(24)));
  }
  const auto agent = fleet.app().GetAgent(fleet.host(0).id);
  ASSERT_TRUE(agent.ok());
  std::vector<uint64_t> serials;
  for (const storage::ExposureRow& row : agent->exposures) serials.push_back(row.serial);
  EXPECT_THAT(serials, testing::ElementsAre(3, 2, 1));
}

TEST_F(EntryTest, TheExposuresOfAnAgentToReleasesOfLongAgoAreShownAfterARestartToo) {
  Begin();
  for (int i = 1; i <= 11; ++i) {
    const policy::Release release = fleet.Publish();
    ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) == 8; }, absl::Hours(24)));
  }
  const auto shown = [&] {
    std::vector<std::string> lines;
    const app::AgentInfo agent = fleet.app().GetAgent(fleet.host(0).id).value();
    for (const storage::ExposureRow& row : agent.exposures) {
      lines.push_back(absl::StrCat(row.serial, " in ", row.ring, " at ", absl::FormatTime(row.exposed_at),
                                   ": ", storage::Name(row.outcome)));
    }
    return lines;
  };
  fleet.RunFor(absl::Hours(1));
  const std::vector<std::string> before = shown();
  ASSERT_EQ(before.size(), 11u);
  fleet.Restart();
  EXPECT_EQ(shown(), before);
}

// ---- agents

TEST_F(EntryTest, AnEnrolmentTokenWorksOnceAndForItsTenant) {
  Begin();
  const auto token = fleet.app().CreateEnrolToken(fleet.Admin("acme"), "acme", absl::Hours(1));
  ASSERT_TRUE(token.ok());
  EXPECT_TRUE(absl::IsPermissionDenied(
      fleet.app().CreateEnrolToken(fleet.Admin("acme"), "vendor", absl::Hours(1)).status()));
  AgentId id;
  id.bytes[0] = 77;
  const auto reply = fleet.app().Enrol({token->token, id, {}, "boot"});
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->tenant, "acme");
  EXPECT_EQ(*fleet.app().Authenticate(id, reply->secret), "acme");
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.app().Authenticate(id, "guess").status()));
  AgentId other;
  other.bytes[0] = 78;
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.app().Enrol({token->token, other, {}, "boot"}).status()));
  fleet.Restart();
  EXPECT_EQ(*fleet.app().Authenticate(id, reply->secret), "acme");
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.app().Enrol({token->token, other, {}, "boot"}).status()));
}

TEST_F(EntryTest, ATokenThatIsOverIsRefused) {
  Begin();
  const auto token = fleet.app().CreateEnrolToken(fleet.Sre(), "acme", absl::Minutes(5));
  fleet.RunFor(absl::Minutes(6));
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.app().Enrol({token->token, AgentId(), {}, "boot"}).status()));
}

TEST_F(EntryTest, HostsThatCannotStageAReleaseAreCountedOnceAndHoldNothing) {
  Begin();
  const policy::Release release = fleet.Publish();
  app::AgentEvent event;
  event.kind = app::EventKind::kStagingFailed;
  event.channel = "content";
  event.digest = release.digest;
  for (const uint64_t seq : {1'000, 1'000, 1'001}) {
    event.seq = seq;
    ASSERT_TRUE(fleet.Say(1, {event}).ok());
    ASSERT_TRUE(fleet.Say(2, {event}).ok());
  }
  EXPECT_EQ(fleet.Rollout(1).ledger.staging_failed, 2);
  EXPECT_FALSE(fleet.Stopped(1));
}

TEST_F(EntryTest, LabelsAreAskedForWhenTheirHashIsNotKnown) {
  Begin();
  fleet.RunFor(absl::Minutes(2));
  fleet.host(0).labels = policy::Labels::Make({{"ring", "dogfood"}, {"os", "win11"}}).value();
  EXPECT_TRUE(fleet.Say(0, {})->send_labels);
  EXPECT_TRUE(fleet.Say(0, {})->send_labels) << "until they come";
  fleet.host(0).send_labels = true;
  fleet.CheckInNow(0);
  EXPECT_FALSE(fleet.Say(0, {})->send_labels);
  EXPECT_TRUE(fleet.app().GetAgent(fleet.host(0).id)->row.labels.Has("os", "win11"));
}

// A host in safe mode runs, and reports; what it runs may still be what broke it.
TEST_F(EntryTest, AProvenHostThatStartsInSafeModeIsTakenBackAsOneThatCrashed) {
  const int proven = ProvenHost();
  ASSERT_GE(proven, 0);
  const int64_t healthy = fleet.Rollout(1).health.healthy;
  const int64_t harmed = fleet.Rollout(1).ledger.harmed;
  app::AgentEvent safe_mode;
  safe_mode.seq = 900;
  safe_mode.kind = app::EventKind::kSafeMode;
  ASSERT_TRUE(fleet.Say(proven, {safe_mode}).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy - 1);
  EXPECT_EQ(fleet.Rollout(1).ledger.harmed, harmed + 1);
}

TEST_F(EntryTest, ARepeatedEventCountsOnce) {
  const int proven = ProvenHost();
  ASSERT_GE(proven, 0);
  app::AgentEvent crash;
  crash.seq = 900;
  crash.kind = app::EventKind::kCrash;
  const int64_t healthy = fleet.Rollout(1).health.healthy;
  ASSERT_TRUE(fleet.Say(proven, {crash}).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy - 1);
  fleet.RunFor(absl::Minutes(10));  // it proves itself anew
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy);
  ASSERT_TRUE(fleet.Say(proven, {crash, crash}).ok());
  EXPECT_EQ(fleet.Rollout(1).health.healthy, healthy);
}

TEST_F(EntryTest, AnUnusedLeaseFreesTheBudgetAndIsNoProof) {
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kNeverActivates; };
  Begin(20);
  fleet.Publish();
  fleet.RunFor(absl::Hours(2));
  const app::RolloutInfo info = fleet.Rollout(1);
  EXPECT_EQ(info.health.healthy, 0);
  EXPECT_GE(fleet.watch().Count("content", 1, Outcome::kUnused), 3) << "one after the other";
  EXPECT_LE(info.ledger.exposed, 1);
  EXPECT_NE(fleet.StateOf("vendor", "dogfood", 1), StageState::kPassed);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(EntryTest, AHostThatTakesItAfterItsLeaseCountedAsUnusedIsCountedAgain) {
  fleet.effect = [](const SimHost&, const Digest&) { return Effect::kNeverActivates; };
  Begin(20);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.watch().Count("content", 1, Outcome::kUnused) == 1; },
                             absl::Hours(2)));
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), {"", "content", 1, ""}).ok());
  fleet.RunFor(absl::Minutes(10));
  const int64_t exposed = fleet.Rollout(1).ledger.exposed;
  for (int i = 0; i < 20; ++i) {
    const auto info = fleet.app().GetAgent(fleet.host(i).id);
    if (info->exposures.size() != 1) continue;
    fleet.host(i).running["content"] = release.digest;
    ASSERT_TRUE(fleet.Say(i, {}).ok());
    break;
  }
  EXPECT_EQ(fleet.Rollout(1).ledger.exposed, exposed + 1);
  EXPECT_EQ(fleet.Rollout(1).health.unproven, 1);
  fleet.RunFor(absl::Minutes(10));
  EXPECT_EQ(fleet.Rollout(1).health.healthy, 1);
}

TEST_F(EntryTest, AHundredQuestionsOfOneHostAreOneDraw) {  // trap 4
  Begin(20);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.host(3).staged.contains(release.digest); }, absl::Hours(1)));
  fleet.RunFor(absl::Minutes(4));
  for (int i = 0; i < 100; ++i) (void)fleet.AskLease(3, "content", release.digest);
  const auto info = fleet.app().GetAgent(fleet.host(3).id);
  EXPECT_LE(info->exposures.size(), 1u);
  EXPECT_LE(fleet.Rollout(1).health.unproven, 1);
  EXPECT_EQ(fleet.Violations(), "");
}

TEST_F(EntryTest, ATThatLostItsReplyMaturesAndCounts) {  // trap 5
  FleetHarness::Options options;
  options.lost_replies = 0.5;
  FleetHarness lossy(options);
  lossy.AddRing("vendor", "dogfood", 20);
  lossy.Start();
  lossy.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  const policy::Release release = lossy.Publish();
  EXPECT_TRUE(lossy.RunUntil([&] { return lossy.Running(release.digest) == 20; }, absl::Hours(48)));
  lossy.RunFor(absl::Minutes(10));
  EXPECT_EQ(lossy.watch().Count("content", 1, Outcome::kConfirmed), 20);
  EXPECT_EQ(lossy.Violations(), "");
}

TEST_F(EntryTest, ADeletedAgentIsAnsweredNoMoreAndMayEnrolAgain) {
  Begin(20);
  const policy::Release release = fleet.Publish();
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Rollout(1).health.healthy >= 1; }, absl::Hours(1)));
  int taken = -1;
  for (int i = 0; i < 20; ++i) {
    if (fleet.host(i).running["content"] == release.digest) taken = i;
  }
  const int64_t exposed = fleet.Rollout(1).ledger.exposed;
  EXPECT_TRUE(absl::IsPermissionDenied(fleet.app().DeleteAgent(fleet.Admin("acme"), fleet.host(taken).id)));
  ASSERT_TRUE(fleet.app().DeleteAgent(fleet.Admin("vendor"), fleet.host(taken).id).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.Say(taken, {}).status()));
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.app().Authenticate(fleet.host(taken).id, "secret").status()));
  EXPECT_EQ(fleet.Rollout(1).ledger.exposed, exposed);
  const auto token = fleet.app().CreateEnrolToken(fleet.Sre(), "vendor", absl::Hours(1));
  ASSERT_TRUE(
      fleet.app().Enrol({token->token, fleet.host(taken).id, fleet.host(taken).labels, "boot-9"}).ok());
  EXPECT_TRUE(fleet.Say(taken, {}).ok());
  EXPECT_GE(fleet.Rollout(1).ledger.exposed, exposed);
  fleet.RunFor(absl::Hours(1));
  EXPECT_FALSE(fleet.app().Status().blind);
}

}  // namespace
}  // namespace ringfence::test
