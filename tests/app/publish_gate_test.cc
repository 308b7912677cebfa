// Publishing out of a release repository: what is stored with a release, what is said of it, and that nothing
// is ever stored in part.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/app.h"
#include "tests/app/publications.h"
#include "tests/gate/throwaway.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/recording_store.h"

namespace ringfence::test {
namespace {

using gate::Throwaway;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Next = RecordingStore::Next;

constexpr char kDebian[] = "linux/x86_64/debian-12";

std::string WordOf(const absl::Status& status) {
  const auto payload = status.GetPayload(app::App::kRefusalUrl);
  return payload.has_value() ? std::string(*payload) : absl::StrCat("none: ", status.ToString());
}

class PublishGateTest : public testing::Test {
 protected:
  PublishGateTest() {
    options.trust = std::make_shared<const gate::Trust>(repository.trust());
    options.seed = 1;
    Start();
  }
  void Start() {
    app = app::App::Make(options, &store, &clock, nullptr);
    ASSERT_TRUE(app->Start().ok());
  }
  void SignTimestamps() {
    gate::Trust trust = repository.trust();
    trust.timestamp_key = std::make_shared<const trust::SigningKey>(gate::ThrowawayKey("timestamp"));
    options.trust = std::make_shared<const gate::Trust>(trust);
    Start();
  }

  // A sound release, as a careful publisher sends it.
  app::PublishRequest Sound(uint64_t serial) {
    repository.ListNothing();
    List(repository, serial, {kDebian}, absl::StrCat(serial, ".fct"));
    return RequestOf(repository.Publish());
  }
  app::Act Releaser(const std::string& id) const {
    return {{"rita", app::Role::kReleaseManager, ""}, id, "test"};
  }
  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request,
                                            const std::string& id = "p1") {
    return app->Publish(Releaser(id), request);
  }
  std::string Stored(const app::PublishRequest& request, uint64_t serial) {
    return StoredOf(store, request, serial);
  }
  int Count(const std::string& act) {
    const auto rows = app->Audit({});
    return static_cast<int>(
        std::count_if(rows->begin(), rows->end(), [&](const auto& row) { return row.act == act; }));
  }

  gate::ThrowawayRepository repository{{Throwaway::Sensor("7.11.0", "7.11.0", 20)}};
  ManualClock clock{absl::FromUnixSeconds(1'700'000'000)};
  std::unique_ptr<storage::Store> memory = storage::MakeMemoryStore();
  RecordingStore store{memory.get(), [](const Changes&) {}, 1};
  app::AppOptions options;
  std::unique_ptr<app::App> app;
};

TEST_F(PublishGateTest, ASoundReleaseIsSignedAndProvenAlsoAfterARestart) {
  const app::PublishRequest request = Sound(1);
  const auto reply = Publish(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->row.release.artifacts.size(), 1u);
  EXPECT_EQ(Stored(request, 1), "all");
  Start();
  const auto listed = app->ListReleases("content");
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().release, reply->row.release);
  EXPECT_THAT(app->Decisions({})->front().why, HasSubstr("signed, proven"));
}

TEST_F(PublishGateTest, AgentsGetTheFilesAsTheyCame) {
  const app::PublishRequest request = Sound(1);
  EXPECT_TRUE(absl::IsNotFound(app->TrustDocument("timestamp.json").status()));
  ASSERT_TRUE(Publish(request).ok());
  for (const auto& [name, bytes] : request.repository->metadata) EXPECT_EQ(**app->TrustDocument(name), bytes);
  const std::string& trust = request.repository->targets.at("trust.json");
  EXPECT_EQ(**app->TrustDocument("trust.json"), trust);
  EXPECT_EQ(**app->TrustDocument(Sha256(trust).ToString() + ".trust.json"), trust);
  EXPECT_TRUE(absl::IsNotFound(app->TrustDocument("content/content/1.fct").status()));  // GetArtifact's
}

TEST_F(PublishGateTest, WithoutATrustedRootAReleaseIsTakenOnItsPublishersWordAndMarked) {
  options.trust = nullptr;
  Start();
  EXPECT_TRUE(absl::IsFailedPrecondition(Publish(Sound(1)).status()));
  app::PublishRequest request;
  request.bytes = "rules of another make";
  request.release.channel = "content";
  request.release.serial = 1;
  request.release.version = "v1";
  request.release.matrix = {{}};
  request.release.digest = Sha256(request.bytes);
  const auto reply = Publish(request, "p2");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->row.release.artifacts.empty());
  EXPECT_THAT(app->Decisions({})->front().why, HasSubstr("unsigned, unproven"));
  EXPECT_THAT(app->Status().notices, Contains(HasSubstr("releases are unsigned and unproven")));
}

TEST_F(PublishGateTest, WithATrustedRootNothingIsTakenOnAnybodysWord) {
  app::PublishRequest request;
  request.bytes = "rules of another make";
  request.release.channel = "content";
  request.release.serial = 1;
  request.release.version = "v1";
  request.release.matrix = {{}};
  request.release.digest = Sha256(request.bytes);
  EXPECT_EQ(WordOf(Publish(request).status()), "bad_signature");
  EXPECT_EQ(Count("release.refused"), 1);
}

TEST_F(PublishGateTest, TheNoticesSayThatKeysAreThrowaway) {
  EXPECT_THAT(app->Status().notices, Not(Contains(HasSubstr("unsigned"))));
  EXPECT_THAT(app->Status().notices, Contains(HasSubstr("throwaway keys")));
  EXPECT_THAT(app->Status().notices, Contains(HasSubstr("nothing was published")));
}

TEST_F(PublishGateTest, WhatTheGateRefusesIsNotStoredAndNamesItsField) {
  repository.release_signers = {};
  const app::PublishRequest unsigned_one = Sound(1);
  const absl::Status status = Publish(unsigned_one).status();
  EXPECT_EQ(WordOf(status), "bad_signature");
  EXPECT_EQ(trust::RefusalFrom(status)->field, "content-release");
  EXPECT_EQ(Stored(unsigned_one, 1), "nothing");
  const auto audit = app->Audit({});
  ASSERT_EQ(audit->front().act, "release.refused");
  EXPECT_EQ(audit->front().person, "rita");
  EXPECT_EQ(audit->front().target, "content/content/1.fct");
  EXPECT_THAT(audit->front().after, HasSubstr("bad_signature: metadata content-release"));
  repository.release_signers = {"release"};
  EXPECT_TRUE(Publish(Sound(1)).ok());  // the same id: nothing was answered yet
}

TEST_F(PublishGateTest, TheChannelsHistoryIsAskedAfterTheBytes) {
  ASSERT_TRUE(Publish(Sound(5)).ok());
  EXPECT_EQ(WordOf(Publish(Sound(4), "p2").status()), "stale_version");
  EXPECT_THAT(app->Audit({})->front().after,
              HasSubstr("stale_version: manifest serial: found 4, wanted above 5"));
}

TEST_F(PublishGateTest, BytesThatWereStoppedStayStoppedUnderAnyListing) {
  ASSERT_TRUE(Publish(Sound(5)).ok());
  const app::PublishRequest same = Sound(5);  // the same bytes, with newer metadata
  ASSERT_TRUE(Publish(same, "p2").ok());
  ASSERT_TRUE(app->Recall(Releaser("r1"), "content", 5).ok());
  EXPECT_EQ(WordOf(Publish(Sound(5), "p3").status()), "known_bad");
}

TEST_F(PublishGateTest, ARepeatIsAnsweredLikeTheFirstTimeAlsoWhenMetadataHasMovedOn) {
  const app::PublishRequest request = Sound(1);
  const auto first = Publish(request);
  ASSERT_TRUE(Publish(Sound(2), "p2").ok());
  const auto again = Publish(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->row, first->row);
  EXPECT_EQ(again->warnings, first->warnings);
  EXPECT_EQ(Publish(Sound(3)).status().code(), absl::StatusCode::kInvalidArgument);  // the id is taken
}

TEST_F(PublishGateTest, ARequestToSkipRingsIsRecordedAndWithoutEffect) {
  app::PublishRequest request = Sound(1);
  request.skip_rings = true;
  const auto reply = Publish(request);
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("bypass_denied")));
  EXPECT_EQ(Count("bypass_denied"), 1);
  ASSERT_TRUE(Publish(request).ok());  // a repeat is no second attempt
  EXPECT_EQ(Count("bypass_denied"), 1);
  repository.release_signers = {};
  request = Sound(2);
  request.skip_rings = true;
  EXPECT_FALSE(Publish(request, "p2").ok());  // refused, and on record all the same
  EXPECT_EQ(Count("bypass_denied"), 2);
}

TEST_F(PublishGateTest, ANewListingThatRecallsIsARecall) {
  ASSERT_TRUE(Publish(Sound(1)).ok());
  repository.Revoke("content/content/1.fct");
  app::PublishRequest recall = RequestOf(repository.Publish());
  recall.repository->targets.erase("content/content/1.fct");
  const auto reply = Publish(recall, "p2");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_FALSE(reply->has_release);
  ASSERT_EQ(reply->recalled.size(), 1u);
  EXPECT_EQ(app->ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  Start();
  EXPECT_EQ(app->ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  EXPECT_TRUE(Publish(recall, "p3")->recalled.empty());  // it is
}

TEST_F(PublishGateTest, ARecallIsFinalWhateverALaterListingSays) {
  ASSERT_TRUE(Publish(Sound(1)).ok());
  repository.Revoke("content/content/1.fct");
  app::PublishRequest recall = RequestOf(repository.Publish());
  recall.repository->targets.erase("content/content/1.fct");
  ASSERT_TRUE(Publish(recall, "p2").ok());
  app::PublishRequest again = Sound(1);  // listed as if nothing had been
  EXPECT_EQ(WordOf(Publish(again, "p3").status()), "known_bad");
  again.repository->targets.erase("content/content/1.fct");
  ASSERT_TRUE(Publish(again, "p4").ok());
  EXPECT_EQ(app->ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  Start();
  EXPECT_EQ(app->ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
}

// Every call of a publication ends in each way that a database has; then the server is another one.
TEST_F(PublishGateTest, WhereverThePublicationBreaksItIsThereWholeOrNotAtAll) {
  uint64_t serial = 0;
  int broken = 0;
  for (const Next how : {Next::kUnavailable, Next::kDoubtDone, Next::kDoubtNotDone}) {
    for (size_t call = 0; call < 30; ++call) {
      app::PublishRequest request = Sound(++serial);
      request.skip_rings = true;  // one call more
      const std::string id = absl::StrCat("p", serial);
      store.next.assign(call, Next::kUsual);
      store.next.push_back(how);
      const bool answered = Publish(request, id).ok();
      store.next.clear();
      if (!answered) ++broken;
      Start();
      const std::string stored = Stored(request, serial);
      EXPECT_TRUE(stored == "all" || stored == "nothing") << stored << " after call " << call;
      EXPECT_TRUE(!answered || stored == "all");
      const auto again = Publish(request, id);
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(Stored(request, serial), "all");
    }
  }
  EXPECT_GE(broken, 15);
}

TEST_F(PublishGateTest, ARecallThatBreaksIsDoneByItsRepeat) {
  for (size_t call = 0; call < 30; ++call) {
    const uint64_t serial = call + 1;
    const std::string name = absl::StrCat("content/content/", serial, ".fct");
    ASSERT_TRUE(Publish(Sound(serial), absl::StrCat("p", call)).ok());
    repository.Revoke(name);
    app::PublishRequest recall = RequestOf(repository.Publish());
    recall.repository->targets.erase(name);
    const std::string id = absl::StrCat("r", call);
    store.next.assign(call, Next::kUsual);
    store.next.push_back(Next::kUnavailable);
    const bool answered = Publish(recall, id).ok();
    store.next.clear();
    Start();
    const bool recalled = app->ListReleases("content")->front().state == storage::ReleaseState::kRecalled;
    EXPECT_TRUE(!answered || recalled);
    // Metadata that calls it recalled is never served by a server that goes on with it.
    absl::StatusOr<storage::TrustDocumentRow> listed = absl::NotFoundError("");
    ASSERT_TRUE(store
                    .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      listed = tx.TrustDocument("timestamp.json",
                                                Sha256(recall.repository->metadata.at("timestamp.json")));
                      return absl::OkStatus();
                    })
                    .ok());
    EXPECT_TRUE(!listed.ok() || recalled) << "after call " << call;
    ASSERT_TRUE(Publish(recall, id).ok());
    EXPECT_EQ(app->ListReleases("content")->front().state, storage::ReleaseState::kRecalled);
  }
}

TEST_F(PublishGateTest, StatusTellsWhenEveryRoleExpires) {
  EXPECT_TRUE(app->Status().repository.empty());
  ASSERT_TRUE(Publish(Sound(1)).ok());
  ASSERT_EQ(app->Status().repository.size(), 7u);
  EXPECT_EQ(app->Status().repository[0], (gate::RoleState{"root", 1, repository.expires}));
  clock.Set(repository.expires - absl::Hours(30));
  EXPECT_THAT(app->Status().notices,
              Contains("the metadata of timestamp expires in 30 hours: sign it again"));
  clock.Set(repository.expires);
  EXPECT_THAT(app->Status().notices, Contains(HasSubstr("the metadata of targets has expired")));
}

TEST_F(PublishGateTest, TheServerSignsTheTimestampAgainBeforeItIsOld) {
  SignTimestamps();
  EXPECT_FALSE(*app->KeepTimestamp());  // nothing was published yet
  ASSERT_TRUE(Publish(Sound(1)).ok());
  const auto timestamp = [&] {
    for (const gate::RoleState& role : app->Status().repository)
      if (role.role == "timestamp") return role;
    return gate::RoleState{};
  };
  const gate::RoleState first = timestamp();
  EXPECT_EQ(first.expires, clock.Now() + app::App::kTimestampLifetime);  // its own already
  EXPECT_FALSE(*app->KeepTimestamp());
  clock.Advance(app::App::kTimestampEvery);
  EXPECT_TRUE(*app->KeepTimestamp());
  EXPECT_EQ(timestamp().version, first.version + 1);
  EXPECT_EQ(timestamp().expires, clock.Now() + app::App::kTimestampLifetime);
  EXPECT_FALSE(*app->KeepTimestamp());
  // Publishing goes on, though the publisher's own timestamps are behind.
  ASSERT_TRUE(Publish(Sound(2), "p2").ok());
  // A store that is away is told, and tried again.
  clock.Advance(app::App::kTimestampEvery);
  store.down = true;
  EXPECT_FALSE(app->KeepTimestamp().ok());
  store.down = false;
  EXPECT_TRUE(*app->KeepTimestamp());
}

TEST_F(PublishGateTest, WithoutTheKeyTheServerSignsNothing) {
  ASSERT_TRUE(Publish(Sound(1)).ok());
  clock.Advance(absl::Hours(100));
  EXPECT_FALSE(*app->KeepTimestamp());
}

// ---- sets, with hosts

class SetTest : public testing::Test {
 protected:
  SetTest() {
    FleetHarness::Options options;
    options.trust = std::make_shared<const gate::Trust>(repository.trust());
    fleet.emplace(options);
    for (int i = 0; i < 6; ++i) {
      fleet->AddHost("vendor", {{"ring", "dogfood"}, {"os", "debian12"}, {"sensor", "7.11.0"}});
      fleet->AddHost("vendor", {{"ring", "dogfood"}, {"os", "win11"}, {"sensor", "7.11.0"}});
    }
    fleet->AddHost("vendor", {{"ring", "dogfood"}, {"os", "rhel9"}, {"sensor", "7.11.0"}});
    fleet->Start();
    fleet->Apply(PlanOf("vendor", {RingNamed("dogfood")}));
  }
  gate::ThrowawayRepository repository{{Throwaway::Sensor("7.11.0", "7.11.0", 20)}};
  std::optional<FleetHarness> fleet;
};

TEST_F(SetTest, EachHostGetsTheArtifactOfItsPlatformAndNoOther) {
  const std::string debian = List(repository, 1, {"os=debian12"}, "debian.fct");
  const std::string windows = List(repository, 1, {"os=win11"}, "windows.fct", 9000);
  ASSERT_NE(debian, windows);
  app::PublishRequest request;
  request.repository = repository.Publish();
  const auto reply = fleet->app().Publish(fleet->Releaser(), request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("1 hosts with os=rhel9")));

  fleet->RunFor(absl::Minutes(2));
  for (int index : {0, 1}) {
    const std::string& bytes = index == 0 ? debian : windows;
    const std::string& other = index == 0 ? windows : debian;
    for (const app::Directive& one : fleet->host(index).directives) {
      EXPECT_EQ(one.digest, Sha256(bytes));
      EXPECT_EQ(one.size_bytes, static_cast<int64_t>(bytes.size()));
    }
    EXPECT_EQ(*fleet->app().MayFetch(fleet->host(index).id, Sha256(bytes)),
              static_cast<int64_t>(bytes.size()));
    EXPECT_TRUE(
        absl::IsPermissionDenied(fleet->app().MayFetch(fleet->host(index).id, Sha256(other)).status()));
    EXPECT_TRUE(absl::IsNotFound(fleet->AskLease(index, "content", Sha256(other)).status()));
  }
  EXPECT_TRUE(fleet->RunUntil(
      [&] { return fleet->Running(Sha256(debian)) == 6 && fleet->Running(Sha256(windows)) == 6; },
      absl::Hours(24)));
  EXPECT_EQ(*fleet->app().ArtifactChunk(Sha256(windows), 0), windows);
  EXPECT_EQ(fleet->app().ListReleases("content")->size(), 1u);
  // Hosts are proven on whichever bytes are theirs, and the ring passes on all of them.
  EXPECT_TRUE(fleet->RunUntil(
      [&] {
        const auto info = fleet->app().GetRollout("content", 1, "");
        return info.ok() && !info->stages.empty() && info->stages[0].row.state == policy::StageState::kPassed;
      },
      absl::Hours(48)));
}

TEST_F(SetTest, ThePublisherIsToldHowManyLiveHostsOfWhichKindsAreNotCovered) {
  const auto add = [&](int hosts, const std::string& os) {
    for (int i = 0; i < hosts; ++i)
      fleet->AddHost("vendor", {{"ring", absl::StrCat("r", i % 2)}, {"os", os}, {"sensor", "7.11.0"}});
  };
  add(3, "win10");
  add(5, "macos14");
  for (const char* os : {"a", "b", "c", "d"}) add(2, os);
  fleet->Step();
  fleet->Relabel(12, {{"ring", "dogfood"}, {"os", "win10"}, {"sensor", "7.11.0"}});  // not rhel9 any more
  fleet->RunFor(absl::Minutes(3));

  List(repository, 1, {"os=debian12"}, "debian.fct");
  const auto reply = fleet->app().Publish(fleet->Releaser(), RequestOf(repository.Publish()));
  ASSERT_TRUE(reply.ok()) << reply.status();
  // The largest first, five of them; a kind is the same in every ring.
  ASSERT_EQ(reply->warnings.size(), 5u);
  EXPECT_THAT(reply->warnings[0], HasSubstr("6 hosts with os=win11"));
  EXPECT_THAT(reply->warnings[1], HasSubstr("5 hosts with os=macos14"));
  EXPECT_THAT(reply->warnings[2], HasSubstr("4 hosts with os=win10"));
  EXPECT_THAT(reply->warnings[3], HasSubstr("2 hosts with os="));
  EXPECT_THAT(reply->warnings, Not(Contains(HasSubstr("debian12"))));
  EXPECT_THAT(reply->warnings, Not(Contains(HasSubstr("rhel9"))));
}

// The customer knows the sha256 of the bytes that its Windows hosts would get.
TEST_F(SetTest, AnArtifactOnTheDenyListBarsTheSetForEveryPlatform) {
  const std::string debian = List(repository, 1, {"os=debian12"}, "debian.fct");
  const std::string windows = List(repository, 1, {"os=win11"}, "windows.fct", 9000);
  policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
  plan.deny = {{Sha256(windows), "", "", "bricked the lab", "Ann"}};
  fleet->Apply(plan);
  app::PublishRequest request;
  request.repository = repository.Publish();
  ASSERT_TRUE(fleet->app().Publish(fleet->Releaser(), request).ok());
  fleet->RunFor(absl::Hours(24));
  EXPECT_EQ(fleet->Running(Sha256(debian)), 0);
  EXPECT_EQ(fleet->Running(Sha256(windows)), 0);
  for (const int host : {0, 1}) {
    EXPECT_EQ(fleet->app().Explain(fleet->host(host).id, "content", 1)->eligibility.reason,
              policy::Reason::kDenied);
  }
  EXPECT_EQ(fleet->Violations(), "");
}

TEST_F(SetTest, AFaultOfOneArtifactStopsTheWholeRelease) {
  const std::string debian = List(repository, 1, {"os=debian12"}, "debian.fct");
  const std::string windows = List(repository, 1, {"os=win11"}, "windows.fct", 9000);
  app::PublishRequest request;
  request.repository = repository.Publish();
  fleet->refuses = [&](const SimHost&, const Digest& digest) { return digest == Sha256(windows); };
  ASSERT_TRUE(fleet->app().Publish(fleet->Releaser(), request).ok());
  EXPECT_TRUE(fleet->RunUntil(
      [&] {
        const auto info = fleet->app().GetRollout("content", 1, "");
        return info.ok() && !info->stages.empty() && info->stages[0].row.state == policy::StageState::kHalted;
      },
      absl::Hours(2)));
}

}  // namespace
}  // namespace ringfence::test
