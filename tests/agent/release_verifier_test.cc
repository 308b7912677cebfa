// What a host believes: offers against a repository that is right but for one thing, loads without any.
#include "ringfence/agent/release_verifier.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "ringfence/base/hash.h"
#include "ringfence/tuf/fault.h"
#include "tests/content/builders.h"
#include "tests/trust/release_repository.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using trust::Published;
using trust::ReleaseDraft;
using trust::Step;

class ReleaseVerifierTest : public ::testing::Test {
 protected:
  ReleaseVerifierTest() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-verifier-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    root_ = repository_.root();
    Open();
    EXPECT_TRUE(verifier_->Adopt({{"ipc-detect", Sha256("factory")}}, {{Sha256("factory"), 5}}).ok());
  }
  ~ReleaseVerifierTest() override { fs::remove_all(folder_); }

  void Open() {
    verifier_.reset();
    auto opened = ReleaseVerifier::Open(
        {folder_ + "/trust", root_, platform_, sensor_, trust::ReleaseRepository::Schemas()}, &clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    verifier_ = *std::move(opened);
  }
  static Offer OfferOf(const Published& release, const std::string& channel = "ipc-detect") {
    return {channel, release.terms.serial, release.digest, static_cast<int64_t>(release.bytes.size())};
  }
  absl::Status Offered(const Published& release) {
    return verifier_->CheckOffer(OfferOf(release), repository_.tuf);
  }
  // Offered and, with its bytes, staged.
  absl::Status Stage(const Published& release) {
    const absl::Status offered = Offered(release);
    return offered.ok() ? verifier_->CheckStaged(OfferOf(release), release.bytes) : offered;
  }
  absl::Status Load(const Published& release, Step step) {
    return verifier_->CheckLoad("ipc-detect", release.digest, release.bytes, step);
  }
  void Activate(const Published& release) {
    ASSERT_EQ(Stage(release), absl::OkStatus());
    ASSERT_EQ(Load(release, Step::kForward), absl::OkStatus());
    ASSERT_EQ(verifier_->Remember("ipc-detect", release.digest), absl::OkStatus());
  }
  // The refusal's word and field, of one that is one.
  static std::string Word(const absl::Status& status) {
    if (!IsRefusal(status)) return absl::StrCat("no refusal: ", status.ToString());
    const std::string text(status.message());
    return text.substr(0, text.find(": found"));
  }
  static void Spoil(const std::string& path) {
    std::string bytes;
    {
      std::ifstream in(path, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    ASSERT_FALSE(bytes.empty()) << path;
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x20);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  void SpoilAll(const std::string& folder) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) Spoil(entry.path().string());
    }
  }

  std::string folder_, root_, platform_ = trust::kTestPlatform;
  content::SensorVersion sensor_ = content::Version("7.11.0");
  trust::ReleaseRepository repository_;
  ManualClock clock_{tuf::TestNow()};
  std::unique_ptr<ReleaseVerifier> verifier_;
};

TEST_F(ReleaseVerifierTest, TakesAReleaseThatIsRightAndLoadsItWithoutANetworkForEver) {
  const Published release = repository_.Publish(1042);
  Activate(release);
  clock_.Advance(absl::Hours(24 * 365 * 10));
  Open();
  EXPECT_EQ(Load(release, Step::kKeep), absl::OkStatus());
  const ReleaseVerifier::Report report = verifier_->report();
  EXPECT_THAT(report.trouble, IsEmpty());
  EXPECT_EQ(report.memory.channels.at("ipc-detect").highest, 1042u);
}

TEST_F(ReleaseVerifierTest, RefusesWhatNobodyLists) {
  Published own = repository_.Publish(1042);
  own.bytes = "what the server made itself";
  own.digest = Sha256(own.bytes);
  own.terms.serial = 1043;
  EXPECT_EQ(Word(Offered(own)), "bad_signature: release listing");
  EXPECT_FALSE(IsForGood(Offered(own))) << "it may be listed yet";
  own.terms.serial = 1042;
  EXPECT_EQ(Word(Offered(own)), "evidence_mismatch: release sha256") << "other bytes with the same name";
}

TEST_F(ReleaseVerifierTest, RefusesAReleaseOfAnotherChannelAndFalseClaimsAboutIt) {
  const Published release = repository_.Publish(1042);
  EXPECT_EQ(Word(verifier_->CheckOffer(OfferOf(release, "other"), repository_.tuf)),
            "evidence_mismatch: release channel");
  Offer offer = OfferOf(release);
  offer.serial = 1041;
  EXPECT_EQ(Word(verifier_->CheckOffer(offer, repository_.tuf)), "evidence_mismatch: release serial");
  offer = OfferOf(release);
  ++offer.size_bytes;
  EXPECT_EQ(Word(verifier_->CheckOffer(offer, repository_.tuf)), "evidence_mismatch: artifact length");
}

// A role that may list content of every channel lists it under a path that another role rules.
TEST_F(ReleaseVerifierTest, BelievesNoRoleThatMayNotSpeakOfThePath) {
  const std::string bytes = "a sensor by the content's signers";
  repository_.tuf.AddTarget(trust::kContentRole, "sensor/agent/x", bytes);
  repository_.PublishAll();
  const Offer offer{"agent", 1, Sha256(bytes), static_cast<int64_t>(bytes.size())};
  EXPECT_EQ(Word(verifier_->CheckOffer(offer, repository_.tuf)), "bad_signature: release listing");
}

TEST_F(ReleaseVerifierTest, RefusesOtherBytesThanAreListed) {
  Published release = repository_.Publish(1042);
  const std::string good = release.bytes;
  release.bytes[100] = static_cast<char>(release.bytes[100] ^ 1);
  EXPECT_EQ(Word(Stage(release)), "evidence_mismatch: artifact bytes");
  const Offer offer{"ipc-detect", 1042, release.digest, static_cast<int64_t>(good.size())};
  ASSERT_EQ(verifier_->CheckOffer(offer, repository_.tuf), absl::OkStatus());
  EXPECT_EQ(Word(verifier_->CheckStaged(offer, good.substr(0, good.size() - 1))),
            "evidence_mismatch: artifact bytes");
  EXPECT_FALSE(IsRefusal(verifier_->CheckStaged(offer, good))) << "an offer is good for one look";
}

TEST_F(ReleaseVerifierTest, RefusesWithoutEvidenceForTheseBytesOnThisPlatform) {
  EXPECT_EQ(Word(Stage(repository_.Publish(1, [](ReleaseDraft& draft) { draft.qualified = false; }))),
            "unqualified_artifact: qualification envelopes");
  EXPECT_EQ(Word(Stage(repository_.Publish(2,
                                           [](ReleaseDraft& draft) {
                                             draft.results.failed.insert({"linux", "7.11.0", "boot"});
                                           }))),
            "unqualified_artifact: qualification predicate.failedTests[0]");
  EXPECT_EQ(Word(Stage(repository_.Publish(3, [](ReleaseDraft& draft) { draft.tested = Sha256("before"); }))),
            "evidence_mismatch: qualification subject.digest.sha256");
  EXPECT_EQ(Word(Stage(repository_.Publish(
                4, [](ReleaseDraft& draft) { draft.terms.platforms = {"windows/x86_64/10.0.22631+"}; }))),
            "unqualified_artifact: release platforms");
}

// As the server's gate reads the same listings.
TEST_F(ReleaseVerifierTest, FindsThisHostInAListingByItsLabelsAndInAny) {
  const auto listed_for = [](const std::string& entry) {
    return [=](ReleaseDraft& draft) {
      draft.terms.platforms = {entry};
      draft.results.passed = {{entry, "7.11.0", "boot"}, {entry, "7.11.0", "load"}};
    };
  };
  EXPECT_EQ(Stage(repository_.Publish(1, listed_for("any"))), absl::OkStatus());
  EXPECT_EQ(Word(Stage(repository_.Publish(2, listed_for("os=debian12,arch=x86_64")))),
            "unqualified_artifact: release platforms");
  auto opened = ReleaseVerifier::Open({folder_ + "/trust",
                                       root_,
                                       "another",
                                       sensor_,
                                       trust::ReleaseRepository::Schemas(),
                                       {{"os", "debian12"}, {"arch", "x86_64"}}},
                                      &clock_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  verifier_ = *std::move(opened);
  EXPECT_EQ(Stage(repository_.Publish(3, listed_for("os=debian12,arch=x86_64"))), absl::OkStatus());
  EXPECT_EQ(Word(Stage(repository_.Publish(4, listed_for("os=debian12,arch=arm64")))),
            "unqualified_artifact: release platforms");
}

TEST_F(ReleaseVerifierTest, RefusesContentThatThisSensorCannotRead) {
  const auto with_21 = [](ReleaseDraft& draft) {
    draft.content = content::ContentWith(content::TextFields(21));
    draft.content.serial = 1042;
    draft.content.version = "1.1042";
    draft.terms.schema = {{"ipc", 21}};
  };
  EXPECT_EQ(Word(Stage(repository_.Publish(1042, with_21))), "schema_mismatch: release requires.schema.ipc");
  const auto lying = [&](ReleaseDraft& draft) {
    with_21(draft);
    draft.terms.schema = {{"ipc", 2}};
  };
  const absl::Status refused = Stage(repository_.Publish(1042, lying));
  EXPECT_THAT(Word(refused), HasSubstr("schema_mismatch: content"));
  const absl::Status zeros =
      Stage(repository_.Publish(1043, [](ReleaseDraft& draft) { draft.bytes = std::string(4096, '\0'); }));
  EXPECT_THAT(Word(zeros), HasSubstr("malformed: content"));
  EXPECT_TRUE(IsForGood(zeros));
}

TEST_F(ReleaseVerifierTest, TakesNoStepBackButAnOrderedOneAboveTheFloor) {
  const Published first = repository_.Publish(1041), second = repository_.Publish(1042);
  const Published third = repository_.Publish(1043, [](ReleaseDraft& d) { d.terms.rollback_floor = 1042; });
  Activate(first);
  Activate(second);
  EXPECT_EQ(Word(Offered(first)), "stale_version: release serial");
  EXPECT_EQ(Load(first, Step::kRollback), absl::OkStatus());
  Activate(third);
  EXPECT_EQ(Load(second, Step::kRollback), absl::OkStatus());
  EXPECT_EQ(Word(Load(first, Step::kRollback)), "stale_version: release serial");
  EXPECT_EQ(Word(verifier_->CheckLoad("ipc-detect", Sha256("factory"), "factory", Step::kRollback)),
            "stale_version: release serial");
  Open();
  EXPECT_EQ(Word(Load(first, Step::kRollback)), "stale_version: release serial") << "after a restart too";
  EXPECT_EQ(verifier_->CheckLoad("ipc-detect", Sha256("factory"), "factory", Step::kKeep), absl::OkStatus());
}

// It was remembered before it ran, and then the power failed.
TEST_F(ReleaseVerifierTest, TakesTheSameBytesAgainThatItRemembered) {
  const Published release = repository_.Publish(1042);
  Activate(release);
  EXPECT_EQ(Stage(release), absl::OkStatus());
}

TEST_F(ReleaseVerifierTest, ARecallHoldsWhatIsStagedAndLeavesWhatRuns) {
  const Published release = repository_.Publish(1042);
  ASSERT_EQ(Stage(release), absl::OkStatus());
  trust::ReleaseTerms recalled = release.terms;
  recalled.revoked = true;
  repository_.Relist(release, recalled);
  const absl::Status asked_again = Offered(release);
  EXPECT_EQ(Word(asked_again), "known_bad: release revoked");
  EXPECT_TRUE(IsForGood(asked_again));
  EXPECT_EQ(Load(release, Step::kKeep), absl::OkStatus());
}

TEST_F(ReleaseVerifierTest, AKeyThatWasRevokedOpensNothingNew) {
  const Published release = repository_.Publish(1042);
  ASSERT_EQ(Stage(release), absl::OkStatus());
  repository_.trust.version = 2;
  repository_.trust.revoked.insert(content::TestKey().public_key().KeyId());
  repository_.PublishTrust();
  EXPECT_THAT(Word(Stage(release)), HasSubstr("bad_signature: content"));
  EXPECT_EQ(Load(release, Step::kKeep), absl::OkStatus());
}

TEST_F(ReleaseVerifierTest, DoesNotGoBackToAnOlderTrustDocument) {
  repository_.trust.version = 5;
  repository_.PublishTrust();
  Activate(repository_.Publish(1042));
  repository_.trust.version = 4;
  repository_.PublishTrust();
  const absl::Status status = Offered(repository_.Publish(1043));
  EXPECT_EQ(tuf::FaultOf(status), tuf::Fault::kStaleVersion);
  EXPECT_FALSE(IsRefusal(status)) << "the release is not at fault";
}

// The expiry drill: everything has expired, or nobody answers, or nothing verifies. New ones are held, what
// runs loads, and the report says which.
TEST_F(ReleaseVerifierTest, HoldsWhatIsNewAndLoadsWhatRunsWhenMetadataCannotBeFollowed) {
  const Published runs = repository_.Publish(1042), next = repository_.Publish(1043);
  Activate(runs);
  ASSERT_EQ(Stage(next), absl::OkStatus());

  clock_.Advance(absl::Hours(24 * 31));
  EXPECT_EQ(tuf::FaultOf(Offered(next)), tuf::Fault::kExpired);
  EXPECT_THAT(verifier_->report().fault, HasSubstr("expired: "));
  EXPECT_EQ(verifier_->report().metadata.size(), 1u) << "no further than the root";
  tuf::NoFetcher nobody;
  EXPECT_EQ(tuf::FaultOf(verifier_->CheckOffer(OfferOf(next), nobody)), tuf::Fault::kUnavailable);
  EXPECT_THAT(verifier_->report().fault, HasSubstr("unavailable: root"));
  repository_.tuf.metadata["timestamp.json"] = "{}";
  repository_.tuf.metadata["2.root.json"] = repository_.tuf.metadata["1.root.json"];
  EXPECT_EQ(tuf::FaultOf(Offered(next)), tuf::Fault::kStaleVersion);
  for (int restart = 0; restart < 2; ++restart, Open()) {
    EXPECT_EQ(Load(runs, Step::kKeep), absl::OkStatus());
    EXPECT_EQ(Load(next, Step::kForward), absl::OkStatus()) << "a load never asks whether something expired";
  }
}

// An empty battery, and it is spring again: what a release that was published in autumn says is believed
// instead.
TEST_F(ReleaseVerifierTest, AClockThatWentBackMakesNothingGoodAgain) {
  repository_.tuf.signed_part(tuf::kTargets)["expires"] = tuf::TimeText(tuf::TestNow() + absl::Hours(24 * 5));
  const Published release = repository_.Publish(
      1042, [](ReleaseDraft& draft) { draft.terms.published_at = tuf::TestNow() + absl::Hours(24 * 10); });
  EXPECT_EQ(Offered(release), absl::OkStatus()) << "nothing told it before";
  EXPECT_EQ(tuf::FaultOf(Offered(release)), tuf::Fault::kExpired);
  EXPECT_EQ(verifier_->report().clock_behind, absl::Hours(24 * 10));
  Open();
  EXPECT_EQ(tuf::FaultOf(Offered(release)), tuf::Fault::kExpired) << "nor is it forgotten";
  repository_.tuf.signed_part(tuf::kTargets)["expires"] =
      tuf::TimeText(tuf::TestNow() + absl::Hours(24 * 20));
  repository_.PublishAll();
  EXPECT_EQ(Offered(release), absl::OkStatus());
  clock_.Advance(absl::Hours(24 * 11));
  EXPECT_EQ(verifier_->report().clock_behind, absl::ZeroDuration());
}

TEST_F(ReleaseVerifierTest, ADateThatIsAMistakeHoldsNothing) {
  const Published release = repository_.Publish(1042, [](ReleaseDraft& draft) {
    draft.terms.published_at = tuf::TestNow() + absl::Hours(24 * 365 * 100);
  });
  EXPECT_EQ(Offered(release), absl::OkStatus());
  EXPECT_EQ(Offered(release), absl::OkStatus());
  EXPECT_EQ(verifier_->report().clock_behind, absl::ZeroDuration());
}

TEST_F(ReleaseVerifierTest, SaysUntilWhenMetadataIsGood) {
  ASSERT_EQ(verifier_->Refresh(repository_.tuf), absl::OkStatus());
  const ReleaseVerifier::Report report = verifier_->report();
  ASSERT_EQ(report.metadata.size(), 4u);
  EXPECT_EQ(report.metadata[1].role, "timestamp");
  EXPECT_EQ(report.metadata[1].expires, tuf::TestNow() + absl::Hours(24 * 30));
  EXPECT_EQ(report.refreshed_at, tuf::TestNow());
  EXPECT_EQ(report.fault, "");
}

TEST_F(ReleaseVerifierTest, ADamagedStoreIsMendedAndForgetsNoSerial) {
  const Published runs = repository_.Publish(1042, [](ReleaseDraft& d) { d.terms.rollback_floor = 1040; });
  Activate(runs);
  SpoilAll(folder_ + "/trust/metadata");
  Spoil(folder_ + "/trust/memory");
  Open();
  EXPECT_EQ(verifier_->report().trouble.size(), 2u);
  EXPECT_EQ(Load(runs, Step::kKeep), absl::OkStatus()) << "before anything is mended";
  ASSERT_EQ(verifier_->Adopt({{"ipc-detect", runs.digest}}, {}), absl::OkStatus());
  EXPECT_EQ(verifier_->report().memory.channels.at("ipc-detect").highest, 1042u);
  EXPECT_EQ(verifier_->report().memory.channels.at("ipc-detect").floor, 1040u);
  EXPECT_EQ(Stage(repository_.Publish(1043)), absl::OkStatus());
  EXPECT_EQ(Word(Offered(repository_.Publish(1041))), "stale_version: release serial");
}

// Rot is a fault of this host, not of the release: it must not halt a fleet.
TEST_F(ReleaseVerifierTest, RotIsNoRefusal) {
  Published runs = repository_.Publish(1042);
  Activate(runs);
  Spoil(folder_ + "/trust/evidence/" + runs.digest.ToString() + ".evidence");
  EXPECT_TRUE(absl::IsDataLoss(Load(runs, Step::kKeep)));
  runs.bytes[7] = 'x';
  EXPECT_TRUE(absl::IsDataLoss(Load(runs, Step::kKeep)));
  verifier_->KeepOnly({});
  EXPECT_TRUE(absl::IsDataLoss(Load(runs, Step::kKeep)));
}

TEST_F(ReleaseVerifierTest, FollowsARootThatChangesAndStaysThereAfterARestart) {
  repository_.tuf.SetKeys(tuf::kTimestamp, {50}, 1, {50});
  repository_.tuf.Publish({tuf::kRoot, tuf::kTimestamp});
  ASSERT_EQ(verifier_->Refresh(repository_.tuf), absl::OkStatus());
  Open();
  repository_.tuf.metadata.erase("2.root.json");
  EXPECT_EQ(verifier_->Refresh(repository_.tuf), absl::OkStatus());
}

// Somebody's clean-up, or the disk.
TEST_F(ReleaseVerifierTest, WithoutTheInstallationsRootItGoesOnWithTheStoredOne) {
  const Published first = repository_.Publish(1042);
  Activate(first);
  for (const char* left : {"", "{}"}) {
    root_ = left;
    Open();
    EXPECT_THAT(verifier_->report().trouble, ElementsAre(HasSubstr("goes on with the stored one")));
    EXPECT_EQ(Load(first, Step::kKeep), absl::OkStatus());
    EXPECT_EQ(Stage(repository_.Publish(*left == 0 ? 1043 : 1044)), absl::OkStatus());
  }
  // Both are gone: there is nothing to trust, and no document of the repository's own makes up for it.
  fs::remove(folder_ + "/trust/metadata/root.json");
  EXPECT_TRUE(absl::IsInvalidArgument(
      ReleaseVerifier::Open({folder_ + "/trust", root_, platform_, sensor_, {}}, &clock_).status()));
}

TEST_F(ReleaseVerifierTest, BeginsWithNothingButASoundRoot) {
  const auto opened = ReleaseVerifier::Open({folder_ + "/other", "{}", platform_, sensor_, {}}, &clock_);
  EXPECT_TRUE(absl::IsInvalidArgument(opened.status()));
}

TEST(EvidenceTest, AnyDamageIsSeen) {
  Evidence evidence{"content/c/x", {{"root", "r"}, {"timestamp", ""}}, "trust", {"one", "two"}};
  const std::string bytes = EncodeEvidence(evidence);
  ASSERT_EQ(*DecodeEvidence(bytes), evidence);
  for (size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(DecodeEvidence(bytes.substr(0, cut)).ok()) << cut;
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodeEvidence(damaged).ok()) << bit;
  }
}

TEST(TrustMemoryTest, AnyDamageIsSeen) {
  TrustMemory memory{3, 1'800'000'000, {{"ipc-detect", {7, Sha256("x"), 5, {{Sha256("f"), 1}}}}}};
  const std::string text = EncodeTrustMemory(memory);
  ASSERT_EQ(*DecodeTrustMemory(text), memory);
  for (size_t cut = 0; cut < text.size(); ++cut) EXPECT_FALSE(DecodeTrustMemory(text.substr(0, cut)).ok());
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodeTrustMemory(damaged).ok()) << bit;
  }
}

}  // namespace
}  // namespace ringfence::agent
