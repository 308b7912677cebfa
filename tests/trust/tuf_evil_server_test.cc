// A server that holds every online key, and one of the two keys of content-release, against a client that had
// been up to date before. It may withhold; it may not get one byte of its own across.
#include <gmock/gmock.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/tuf/fault.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::tuf {
namespace {

constexpr char kRole[] = "content-release";
constexpr char kGood[] = "content/ipc/good";
constexpr char kEvil[] = "content/ipc/evil";
constexpr int kSnapshotKey = 92, kTimestampKey = 93, kStolen = 50, kOther = 51;

struct EvilServer {
  EvilServer() {
    repository.Delegate(kTargets, kRole, {"content/*/*"}, true);
    nlohmann::json& delegations = repository.signed_part(kTargets)["delegations"];
    delegations["keys"] = {{"key-50", repository.KeyJson(kStolen)}, {"key-51", repository.KeyJson(kOther)}};
    delegations["roles"][0]["keyids"] = {"key-50", "key-51"};
    delegations["roles"][0]["threshold"] = 2;
    repository.signers(kRole) = {kStolen, kOther};
    repository.AddTarget(kRole, kGood, "good");
    repository.Publish({kRole, kRole, kTargets, kSnapshot, kTimestamp});
  }

  // What the server's own keys can make of `role` with the target listed.
  std::string Forged(const std::string& role, const std::string& path, const std::vector<int>& keys) {
    repository.AddTarget(role, path, "evil");
    nlohmann::json& part = repository.signed_part(role);
    part["version"] = part["version"].get<int>() + 1;
    const std::string bytes = repository.Seal(part, keys);
    const int version = part["version"];
    repository.metadata[absl::StrCat(version, ".", role, ".json")] = bytes;
    repository.signed_part(kSnapshot)["meta"][role + ".json"] = {{"version", version}};
    repository.Publish({kSnapshot, kTimestamp});
    return bytes;
  }
  void List(const std::string& role, int version) {
    repository.signed_part(kSnapshot)["meta"][role + ".json"] = {{"version", version}};
    repository.Publish({kSnapshot, kTimestamp});
  }

  TestRepository repository;
};

TEST(EvilServerTest, GetsNothingOfItsOwnAcross) {
  struct Attack {
    const char* name;
    std::function<void(EvilServer*)> run;
    Fault fault;
  };
  const Attack kAttacks[] = {
      {"lists its file in targets",
       [](auto* t) {
         t->Forged(kTargets, kEvil, {kSnapshotKey, kTimestampKey});
       },
       Fault::kBadSignature},
      {"lists its file with one of two keys",
       [](auto* t) {
         t->Forged(kRole, kEvil, {kStolen, kTimestampKey});
       },
       Fault::kBadSignature},
      {"replaces the good file's listing", [](auto* t) { t->Forged(kRole, kGood, {kStolen}); },
       Fault::kBadSignature},
      {"signs twice with the one key, under both ids",
       [](auto* t) {
         nlohmann::json forged = nlohmann::json::parse(t->Forged(kRole, kEvil, {kStolen, kOther}));
         forged["signatures"][1]["sig"] = forged["signatures"][0]["sig"];
         t->repository.metadata["3.content-release.json"] = forged.dump();
       },
       Fault::kBadSignature},
      {"goes back to an older listing", [](auto* t) { t->List(kRole, 1); }, Fault::kStaleVersion},
      {"serves an older listing under the newer's name",
       [](auto* t) {
         t->repository.metadata["3.content-release.json"] = t->repository.metadata["1.content-release.json"];
         t->List(kRole, 3);
       },
       Fault::kStaleVersion},
      {"goes back to older targets", [](auto* t) { t->List(kTargets, 1); }, Fault::kStaleVersion},
      {"drops the role from the snapshot",
       [](auto* t) {
         t->repository.signed_part(kSnapshot)["meta"].erase("content-release.json");
         t->repository.Publish({kSnapshot, kTimestamp});
       },
       Fault::kStaleVersion},
      {"serves another role's listing for it",
       [](auto* t) {
         t->repository.metadata["3.content-release.json"] = t->repository.metadata["2.targets.json"];
         t->List(kRole, 3);
       },
       Fault::kBadSignature},
      {"names itself in a new root",
       [](auto* t) {
         t->repository.SetKeys(kTargets, {kSnapshotKey}, 1, {kSnapshotKey});
         t->repository.signers(kRoot) = {kSnapshotKey, kTimestampKey};
         t->repository.Publish({kRoot});
       },
       Fault::kBadSignature},
      {"signs the timestamp with the snapshot's key",
       [](auto* t) {
         t->repository.signers(kTimestamp) = {kSnapshotKey};
         t->repository.Publish({kTimestamp});
       },
       Fault::kBadSignature},
      {"puts other bytes in the file's place",
       [](auto* t) { t->repository.targets["content/ipc/" + Sha256("good").ToString() + ".good"] = "evil"; },
       Fault::kDigestMismatch},
      {"sends bytes without an end",
       [](auto* t) {
         t->repository.targets["content/ipc/" + Sha256("good").ToString() + ".good"] =
             std::string(1 << 20, 'x');
       },
       Fault::kLimitExceeded},
      {"sends a timestamp without an end",
       [](auto* t) { t->repository.metadata["timestamp.json"] += std::string(1 << 20, ' '); },
       Fault::kLimitExceeded},
      {"announces a snapshot that it does not give",
       [](auto* t) {
         t->repository.Publish({kSnapshot, kTimestamp});
         t->repository.metadata.erase("3.snapshot.json");
       },
       Fault::kMissing},
  };
  for (const Attack& attack : kAttacks) {
    EvilServer instance;
    TestClient client(instance.repository);
    MemoryStore staged;
    {
      Updater updater(instance.repository, client.store, TestNow());
      ASSERT_TRUE(updater.Find(kGood).ok());
      ASSERT_TRUE(updater.CopyTrusted(staged).ok());
    }
    ASSERT_EQ(staged.files, client.store.files);
    const std::string before = client.Stored();
    attack.run(&instance);
    const auto good = client.Get(kGood);
    EXPECT_EQ(FaultOf(good.status()), attack.fault) << attack.name << ": " << good.status();
    const auto evil = client.Get(kEvil);
    EXPECT_FALSE(evil.ok()) << attack.name;
    for (const char* role : {kRoot, kTargets, kRole})
      EXPECT_EQ(client.store.Version(role), role == std::string(kRoot) ? 1 : 2)
          << attack.name << ": " << before;
    // What was staged before can be verified again, whatever the server has said since.
    NoFetcher nobody;
    Updater later(nobody, staged, absl::InfinitePast());
    ASSERT_TRUE(later.UseStored().ok()) << attack.name;
    EXPECT_TRUE(later.Find(kGood).ok()) << attack.name;
    EXPECT_FALSE(later.Find(kEvil).ok()) << attack.name;
  }
}

// It may let nothing new through. That ends with the timestamp, and shows.
TEST(EvilServerTest, CanWithholdOnlyUntilTheTimestampExpires) {
  EvilServer server;
  server.repository.signed_part(kTimestamp)["expires"] = TimeText(TestNow() + absl::Hours(72));
  server.repository.Publish({kTimestamp});
  TestClient client(server.repository);
  EXPECT_TRUE(client.Get(kGood, TestNow() + absl::Hours(71)).ok());
  EXPECT_EQ(FaultOf(client.Get(kGood, TestNow() + absl::Hours(72)).status()), Fault::kExpired);
}

}  // namespace
}  // namespace ringfence::tuf
