// A server that holds every online key, and a real agent: it offers what it likes, grants every lease, and
// serves any metadata that it can sign. Not one of its own activations goes through, each is refused with its
// word, and what ran before runs on. After each attack an honest release is taken, so that nobody takes a
// dead agent for a safe one.
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quick_options.h"
#include "ringfence/agent/agent.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/agent/content_loader.h"
#include "tests/content/builders.h"
#include "tests/support/file_contents.h"
#include "tests/trust/release_repository.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Contents;
using ::testing::HasSubstr;
using trust::kContentRole;
using trust::Published;
using trust::ReleaseDraft;

constexpr char kChannel[] = "ipc-detect";

class EvilServerTest : public ::testing::Test {
 protected:
  EvilServerTest() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-evil-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    for (const char* sub : {"/artifacts", "/current"}) fs::create_directories(folder_ + sub);
    root_ = repository_.root();
    schemas_ = trust::ReleaseRepository::Schemas();
    artifacts_ = std::make_unique<ArtifactStore>(folder_ + "/artifacts");
    links_ = std::make_unique<LinkLoader>(folder_ + "/current");
    ContentRules rules;
    rules.channels = {kChannel};
    rules.sensors = schemas_;
    rules.build_keys = std::vector<trust::PublicKey>{content::TestKey().public_key()};
    rules.serials_file = folder_ + "/serials";
    loader_ = std::make_unique<ContentLoader>(links_.get(), files_.get(), rules);
    content::Content factory = content::SmallContent();
    factory.serial = 1000;
    std::ofstream(folder_ + "/factory", std::ios::binary) << content::Signed(factory);
    const auto digest = artifacts_->Import(folder_ + "/factory");
    EXPECT_TRUE(digest.ok() && loader_->Flip(kChannel, artifacts_->PathOf(*digest)).ok());
    server_.on_check_in = [this](const v1::CheckInRequest& request, v1::CheckInResponse* response) {
      response->mutable_next_checkin()->set_nanos(5'000'000);
      MutexLock lock(&mutex_);
      for (const v1::AgentEvent& event : request.events()) events_.push_back(event);
      if (directive_.has_value()) {
        for (const v1::DirectiveKind kind : kinds_) {
          *response->add_directives() = *directive_;
          response->mutable_directives(response->directives_size() - 1)->set_kind(kind);
        }
      }
      return grpc::Status::OK;
    };
    server_.on_metadata = [this](const std::string& name) -> std::optional<std::string> {
      MutexLock lock(&mutex_);
      const auto found = served_.find(name);
      return found == served_.end() ? std::nullopt : std::optional(found->second);
    };
    StartAgent();
    good_ = repository_.Publish(1042);
    Serve();
    Offer(good_);
    EXPECT_TRUE(Until([&] { return Runs() == good_.bytes; }));
    Offer(std::nullopt);
  }
  ~EvilServerTest() override {
    agent_.reset();
    fs::remove_all(folder_);
  }

  void StartAgent() {
    agent_.reset();
    verifier_.reset();
    auto verifier = ReleaseVerifier::Open(
        {folder_ + "/trust", root_, trust::kTestPlatform, content::Version("7.11.0"), schemas_}, &wall_);
    ASSERT_TRUE(verifier.ok()) << verifier.status();
    verifier_ = *std::move(verifier);
    AgentOptions options = QuickOptions(server_.address());
    options.verifier = verifier_.get();
    options.recheck_after = absl::ZeroDuration();
    store_ = std::make_unique<StateStore>(files_.get(), folder_);
    auto agent = Agent::Make(std::move(options), store_.get(), artifacts_.get(), loader_.get(), &clock_);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }

  // What an honest server would hand on now.
  void Serve() {
    std::map<std::string, std::string> served = repository_.tuf.metadata;
    served.insert(repository_.tuf.targets.begin(), repository_.tuf.targets.end());
    MutexLock lock(&mutex_);
    served_ = std::move(served);
  }
  void ServeInstead(const std::string& name, const std::string& bytes) {
    MutexLock lock(&mutex_);
    served_[name] = bytes;
  }
  // From now on this is ordered, with these bytes for it.
  void Offer(const std::optional<Published>& release, const std::string& channel = kChannel,
             std::vector<v1::DirectiveKind> kinds = {v1::DIRECTIVE_KIND_PREFETCH,
                                                     v1::DIRECTIVE_KIND_REQUEST_LEASE}) {
    std::optional<v1::Directive> directive;
    if (release.has_value()) {
      directive.emplace();
      directive->set_channel(channel);
      directive->set_serial(release->terms.serial);
      directive->set_version("1.x");
      directive->set_digest(std::string(release->digest.raw()));
      directive->set_size_bytes(static_cast<int64_t>(release->bytes.size()));
      if (server_.artifacts.count(std::string(release->digest.raw())) == 0)
        server_.artifacts[std::string(release->digest.raw())] = release->bytes;
    }
    MutexLock lock(&mutex_);
    directive_ = std::move(directive);
    kinds_ = std::move(kinds);
    events_.clear();
  }
  ::testing::AssertionResult Until(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + absl::Seconds(100);
    while (!holds()) {
      if (absl::Now() > end) return ::testing::AssertionFailure() << "it never came to that: " << Events();
      agent_->RunOnce(absl::Milliseconds(20));
    }
    return ::testing::AssertionSuccess();
  }
  std::string Runs() { return Contents(folder_ + "/current/" + kChannel); }
  std::string Events() {
    MutexLock lock(&mutex_);
    std::string all;
    for (const v1::AgentEvent& event : events_)
      absl::StrAppend(&all, v1::AgentEventKind_Name(event.kind()).substr(17), ": ", event.detail(), "\n");
    return all;
  }
  // The agent reports `words` ("REJECTED: bad_signature"), and what it took honestly still runs; then it
  // takes the next honest release.
  void ExpectRefused(const std::string& words) {
    EXPECT_TRUE(Until([&] { return absl::StrContains(Events(), words); })) << words;
    const int64_t before = agent_->checkins();
    EXPECT_TRUE(Until([&] { return agent_->checkins() > before + 3; })) << "every lease is granted";
    EXPECT_TRUE(Runs() == good_.bytes);
    EXPECT_TRUE(Runs() == Contents(artifacts_->PathOf(good_.digest)));
  }
  void ExpectHonestReleasesGoOn(uint64_t serial = 1100) {
    const Published next = repository_.Publish(serial);
    Serve();
    Offer(next);
    EXPECT_TRUE(Until([&] { return Runs() == next.bytes; }));
  }
  // A release that the server lists by signing what it can: with the online keys.
  void ExpectOfferRefused(const Published& release, const std::string& words,
                          const std::string& channel = kChannel) {
    Serve();
    Offer(release, channel);
    ExpectRefused(words);
    ExpectHonestReleasesGoOn();
  }
  // Signed by the server, version by version: what `change` makes of the newest.
  void Forge(const std::string& role, const std::function<void(json&)>& change) {
    json& document = repository_.tuf.signed_part(role);
    const json before = document;
    change(document);
    document["version"] = document["version"].get<int64_t>() + 1;
    const std::string sealed = repository_.tuf.Seal(document, repository_.tuf.signers(role));
    ServeInstead(
        role == tuf::kTimestamp ? "timestamp.json" : document["version"].dump() + "." + role + ".json",
        sealed);
    forged_version_ = document["version"];
    document = before;
  }

  std::string folder_, root_;
  trust::ReleaseRepository repository_;
  std::vector<content::SensorSchema> schemas_;
  ManualClock wall_{tuf::TestNow()};
  BootClock clock_;
  std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<LinkLoader> links_;
  std::unique_ptr<ContentLoader> loader_;
  Mutex mutex_;
  std::map<std::string, std::string> served_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Directive> directive_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::DirectiveKind> kinds_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::AgentEvent> events_ ABSL_GUARDED_BY(mutex_);
  FakeServer server_;
  std::unique_ptr<ReleaseVerifier> verifier_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<Agent> agent_;
  Published good_;
  json forged_version_;
};

// ---------------------------------------------------------------- bytes of its own

TEST_F(EvilServerTest, BytesThatNobodySigned) {
  Published own = good_;
  content::Content content = content::SmallContent();
  content.serial = own.terms.serial = 1043;
  own.bytes = content::Signed(content);  // not even a sound file by a good build key is a release
  own.digest = Sha256(own.bytes);
  ExpectOfferRefused(own, "REJECTED: bad_signature: release listing");
  EXPECT_FALSE(artifacts_->Has(own.digest));
}

TEST_F(EvilServerTest, OtherBytesUnderTheNameOfARelease) {
  Published other = repository_.Publish(1043);
  other.bytes = "other bytes";
  other.digest = Sha256(other.bytes);
  ExpectOfferRefused(other, "REJECTED: evidence_mismatch: release sha256");
}

TEST_F(EvilServerTest, OtherBytesUnderTheDigestOfARelease) {
  const Published next = repository_.Publish(1043);
  std::string other = next.bytes;
  other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
  server_.artifacts[std::string(next.digest.raw())] = other;
  ExpectOfferRefused(next, "STAGING_FAILED: the bytes that came have sha256");
}

TEST_F(EvilServerTest, ATruncatedFile) {
  const Published next = repository_.Publish(1043);
  server_.artifacts[std::string(next.digest.raw())] = next.bytes.substr(0, next.bytes.size() / 2);
  ExpectOfferRefused(next, "STAGING_FAILED: the bytes that came have sha256");
}

TEST_F(EvilServerTest, DataWithoutEnd) {
  const Published next = repository_.Publish(1043);
  server_.artifacts[std::string(next.digest.raw())] = std::string(50 * next.bytes.size(), 'x');
  ExpectOfferRefused(next, "STAGING_FAILED: limit_exceeded: artifact");
}

TEST_F(EvilServerTest, AFalseLength) {
  Published next = repository_.Publish(1043);
  next.bytes += std::string(1000, 'x');
  ExpectOfferRefused(next, "REJECTED: evidence_mismatch: artifact length");
}

// ---------------------------------------------------------------- releases that are some, but not for this
// host now

TEST_F(EvilServerTest, AnOlderRelease) {
  ExpectOfferRefused(repository_.Publish(1041), "REJECTED: stale_version: release serial");
}

TEST_F(EvilServerTest, ARecalledRelease) {
  Published next = repository_.Publish(1043);
  next.terms.revoked = true;
  repository_.Relist(next, next.terms);
  ExpectOfferRefused(next, "REJECTED: known_bad: release revoked");
}

// Staged in good faith, recalled since; the server grants the lease all the same.
TEST_F(EvilServerTest, AReleaseThatWasRecalledAfterItWasStaged) {
  Published next = repository_.Publish(1043);
  Serve();
  Offer(next, kChannel, {v1::DIRECTIVE_KIND_PREFETCH});
  ASSERT_TRUE(Until([&] { return agent_->machine().Find(kChannel)->phase == Phase::kStaged; }));
  next.terms.revoked = true;
  repository_.Relist(next, next.terms);
  ExpectOfferRefused(next, "REJECTED: known_bad: release revoked");
}

TEST_F(EvilServerTest, AReleaseOfAnotherChannel) {
  const Published other = repository_.Publish(7, nullptr, "other");
  ExpectOfferRefused(other, "REJECTED: evidence_mismatch: release channel");
}

TEST_F(EvilServerTest, AReleaseWithoutEvidence) {
  ExpectOfferRefused(repository_.Publish(1043, [](ReleaseDraft& draft) { draft.qualified = false; }),
                     "REJECTED: unqualified_artifact: qualification envelopes");
}

// There is evidence, and the server does not show it.
TEST_F(EvilServerTest, AReleaseWhoseEvidenceIsWithheld) {
  const Published next = repository_.Publish(1043);
  const std::string digest = Sha256(next.envelope).ToString();
  const auto at = repository_.tuf.targets.extract("qual/" + digest + "." + digest);
  ASSERT_FALSE(at.empty());
  ExpectOfferRefused(next, "REJECTED: unqualified_artifact: qualification envelopes");
}

TEST_F(EvilServerTest, AReleaseThatFailedItsTests) {
  ExpectOfferRefused(repository_.Publish(1043,
                                         [](ReleaseDraft& draft) {
                                           draft.results.failed.insert({"linux", "7.11.0", "boot"});
                                         }),
                     "REJECTED: unqualified_artifact: qualification predicate.failedTests[0]");
}

// 19 July: what was published is not what was tested.
TEST_F(EvilServerTest, AFilePackedAnewAfterTheTests) {
  const Published tested = repository_.Publish(1043);
  const Published packed = repository_.Publish(1044, [&](ReleaseDraft& draft) {
    draft.content.rules.back().name = "packed anew";
    draft.tested = tested.digest;
  });
  ExpectOfferRefused(packed, "REJECTED: evidence_mismatch: qualification");
}

TEST_F(EvilServerTest, APlatformThatNobodyTested) {
  ExpectOfferRefused(
      repository_.Publish(
          1043, [](ReleaseDraft& draft) { draft.terms.platforms = {"windows/x86_64/10.0.22631+"}; }),
      "REJECTED: unqualified_artifact: release platforms");
}

TEST_F(EvilServerTest, ContentWith21InputsForASensorWith2) {
  ExpectOfferRefused(repository_.Publish(1043,
                                         [](ReleaseDraft& draft) {
                                           draft.content = content::ContentWith(content::TextFields(21));
                                           draft.content.serial = 1043;
                                           draft.content.version = "1.1043";
                                         }),
                     "REJECTED: schema_mismatch: content");
}

TEST_F(EvilServerTest, AFileOfZeros) {
  ExpectOfferRefused(
      repository_.Publish(1043, [](ReleaseDraft& draft) { draft.bytes = std::string(42'000, '\0'); }),
      "REJECTED: malformed: content");
}

// The thief has the keys that list releases and those of the laboratory, but none that builds.
TEST_F(EvilServerTest, ContentThatNobodyOfTheBuildSigned) {
  const auto own = trust::SigningKey::FromSeed(std::string(32, 'e'));
  ASSERT_TRUE(own.ok());
  ExpectOfferRefused(repository_.Publish(1043,
                                         [&](ReleaseDraft& draft) {
                                           draft.bytes = *content::Build(draft.content, &*own, std::nullopt);
                                         }),
                     "REJECTED: bad_signature: content");
}

// ---------------------------------------------------------------- metadata

// An older listing of releases, in a newer snapshot: to bring back what was recalled meanwhile.
TEST_F(EvilServerTest, MetadataMixedFromTwoTimes) {
  Published next = repository_.Publish(1043);
  const json older = repository_.tuf.signed_part(kContentRole)["version"];
  next.terms.revoked = true;
  repository_.Relist(next, next.terms);
  Serve();
  ASSERT_EQ(verifier_->Refresh(repository_.tuf), absl::OkStatus());
  Forge(tuf::kSnapshot, [&](json& snapshot) { snapshot["meta"]["content-release.json"]["version"] = older; });
  const json version = forged_version_;
  Forge(tuf::kTimestamp, [&](json& timestamp) { timestamp["meta"]["snapshot.json"]["version"] = version; });
  Offer(next);
  ExpectRefused("STAGING_FAILED: stale_version: ");
}

TEST_F(EvilServerTest, AFrozenTimestampHoldsNoLongerThanItIsGood) {
  const Published next = repository_.Publish(1043);
  Serve();
  wall_.Advance(absl::Hours(24 * 31));
  Offer(next);
  ExpectRefused("STAGING_FAILED: expired: ");
  EXPECT_THAT(agent_->StatusJson(), HasSubstr("new releases are held, what runs keeps running: expired"));
}

TEST_F(EvilServerTest, AnOlderTimestamp) {
  const std::string older = repository_.tuf.metadata["timestamp.json"];
  const Published next = repository_.Publish(1043);
  ASSERT_EQ(verifier_->Refresh(repository_.tuf), absl::OkStatus());
  Serve();
  ServeInstead("timestamp.json", older);
  Offer(next);
  ExpectRefused("STAGING_FAILED: stale_version: timestamp");
  ExpectHonestReleasesGoOn();
}

TEST_F(EvilServerTest, ARootOfItsOwn) {
  json root = repository_.tuf.signed_part(tuf::kRoot);
  root["version"] = 2;
  const int mine = 77;
  root["keys"]["key-77"] = repository_.tuf.KeyJson(mine);
  root["roles"]["targets"]["keyids"] = {"key-77"};
  root["roles"]["root"]["keyids"] = {"key-77"};
  const Published next = repository_.Publish(1043);
  Serve();
  ServeInstead("2.root.json", repository_.tuf.Seal(root, {mine}));
  Offer(next);
  ExpectRefused("STAGING_FAILED: bad_signature: root");
  ExpectHonestReleasesGoOn();
}

// Two of five, where three are wanted: two persons are not enough, however often they sign.
TEST_F(EvilServerTest, ARootBelowItsThreshold) {
  std::vector<int> signers = {60, 61, 62};
  signers.insert(signers.end(), repository_.tuf.signers(tuf::kRoot).begin(),
                 repository_.tuf.signers(tuf::kRoot).end());
  repository_.tuf.SetKeys(tuf::kRoot, {60, 61, 62, 63, 64}, 3, signers);
  repository_.tuf.Publish({tuf::kRoot});
  json root = repository_.tuf.signed_part(tuf::kRoot);
  root["version"] = root["version"].get<int>() + 1;
  root["keys"]["key-77"] = repository_.tuf.KeyJson(77);
  root["roles"]["targets"]["keyids"] = {"key-77"};
  const std::string name = root["version"].dump() + ".root.json";
  const Published next = repository_.Publish(1043);
  Serve();
  ServeInstead(name, repository_.tuf.Seal(root, {60, 61}));
  Offer(next);
  ExpectRefused("STAGING_FAILED: bad_signature: root");
  ServeInstead(name, repository_.tuf.Seal(root, {60, 61, 61}));
  Offer(next);
  ExpectRefused("STAGING_FAILED: malformed: root");
  ExpectHonestReleasesGoOn();
}

TEST_F(EvilServerTest, MetadataWithoutEnd) {
  const Published next = repository_.Publish(1043);
  Serve();
  ServeInstead("timestamp.json", std::string(1 << 20, ' '));
  Offer(next);
  ExpectRefused("STAGING_FAILED: limit_exceeded: timestamp");
  ExpectHonestReleasesGoOn();
}

// One of the two keys was stolen, and signs twice under its one name, or under two.
TEST_F(EvilServerTest, OneKeyOfTwoThatSignsTwice) {
  const std::vector<int> both = repository_.tuf.signers(kContentRole);
  ASSERT_EQ(both.size(), 2u);
  repository_.tuf.signers(kContentRole) = {both[0], both[0]};
  Published own = repository_.Publish(1043);
  Serve();
  Offer(own);
  ExpectRefused("STAGING_FAILED: malformed: content-release");
  repository_.tuf.signers(kContentRole) = {both[0]};
  own = repository_.Publish(1044);
  Serve();
  Offer(own);
  ExpectRefused("STAGING_FAILED: bad_signature: content-release");
  repository_.tuf.signers(kContentRole) = both;
  ExpectHonestReleasesGoOn();
}

TEST_F(EvilServerTest, AListingSignedByTheServersOwnKeys) {
  const std::vector<int> both = repository_.tuf.signers(kContentRole);
  repository_.tuf.signers(kContentRole) = repository_.tuf.signers(tuf::kSnapshot);
  const Published own = repository_.Publish(1043);
  Serve();
  Offer(own);
  ExpectRefused("STAGING_FAILED: bad_signature: content-release");
  repository_.tuf.signers(kContentRole) = both;
  ExpectHonestReleasesGoOn();
}

// Both keys were stolen, and replaced when that was known.
TEST_F(EvilServerTest, KeysThatWereReplacedSinceTheyWereStolen) {
  const std::vector<int> stolen = repository_.tuf.signers(kContentRole), now = {70, 71};
  json& delegations = repository_.tuf.signed_part(tuf::kTargets)["delegations"];
  delegations["roles"][0]["keyids"] = json::array();
  for (const int key : now) {
    const std::string id = absl::StrCat("key-", key);
    delegations["keys"][id] = repository_.tuf.KeyJson(key);
    delegations["roles"][0]["keyids"].push_back(id);
  }
  repository_.tuf.signers(kContentRole) = now;
  repository_.PublishAll();
  ASSERT_EQ(verifier_->Refresh(repository_.tuf), absl::OkStatus());
  repository_.tuf.signers(kContentRole) = stolen;
  const Published own = repository_.Publish(1043);
  Serve();
  Offer(own);
  ExpectRefused("STAGING_FAILED: bad_signature: content-release");
  repository_.tuf.signers(kContentRole) = now;
  ExpectHonestReleasesGoOn();
}

// A version that nobody will ever show stops updates; what runs loads on, also in a new process.
TEST_F(EvilServerTest, ATimestampFarAhead) {
  const Published next = repository_.Publish(1043);
  Serve();
  Forge(tuf::kTimestamp, [](json& timestamp) {
    timestamp["version"] = 1'000'000;
    timestamp["meta"]["snapshot.json"]["version"] = 1'000'000;
  });
  Offer(next);
  ExpectRefused("STAGING_FAILED: missing: snapshot");
  StartAgent();
  ExpectRefused("STAGING_FAILED: missing: snapshot");
  EXPECT_THAT(agent_->StatusJson(), HasSubstr("\"verified\": \"yes\""));
}

TEST_F(EvilServerTest, NoMetadataAtAll) {
  const Published next = repository_.Publish(1043);
  {
    MutexLock lock(&mutex_);
    served_.clear();
  }
  Offer(next);
  ExpectRefused("STAGING_FAILED: missing: timestamp");
  ExpectHonestReleasesGoOn();
}

// ---------------------------------------------------------------- orders

TEST_F(EvilServerTest, AnOrderToGoBackBehindTheFloor) {
  good_ = repository_.Publish(1050, [](ReleaseDraft& draft) { draft.terms.rollback_floor = 1049; });
  Serve();
  Offer(good_);
  ASSERT_TRUE(Until([&] { return Runs() == good_.bytes; }));
  Offer(good_, kChannel, {v1::DIRECTIVE_KIND_REVERT});
  ExpectRefused("ACTIVATION_FAILED: cannot go back to ");
  EXPECT_THAT(
      Events(),
      HasSubstr("stale_version: release serial: found 1042, wanted at least the rollback floor 1049"));
}

TEST_F(EvilServerTest, AnOrderToGoBackAboveTheFloorIsFollowed) {
  const Published next =
      repository_.Publish(1050, [](ReleaseDraft& draft) { draft.terms.rollback_floor = 1042; });
  Serve();
  Offer(next);
  ASSERT_TRUE(Until([&] { return Runs() == next.bytes; }));
  Offer(next, kChannel, {v1::DIRECTIVE_KIND_REVERT});
  EXPECT_TRUE(Until([&] { return Runs() == good_.bytes; }));
}

TEST_F(EvilServerTest, AnOrderToDropWhatRuns) {
  Offer(good_, kChannel, {v1::DIRECTIVE_KIND_DROP});
  const int64_t before = agent_->checkins();
  ASSERT_TRUE(Until([&] { return agent_->checkins() > before + 3; }));
  EXPECT_TRUE(Runs() == good_.bytes);
  StartAgent();
  EXPECT_TRUE(Runs() == good_.bytes);
  ExpectHonestReleasesGoOn();
}

// ---------------------------------------------------------------- fail static

// The expiry drill: all has expired and the server is gone, the disk lost its metadata; a new process runs
// what ran.
TEST_F(EvilServerTest, EverythingExpiresAndWhatRunsRunsOn) {
  wall_.Advance(absl::Hours(24 * 365 * 5));
  fs::remove_all(folder_ + "/trust/metadata");
  {
    MutexLock lock(&mutex_);
    served_.clear();
  }
  StartAgent();
  const int64_t before = agent_->checkins();
  ASSERT_TRUE(Until([&] { return agent_->checkins() > before + 3; }));
  EXPECT_EQ(Runs(), good_.bytes);
  const json status = json::parse(agent_->StatusJson());
  EXPECT_EQ(status["verification"]["state"], "holding");
  EXPECT_EQ(status["channels"][kChannel]["verified"], "yes");
  EXPECT_EQ(status["channels"][kChannel]["highest_serial"], 1042);
  EXPECT_THAT(agent_->MetricsText(), HasSubstr("ringfence_agent_verification_state{state=\"holding\"} 1\n"));
  EXPECT_THAT(agent_->MetricsText(),
              HasSubstr("ringfence_agent_highest_serial{channel=\"ipc-detect\"} 1042\n"));
}

}  // namespace
}  // namespace ringfence::agent
