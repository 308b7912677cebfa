// The client's workflow: what theupdateframework/tuf-conformance asks for without a network, and what other
// implementations got wrong.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "ringfence/tuf/fault.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::tuf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string FaultIn(const absl::Status& status) {
  if (status.ok()) return "none";
  const auto fault = FaultOf(status);
  if (!fault.has_value()) return "untyped: " + std::string(status.message());
  return absl::StrCat(*RoleOf(status), " ", Name(*fault));
}

absl::Time Days(int days) {
  return TestNow() + absl::Hours(24 * days);
}

TEST(TufRefreshTest, AsksForExactlyWhatItNeedsAndStoresTheBytesAsTheyCame) {
  TestRepository repository;
  repository.metadata["timestamp.json"] += " \n";
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  EXPECT_THAT(repository.requests,
              ElementsAre("2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"));
  EXPECT_EQ(client.store.files[kTimestamp], repository.metadata["timestamp.json"]);
  EXPECT_EQ(client.Stored(), "root 1, snapshot 1, targets 1, timestamp 1");
}

TEST(TufRefreshTest, AsksOnlyForRootAndTimestampWhenNothingChanged) {
  TestRepository repository;
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.requests.clear();
  ASSERT_TRUE(client.Refresh().ok());
  EXPECT_THAT(repository.requests, ElementsAre("2.root.json", "timestamp.json"));
}

TEST(TufRefreshTest, AsksForFilesWithoutVersionsWhereSnapshotsAreNotConsistent) {
  TestRepository repository;
  repository.signed_part(kRoot)["consistent_snapshot"] = false;
  repository.AddTarget(kTargets, "a/b c", "bytes");
  repository.Publish({kRoot, kTargets, kSnapshot, kTimestamp});
  repository.metadata["snapshot.json"] = repository.metadata["2.snapshot.json"];
  repository.metadata["targets.json"] = repository.metadata["2.targets.json"];
  repository.targets["a/b%20c"] = "bytes";
  TestClient client(repository);
  const auto bytes = client.Get("a/b c");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, "bytes");
  EXPECT_THAT(repository.requests,
              ElementsAre("2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"));
}

TEST(TufRefreshTest, DoesNotBeginWithARootThatItsOwnKeysDidNotSign) {
  TestRepository repository;
  TestClient client(repository);
  client.store.files[kRoot] = repository.Seal(repository.signed_part(kRoot), {7});
  EXPECT_EQ(FaultIn(client.Refresh()), "root bad_signature");
  EXPECT_THAT(repository.requests, ElementsAre());
}

// Each role in turn has no signature of its own key: it is refused, what comes before it is kept.
TEST(TufRefreshTest, RefusesAnUnsignedRoleAndKeepsWhatCameBefore) {
  const struct {
    const char* role;
    const char* stored;
  } kCases[] = {{kRoot, "root 1"},
                {kTimestamp, "root 2"},
                {kSnapshot, "root 2, timestamp 2"},
                {kTargets, "root 2, snapshot 2, timestamp 2"}};
  for (const auto& test : kCases) {
    TestRepository repository;
    repository.signers(test.role) = {7};
    repository.Publish({kRoot, kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    EXPECT_EQ(FaultIn(client.Refresh()), absl::StrCat(test.role, " bad_signature"));
    EXPECT_EQ(client.Stored(), test.stored);
  }
}

TEST(TufRefreshTest, RefusesAVersionOtherThanTheOneItAskedFor) {
  for (const char* role : {kRoot, kSnapshot, kTargets}) {
    TestRepository repository;
    repository.Publish({kRoot, kTargets, kSnapshot, kTimestamp});
    repository.signed_part(role)["version"] = 3;
    repository.metadata[absl::StrCat("2.", role, ".json")] =
        repository.Seal(repository.signed_part(role), repository.signers(role));
    TestClient client(repository);
    EXPECT_EQ(FaultIn(client.Refresh()), absl::StrCat(role, " wrong_version"));
  }
}

// A root that is one behind, or the same again, under the next one's name.
TEST(TufRefreshTest, WantsEachRootExactlyOneHigherThanTheLast) {
  for (const int version : {1, 3, 200}) {
    TestRepository repository;
    repository.signed_part(kRoot)["version"] = version;
    repository.metadata["2.root.json"] =
        repository.Seal(repository.signed_part(kRoot), repository.signers(kRoot));
    TestClient client(repository);
    EXPECT_EQ(FaultIn(client.Refresh()), version < 2 ? "root stale_version" : "root wrong_version")
        << version;
    EXPECT_EQ(client.Stored(), "root 1");
  }
}

TEST(TufRefreshTest, RefusesOneTypeOfMetadataForAnother) {
  TestRepository repository;
  repository.SetKeys(kTimestamp, {92}, 1, {92});  // the snapshot's key signs timestamps as well
  repository.signed_part(kSnapshot)["meta"]["snapshot.json"] = {{"version", 1}};
  repository.Publish({kRoot, kSnapshot});
  repository.metadata["timestamp.json"] = repository.metadata["2.snapshot.json"];
  TestClient client(repository);
  const absl::Status status = client.Refresh();
  EXPECT_EQ(FaultIn(status), "timestamp malformed");
  EXPECT_THAT(std::string(status.message()), HasSubstr("signed._type"));
}

TEST(TufRefreshTest, NamesAFileThatTheRepositoryDoesNotHave) {
  for (const char* name : {"timestamp.json", "1.snapshot.json", "1.targets.json"}) {
    TestRepository repository;
    repository.metadata.erase(name);
    TestClient client(repository);
    const absl::Status status = client.Refresh();
    EXPECT_EQ(FaultOf(status), Fault::kMissing);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST(TufRefreshTest, ReadsNoMoreThanTheLimitOfARole) {
  TestRepository repository;
  repository.metadata["timestamp.json"] += std::string(kMaxTimestampBytes, ' ');
  TestClient client(repository);
  EXPECT_EQ(FaultIn(client.Refresh()), "timestamp limit_exceeded");
}

TEST(TufRefreshTest, AcceptsMembersItDoesNotKnowBecauseTheyAreSigned) {
  TestRepository repository;
  repository.signed_part(kRoot)["custom"] = {{"a", {1, 2}}, {"b", "\n\"\\\xc3\xa9"}};
  repository.signed_part(kRoot)["keys"]["key-90"]["keyid_hash_algorithms"] = "md5";
  repository.signed_part(kRoot)["roles"][kRoot]["another"] = true;
  repository.signed_part(kRoot)["roles"]["mirrors"] = 5;
  repository.Publish({kRoot});
  TestClient client(repository);
  EXPECT_TRUE(client.Refresh().ok());
  EXPECT_EQ(client.store.Version(kRoot), 2);
}

TEST(TufRefreshTest, TakesTheContentOfATimestampThatItHasAlready) {
  TestRepository repository;
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.signed_part(kTimestamp)["meta"]["snapshot.json"]["version"] = 100;
  repository.metadata["timestamp.json"] = repository.Seal(repository.signed_part(kTimestamp), {93});
  EXPECT_TRUE(client.Refresh().ok());
  EXPECT_EQ(repository.requests.back(), "timestamp.json");
}

TEST(TufRefreshTest, ChecksTheHashesThatAreListed) {
  for (const char* role : {kSnapshot, kTargets}) {
    TestRepository repository;
    repository.list_hashes = true;
    repository.Publish({kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    ASSERT_TRUE(client.Refresh().ok());
    repository.Publish({kTargets, kSnapshot, kTimestamp});
    // The same document with other blanks: validly signed, of another digest.
    std::string& bytes = repository.metadata[absl::StrCat("3.", role, ".json")];
    bytes[bytes.find('\n')] = ' ';
    EXPECT_EQ(FaultIn(client.Refresh()), absl::StrCat(role, " digest_mismatch"));
    EXPECT_EQ(client.store.Version(role), 2);
  }
}

TEST(TufRollbackTest, RefusesAnOlderTimestamp) {
  TestRepository repository;
  const std::string old = repository.metadata["timestamp.json"];
  repository.Publish({kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.metadata["timestamp.json"] = old;
  EXPECT_EQ(FaultIn(client.Refresh()), "timestamp stale_version");
  EXPECT_EQ(client.store.Version(kTimestamp), 2);
}

// And must not store the timestamp that announces it before having seen that.
TEST(TufRollbackTest, RefusesATimestampThatAnnouncesAnOlderSnapshot) {
  for (const bool hashes : {false, true}) {
    TestRepository repository;
    repository.list_hashes = hashes;
    repository.Publish({kSnapshot, kTimestamp});
    TestClient client(repository);
    ASSERT_TRUE(client.Refresh().ok());
    repository.signed_part(kSnapshot)["version"] = 0;
    repository.Publish({kSnapshot, kTimestamp});
    EXPECT_EQ(FaultIn(client.Refresh()), "timestamp stale_version");
    EXPECT_EQ(client.store.Version(kTimestamp), 2);
    EXPECT_EQ(client.store.Version(kSnapshot), 2);
  }
}

TEST(TufRollbackTest, RefusesASnapshotWithOlderTargets) {
  for (const bool hashes : {false, true}) {
    TestRepository repository;
    repository.list_hashes = hashes;
    repository.Publish({kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    ASSERT_TRUE(client.Refresh().ok());
    repository.signed_part(kTargets)["version"] = 0;
    repository.Publish({kTargets, kSnapshot, kTimestamp});
    EXPECT_EQ(FaultIn(client.Refresh()), "snapshot stale_version");
    EXPECT_EQ(client.store.Version(kSnapshot), 2);
    EXPECT_EQ(client.store.Version(kTargets), 2);
  }
}

TEST(TufRollbackTest, RefusesASnapshotThatDropsARole) {
  TestRepository repository;
  repository.Delegate(kTargets, "delegated");
  repository.Publish({"delegated", kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.signed_part(kSnapshot)["meta"].erase("delegated.json");
  repository.Publish({kSnapshot, kTimestamp});
  const absl::Status status = client.Refresh();
  EXPECT_EQ(FaultIn(status), "snapshot stale_version");
  EXPECT_THAT(std::string(status.message()), HasSubstr("delegated.json"));
}

TEST(TufRollbackTest, RefusesADelegatedRoleThatGoesBack) {
  TestRepository repository;
  repository.Delegate(kTargets, "delegated");
  repository.AddTarget("delegated", "a", "1");
  repository.Publish({"delegated", "delegated", kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Get("a").ok());
  // An old one, validly signed, in place of the listed one.
  repository.Publish({"delegated", kSnapshot, kTimestamp});
  repository.metadata["3.delegated.json"] = repository.metadata["1.delegated.json"];
  EXPECT_EQ(FaultIn(client.Get("a").status()), "delegated stale_version");
  EXPECT_EQ(client.store.Version("delegated"), 2);
}

// What has expired here is of no use any more, but still says how far the repository had come.
TEST(TufRollbackTest, NoticesItByExpiredFilesToo) {
  TestRepository repository;
  for (const char* role : {kTimestamp, kSnapshot})
    repository.signed_part(role)["expires"] = TimeText(Days(5));
  repository.Publish({kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  for (const char* role : {kTimestamp, kSnapshot})
    repository.signed_part(role)["expires"] = TimeText(Days(25));
  repository.signed_part(kTargets)["version"] = 0;
  repository.Publish({kTargets, kSnapshot, kTimestamp});
  EXPECT_EQ(FaultIn(client.Refresh(Days(10))), "snapshot stale_version");
  repository.signed_part(kTimestamp)["version"] = 0;
  repository.Publish({kTimestamp});
  EXPECT_EQ(FaultIn(client.Refresh(Days(10))), "timestamp stale_version");
}

// The thief of an online key can run its versions up so high that no honest one is ever accepted again: a new
// key undoes that.
TEST(TufRecoveryTest, ANewKeyMakesAFastForwardedVersionForgotten) {
  const struct {
    std::vector<std::string> rotated;
    const char* role;
  } kCases[] = {{{kTimestamp}, kTimestamp}, {{kSnapshot, kTimestamp}, kSnapshot}, {{kSnapshot}, kTargets}};
  for (const auto& test : kCases) {
    TestRepository repository;
    repository.signed_part(test.role)["version"] = 100;
    repository.Publish({kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    ASSERT_TRUE(client.Refresh().ok());
    ASSERT_EQ(client.store.Version(test.role), 101);
    int key = 1;
    for (const std::string& role : test.rotated) {
      repository.SetKeys(role, {key}, 1, {key});
      ++key;
    }
    repository.signed_part(test.role)["version"] = 0;
    repository.Publish({kRoot, kTargets, kSnapshot, kTimestamp});
    const absl::Status status = client.Refresh();
    EXPECT_TRUE(status.ok()) << test.role << " " << status;
    EXPECT_LT(client.store.Version(test.role), 10);
  }
}

TEST(TufRecoveryTest, WithoutANewKeyItStaysRefused) {
  TestRepository repository;
  repository.signed_part(kTimestamp)["version"] = 100;
  repository.Publish({kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.signed_part(kTimestamp)["version"] = 0;
  repository.Publish({kRoot, kTimestamp});
  EXPECT_EQ(FaultIn(client.Refresh()), "timestamp stale_version");
}

TEST(TufExpiryTest, StoresANewRootEvenIfItHasExpiredButNothingBehindIt) {
  TestRepository repository;
  TestClient client(repository);
  repository.signed_part(kRoot)["expires"] = TimeText(Days(-1));
  repository.Publish({kRoot, kTargets, kSnapshot, kTimestamp});
  EXPECT_EQ(FaultIn(client.Refresh()), "root expired");
  EXPECT_EQ(client.Stored(), "root 2");
}

TEST(TufExpiryTest, RefusesEachExpiredRole) {
  const struct {
    const char* role;
    const char* stored;
  } kCases[] = {{kTimestamp, "root 1, snapshot 1, targets 1, timestamp 1"},
                {kSnapshot, "root 1, snapshot 1, targets 1, timestamp 2"},
                {kTargets, "root 1, snapshot 2, targets 1, timestamp 2"}};
  for (const auto& test : kCases) {
    TestRepository repository;
    TestClient client(repository);
    ASSERT_TRUE(client.Refresh().ok());
    repository.signed_part(test.role)["expires"] = TimeText(TestNow());  // the moment itself is too late
    repository.Publish({kTargets, kSnapshot, kTimestamp});
    EXPECT_EQ(FaultIn(client.Refresh()), absl::StrCat(test.role, " expired"));
    EXPECT_EQ(client.Stored(), test.stored);
  }
}

TEST(TufExpiryTest, RefusesAnUnchangedTimestampOnceItHasExpired) {
  TestRepository repository;
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  EXPECT_EQ(FaultIn(client.Refresh(Days(31))), "root expired");
  repository.signed_part(kRoot)["expires"] = TimeText(Days(365));
  repository.Publish({kRoot});
  EXPECT_EQ(FaultIn(client.Refresh(Days(31))), "timestamp expired");
}

// Expired ones on the way do not hold up the newer.
TEST(TufExpiryTest, GoesThroughExpiredRootsToOneThatIsNot) {
  TestRepository repository;
  TestClient client(repository);
  for (const int days : {-3, -2, -1}) {
    repository.signed_part(kRoot)["expires"] = TimeText(Days(days));
    repository.Publish({kRoot});
  }
  repository.signed_part(kRoot)["expires"] = TimeText(Days(30));
  repository.Publish({kRoot});
  EXPECT_TRUE(client.Refresh().ok());
  EXPECT_EQ(client.store.Version(kRoot), 5);
}

TEST(TufExpiryTest, ReplacesStoredFilesThatHaveExpired) {
  TestRepository repository;
  repository.signed_part(kTimestamp)["expires"] = TimeText(Days(7));
  repository.Publish({kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.signed_part(kTimestamp)["expires"] = TimeText(Days(21));
  repository.Publish({kTargets, kSnapshot, kTimestamp});
  EXPECT_TRUE(client.Refresh(Days(18)).ok());
  EXPECT_EQ(client.Stored(), "root 1, snapshot 2, targets 2, timestamp 3");
}

TEST(TufStoredTest, ServesAHostWithoutANetworkAndWithoutExpiry) {
  TestRepository repository;
  repository.Delegate(kTargets, "delegated");
  repository.AddTarget("delegated", "a", "1");
  repository.Publish({"delegated", kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Get("a").ok());
  NoFetcher nobody;
  Updater timeless(nobody, client.store, absl::InfinitePast());
  ASSERT_TRUE(timeless.UseStored().ok());
  const auto found = timeless.Find("a");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->info.length, 1);
  Updater late(nobody, client.store, Days(31));
  EXPECT_EQ(FaultIn(late.UseStored()), "root expired");
  client.store.files[kTargets][client.store.files[kTargets].find("2026")] = '3';
  EXPECT_EQ(FaultIn(timeless.UseStored()), "targets bad_signature");
}

TEST(TufDownloadTest, GivesOnlyTheBytesThatAreListed) {
  TestRepository repository;
  repository.AddTarget(kTargets, "path/to/file", "listed");
  repository.PublishAll(kTargets);
  TestClient client(repository);
  const auto bytes = client.Get("path/to/file");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, "listed");
  for (const char* instead : {"Listed", "liste", "", "listed and more"}) {
    repository.targets.begin()->second = instead;
    const auto other = client.Get("path/to/file");
    EXPECT_EQ(FaultIn(other.status()), absl::string_view(instead).size() > 6
                                           ? "path/to/file limit_exceeded"
                                           : "path/to/file digest_mismatch");
  }
  EXPECT_EQ(FaultIn(client.Get("nowhere").status()), "nowhere missing");
}

TEST(TufDownloadTest, WantsEveryHashThatItKnowsAndOneAtLeast) {
  const std::string sha512 =
      "3c9909afec25354d551dae21590bb26e38d53f2173b8d3dc3eee4c047e7ab1c1eb8b85103e3be7ba613b31bb5c9c36214dc9f1"
      "4a42fd7a2fdb8"
      "4856bca5c44c2";  // of "123"
  const std::string sha256 = "a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3";
  const struct {
    nlohmann::json hashes;
    const char* name;
    bool accepted;
  } kCases[] = {
      {{{"sha512", sha512}}, "sha512", true},
      {{{"sha256", sha256}, {"sha512", sha512}}, "sha256", true},
      {{{"sha256", sha256}, {"sha512", std::string(128, '0')}}, "sha256", false},
      {{{"sha256", sha256}, {"blake9", "00"}}, "sha256", true},
      {{{"blake9", sha512}}, "sha512", false},
  };
  for (const auto& test : kCases) {
    TestRepository repository;
    repository.signed_part(kTargets)["targets"]["t"] = {{"length", 3}, {"hashes", test.hashes}};
    repository.PublishAll(kTargets);
    repository.targets[(test.name == std::string("sha256") ? sha256 : sha512) + ".t"] = "123";
    TestClient client(repository);
    const auto bytes = client.Get("t");
    EXPECT_EQ(bytes.ok(), test.accepted) << test.hashes << bytes.status();
    if (!test.accepted) {
      EXPECT_EQ(FaultIn(bytes.status()), "t digest_mismatch");
    }
  }
}

}  // namespace
}  // namespace ringfence::tuf
