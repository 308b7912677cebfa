// Publishing through the gate: what is stored with a release, what is said of it, and that nothing is ever
// stored in part.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/app.h"
#include "server/app/release_proof.h"
#include "tests/gate/throwaway.h"
#include "tests/support/recording_store.h"

namespace ringfence::test {
namespace {

using gate::Throwaway;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Next = RecordingStore::Next;

std::string WordOf(const absl::Status& status) {
  const auto payload = status.GetPayload(app::App::kRefusalUrl);
  return payload.has_value() ? std::string(*payload) : absl::StrCat("none: ", status.ToString());
}

class PublishGateTest : public testing::Test {
 protected:
  PublishGateTest() {
    options.trust = trust;
    options.seed = 1;
    Start();
  }
  void Start() {
    app = app::App::Make(options, &store, &clock, nullptr);
    ASSERT_TRUE(app->Start().ok());
  }
  void TrustNobody() {
    options.trust = nullptr;
    Start();
  }

  // A sound release with its documents, as a careful publisher sends it.
  app::PublishRequest Sound(uint64_t serial) const {
    app::PublishRequest request;
    policy::Release& release = request.release;
    release.channel = "ipc";
    release.serial = serial;
    release.version = absl::StrCat("v", serial);
    release.matrix = {{{{"os", {"win10", "win11"}}}}};
    const content::SensorVersion sensor = trust->sensors[0].schema.sensor;
    request.bytes = Throwaway::FileOf(Throwaway::ContentOf(release, sensor, sensor, 20, 3000));
    release.digest = Sha256(request.bytes);
    release.size_bytes = static_cast<int64_t>(request.bytes.size());
    request.signature = Throwaway::Signature(release);
    request.qualifications = {Throwaway::Evidence(release.digest, Throwaway::PairsOf(release, *trust))};
    return request;
  }
  app::Act Releaser(const std::string& id) const {
    return {{"rita", app::Role::kReleaseManager, ""}, id, "test"};
  }
  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request,
                                            const std::string& id = "p1") {
    return app->Publish(Releaser(id), request);
  }
  // What is there of a release: nothing, all of it, or (never) something.
  std::string Stored(const app::PublishRequest& request) {
    bool row = false, bytes = false, document = false, proof = false, decision = false;
    EXPECT_TRUE(store
                    .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      ASSIGN_OR_RETURN(std::vector<storage::ReleaseRow> rows, tx.Releases());
                      for (storage::ReleaseRow& known : rows) {
                        if (known.release.digest != request.release.digest) continue;
                        row = true;
                        EXPECT_TRUE(app::ReadProof(tx, &known).ok());
                        proof = known.proof.is_signed && known.proof.qualified;
                      }
                      bytes = tx.ArtifactChunk(request.release.digest, 0).ok();
                      document = tx.ArtifactChunk(Sha256(request.signature), 0).ok();
                      ASSIGN_OR_RETURN(const auto decisions, tx.Decisions({}));
                      for (const storage::DecisionRow& one : decisions)
                        decision |= one.action == "publish" && one.serial == request.release.serial;
                      return absl::OkStatus();
                    })
                    .ok());
    if (row && bytes && document && proof && decision) return "all";
    if (!row && !bytes && !document && !proof && !decision) return "nothing";
    return "a part";
  }

  const std::shared_ptr<const gate::Trust> trust =
      std::make_shared<const gate::Trust>(Throwaway::MakeTrust({Throwaway::Sensor("7.11.0", "7.11.0", 20)}));
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
  EXPECT_TRUE(reply->row.proof.is_signed);
  EXPECT_TRUE(reply->row.proof.qualified);
  EXPECT_EQ(Stored(request), "all");
  Start();
  const auto listed = app->ListReleases("ipc");
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().proof, reply->row.proof);
  EXPECT_EQ(listed->front().proof.qualifications, std::vector{Sha256(request.qualifications[0])});
  EXPECT_THAT(app->Decisions({})->front().why, HasSubstr("signed, proven"));
}

TEST_F(PublishGateTest, WithoutTrustAReleaseIsTakenAndMarked) {
  TrustNobody();
  app::PublishRequest request = Sound(1);
  request.signature.clear();
  request.qualifications.clear();
  const auto reply = Publish(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_FALSE(reply->row.proof.is_signed);
  EXPECT_FALSE(reply->row.proof.qualified);
  EXPECT_THAT(app->Decisions({})->front().why, HasSubstr("unsigned, unproven"));
  EXPECT_THAT(app->Status().notices, Contains(HasSubstr("releases are unsigned and unproven")));
}

TEST_F(PublishGateTest, WithTrustTheNoticesSayThatItsKeysAreThrowaway) {
  EXPECT_THAT(app->Status().notices, Not(Contains(HasSubstr("unsigned"))));
  EXPECT_THAT(app->Status().notices, Contains(HasSubstr("throwaway keys")));
}

TEST_F(PublishGateTest, WhatTheGateRefusesIsNotStoredAndNamesItsField) {
  app::PublishRequest request = Sound(1);
  request.qualifications.clear();
  const absl::Status status = Publish(request).status();
  EXPECT_EQ(WordOf(status), "unqualified_artifact");
  EXPECT_EQ(trust::RefusalFrom(status)->part, "qualification");
  EXPECT_EQ(Stored(request), "nothing");
  const auto audit = app->Audit({});
  ASSERT_EQ(audit->front().act, "release.refused");
  EXPECT_EQ(audit->front().person, "rita");
  EXPECT_EQ(audit->front().target, "ipc/1");
  EXPECT_THAT(audit->front().after, HasSubstr("unqualified_artifact: qualification: found none"));
  EXPECT_TRUE(Publish(Sound(1)).ok());  // the same id: nothing was answered yet
}

TEST_F(PublishGateTest, AnEmptyFileIsMalformedAndOnRecord) {
  app::PublishRequest request = Sound(1);
  request.bytes.clear();
  EXPECT_EQ(WordOf(Publish(request).status()), "malformed");
  EXPECT_THAT(app->Audit({})->front().after, HasSubstr("found an empty file"));
}

TEST_F(PublishGateTest, TheChannelsHistoryIsAskedAfterTheBytes) {
  ASSERT_TRUE(Publish(Sound(5)).ok());
  EXPECT_EQ(WordOf(Publish(Sound(4), "p2").status()), "stale_version");
  app::PublishRequest zeros = Sound(4);
  zeros.bytes.assign(100, '\0');
  EXPECT_EQ(WordOf(Publish(zeros, "p3").status()), "malformed");
  const auto audit = app->Audit({});
  EXPECT_THAT((*audit)[0].after, HasSubstr("malformed: artifact bytes"));
  EXPECT_THAT((*audit)[1].after, HasSubstr("stale_version: manifest serial: found 4, wanted above 5"));
}

TEST_F(PublishGateTest, ARepeatIsAnsweredLikeTheFirstTimeAndOtherEvidenceIsAnotherRequest) {
  const app::PublishRequest request = Sound(1);
  const auto first = Publish(request);
  const auto again = Publish(request);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->row, first->row);
  app::PublishRequest other = request;
  other.qualifications.push_back(other.qualifications[0]);
  EXPECT_EQ(Publish(other).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PublishGateTest, ARequestToSkipRingsIsRecordedAndWithoutEffect) {
  app::PublishRequest request = Sound(1);
  request.skip_rings = true;
  const auto reply = Publish(request);
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("bypass_denied")));
  const auto denied = [&] {
    const auto rows = app->Audit({});
    return std::count_if(rows->begin(), rows->end(),
                         [](const auto& row) { return row.act == "bypass_denied"; });
  };
  EXPECT_EQ(denied(), 1);
  ASSERT_TRUE(Publish(request).ok());  // a repeat is no second attempt
  EXPECT_EQ(denied(), 1);
  request = Sound(2);
  request.skip_rings = true;
  request.qualifications.clear();
  EXPECT_FALSE(Publish(request, "p2").ok());  // refused, and on record all the same
  EXPECT_EQ(denied(), 2);
}

// Every call of a publication ends in each way that a database has; then the server is another one.
TEST_F(PublishGateTest, WhereverThePublicationBreaksTheReleaseIsThereWholeOrNotAtAll) {
  uint64_t serial = 0;
  int broken = 0;
  for (const Next how : {Next::kUnavailable, Next::kDoubtDone, Next::kDoubtNotDone}) {
    for (size_t call = 0; call < 8; ++call) {
      app::PublishRequest request = Sound(++serial);
      request.skip_rings = true;  // one call more
      const std::string id = absl::StrCat("p", serial);
      store.next.assign(call, Next::kUsual);
      store.next.push_back(how);
      const bool answered = Publish(request, id).ok();
      store.next.clear();
      if (!answered) ++broken;
      Start();
      const std::string stored = Stored(request);
      EXPECT_TRUE(stored == "all" || stored == "nothing") << stored;
      EXPECT_TRUE(!answered || stored == "all");
      const auto again = Publish(request, id);
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_TRUE(again->row.proof.is_signed);
      EXPECT_EQ(Stored(request), "all");
    }
  }
  EXPECT_GE(broken, 6);
}

TEST(ReleaseProofTest, ComesBackAsItWasAndDamageIsNoticed) {
  storage::ReleaseProof proof{true, false, Sha256("s"), {Sha256("a"), Sha256("b")}};
  EXPECT_EQ(*app::UnpackProof(app::PackProof(proof)), proof);
  proof = {};
  EXPECT_EQ(*app::UnpackProof(app::PackProof(proof)), proof);
  for (const char* damaged : {"", "signed", "signed maybe -", "signed proven x", "unsigned proven - x"})
    EXPECT_FALSE(app::UnpackProof(damaged).ok()) << damaged;
}

}  // namespace
}  // namespace ringfence::test
