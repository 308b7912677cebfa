// Who may speak of which target, and in which order they are asked.
#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "ringfence/tuf/fault.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::tuf {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

struct Edge {
  const char* from;
  const char* to;
  std::vector<std::string> paths = {"*"};
  bool terminating = false;
};

void Build(const std::vector<Edge>& edges, TestRepository* repository) {
  std::vector<std::string> changed = {kTargets};
  for (const Edge& edge : edges) {
    repository->Delegate(edge.from, edge.to, edge.paths, edge.terminating);
    changed.push_back(edge.to);
  }
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  changed.insert(changed.end(), {kSnapshot, kTimestamp});
  repository->Publish(changed);
}

// The delegated roles that were fetched, in order.
std::vector<std::string> Asked(const TestRepository& repository) {
  std::vector<std::string> roles;
  for (const std::string& name : repository.requests) {
    const absl::string_view role = absl::StripSuffix(absl::StripPrefix(name, "1."), ".json");
    if (role.size() == 1) roles.emplace_back(role);
  }
  return roles;
}

// From theupdateframework/tuf-conformance, test_graph_traversal.
TEST(TufDelegationsTest, AreAskedInOrderDepthFirstEachOnce) {
  const struct {
    const char* name;
    std::vector<Edge> edges;
    std::vector<std::string> asked;
  } kGraphs[] = {
      {"none", {}, {}},
      {"one level", {{"targets", "A"}, {"targets", "B"}}, {"A", "B"}},
      {"two levels", {{"targets", "A"}, {"targets", "B"}, {"B", "C"}}, {"A", "B", "C"}},
      {"depth first", {{"targets", "A"}, {"targets", "B"}, {"A", "C"}, {"A", "D"}}, {"A", "C", "D", "B"}},
      {"depth first, three levels",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C"}, {"C", "D"}},
       {"A", "C", "D", "B"}},
      {"terminating", {{"targets", "A"}, {"targets", "B"}, {"A", "C", {"*"}, true}, {"A", "D"}}, {"A", "C"}},
      {"terminating, but its own children are asked",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C", {"*"}, true}, {"C", "D"}},
       {"A", "C", "D"}},
      {"a branch of other paths", {{"targets", "A", {"*.py"}}, {"targets", "B"}, {"A", "C"}}, {"B"}},
      {"a branch of other paths, three levels",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C", {"*.py"}}, {"C", "D"}},
       {"A", "B"}},
      {"terminating for other paths ends nothing",
       {{"targets", "A", {"*.py"}, true}, {"targets", "B"}},
       {"B"}},
      {"a circle",
       {{"targets", "A"}, {"targets", "B"}, {"B", "C"}, {"C", "D"}, {"D", "B"}},
       {"A", "B", "C", "D"}},
      {"two that delegate to a third",
       {{"targets", "A"}, {"targets", "B"}, {"B", "C"}, {"A", "C"}},
       {"A", "C", "B"}},
      {"two that delegate to a third, one for other paths",
       {{"targets", "A"}, {"targets", "B"}, {"B", "C"}, {"A", "C", {"*.py"}}},
       {"A", "B", "C"}},
      {"one that delegates to itself", {{"targets", "A"}, {"A", "A"}}, {"A"}},
  };
  for (const auto& graph : kGraphs) {
    TestRepository repository;
    Build(graph.edges, &repository);
    TestClient client(repository);
    EXPECT_EQ(FaultOf(client.Get("missingpath").status()), Fault::kMissing) << graph.name;
    EXPECT_THAT(Asked(repository), ElementsAreArray(graph.asked)) << graph.name;
  }
}

// test_targetfile_search.
TEST(TufDelegationsTest, FindTargetsByPatternsThatStayWithinAFolder) {
  const struct {
    const char* path;
    bool found;
    std::vector<std::string> asked;
  } kCases[] = {
      {"targetfile", true, {}},
      {"README.md", true, {"A"}},
      {"releases/x/x_v1", true, {"B", "C"}},
      {"releases/y/y_v1.zip", true, {"B", "D"}},
      {"releases/z/z_v1.zip", false, {"B"}},
      {"releases/README.md", false, {}},
      {"foo-1.tgz", true, {"A"}},
      {"foo-alpha.tgz", false, {}},
      {"README.MD", false, {}},
  };
  for (const auto& test : kCases) {
    TestRepository repository;
    const std::vector<Edge> edges = {{"targets", "A", {"*.doc", "*.md", "foo-?.tgz"}},
                                     {"targets", "B", {"releases/*/*"}},
                                     {"B", "C", {"releases/x/*"}},
                                     {"B", "D", {"releases/y/*.zip"}}};
    Build(edges, &repository);
    for (const char* path : {"README.md", "releases/README.md", "foo-1.tgz", "foo-alpha.tgz"})
      repository.AddTarget("A", path, path);
    repository.AddTarget(kTargets, "targetfile", "targetfile");
    repository.AddTarget("C", "releases/x/x_v1", "releases/x/x_v1");
    repository.AddTarget("D", "releases/y/y_v1.zip", "releases/y/y_v1.zip");
    repository.AddTarget("D", "releases/z/z_v1.zip", "releases/z/z_v1.zip");
    for (const char* role : {"targets", "A", "B", "C", "D"}) repository.signed_part(role)["version"] = 0;
    repository.signed_part(kSnapshot)["version"] = 1;
    repository.Publish({"A", "B", "C", "D", kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    const auto bytes = client.Get(test.path);
    EXPECT_EQ(bytes.ok(), test.found) << test.path << bytes.status();
    if (bytes.ok()) {
      EXPECT_EQ(*bytes, test.path);
    }
    EXPECT_THAT(Asked(repository), ElementsAreArray(test.asked)) << test.path;
  }
}

TEST(TufDelegationsTest, ByHashPrefixAndBySuccinctRoles) {
  // sha256("a.txt") begins with 18b7cb09; python-tuf's SuccinctRoles gives bin-18 for 8 bits.
  TestRepository repository;
  repository.Delegate(kTargets, "low");
  repository.Delegate(kTargets, "bin-18");
  nlohmann::json& roles = repository.signed_part(kTargets)["delegations"]["roles"];
  roles[0].erase("paths");
  roles[0]["path_hash_prefixes"] = {"0", "18B7"};
  repository.AddTarget("low", "a.txt", "by prefix");
  repository.AddTarget("bin-18", "a.txt", "by bin");
  repository.Publish({"low", "bin-18", kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  auto bytes = client.Get("a.txt");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, "by prefix");

  nlohmann::json succinct = {
      {"keyids", roles[1]["keyids"]}, {"threshold", 1}, {"bit_length", 8}, {"name_prefix", "bin"}};
  nlohmann::json& delegations = repository.signed_part(kTargets)["delegations"];
  delegations.erase("roles");
  delegations["succinct_roles"] = succinct;
  repository.PublishAll(kTargets);
  bytes = client.Get("a.txt");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, "by bin");
}

// A role that satisfied one delegator says nothing about another's keys.
TEST(TufDelegationsTest, ARoleInMemoryIsVerifiedAgainForItsOtherDelegator) {
  TestRepository repository;
  repository.Delegate(kTargets, "parent-a", {"team-a/*"});
  repository.Delegate(kTargets, "parent-b", {"team-b/*"});
  repository.Delegate("parent-a", "release", {"team-a/*"});
  repository.Delegate("parent-b", "release", {"team-b/*"});
  repository.signers("release").pop_back();  // parent-b's key does not sign
  repository.AddTarget("release", "team-a/x", "trusted");
  repository.AddTarget("release", "team-b/x", "malicious");
  repository.Publish({"release", "parent-a", "parent-b", kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  Updater updater(repository, client.store, TestNow());
  EXPECT_TRUE(updater.Find("team-a/x").ok());
  const auto other = updater.Find("team-b/x");
  EXPECT_EQ(FaultOf(other.status()), Fault::kBadSignature) << other.status();
  EXPECT_EQ(RoleOf(other.status()), "release");
  // Nor does its file on disk help it.
  EXPECT_EQ(FaultOf(client.Get("team-b/x").status()), Fault::kBadSignature);
}

// Its keys were replaced, and what they signed lies on the disk, in the version that is still listed.
TEST(TufDelegationsTest, ARoleOnDiskIsVerifiedAgainWithTheKeysThatItsDelegatorNamesNow) {
  TestRepository repository;
  repository.Delegate(kTargets, "delegated");
  repository.AddTarget("delegated", "a", "1");
  repository.Publish({"delegated", kTargets, kSnapshot, kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Get("a").ok());
  nlohmann::json& delegations = repository.signed_part(kTargets)["delegations"];
  delegations["keys"]["key-50"] = repository.KeyJson(50);
  delegations["roles"][0]["keyids"] = {"key-50"};
  repository.PublishAll(kTargets);
  const auto stolen = client.Get("a");
  EXPECT_EQ(FaultOf(stolen.status()), Fault::kBadSignature) << stolen.status();
  EXPECT_EQ(RoleOf(stolen.status()), "delegated");
  repository.signers("delegated") = {50};
  repository.PublishAll("delegated");
  EXPECT_TRUE(client.Get("a").ok());
}

TEST(TufDelegationsTest, ARoleThatTheSnapshotDoesNotListIsNotFetched) {
  TestRepository repository;
  repository.Delegate(kTargets, "delegated");
  repository.Publish({"delegated", kTargets});
  repository.signed_part(kSnapshot)["meta"].erase("delegated.json");
  repository.Publish({kSnapshot, kTimestamp});
  TestClient client(repository);
  ASSERT_TRUE(client.Refresh().ok());
  repository.requests.clear();
  const auto found = client.Get("foo");
  EXPECT_EQ(RoleOf(found.status()), "delegated");
  EXPECT_THAT(repository.requests, ElementsAre("2.root.json", "timestamp.json"));
}

TEST(TufDelegationsTest, ExpiryHashAndLengthCountForDelegatedRolesToo) {
  const struct {
    const char* what;
    Fault fault;
  } kCases[] = {
      {"expiry", Fault::kExpired}, {"hash", Fault::kDigestMismatch}, {"length", Fault::kDigestMismatch}};
  for (const auto& test : kCases) {
    TestRepository repository;
    repository.list_hashes = true;
    repository.Delegate(kTargets, "delegated");
    repository.AddTarget("delegated", "a", "1");
    if (test.what == std::string("expiry"))
      repository.signed_part("delegated")["expires"] = TimeText(TestNow());
    repository.Publish({"delegated", kTargets});
    nlohmann::json& info = repository.signed_part(kSnapshot)["meta"]["delegated.json"];
    if (test.what == std::string("hash")) info["hashes"]["sha256"] = std::string(64, '0');
    if (test.what == std::string("length")) info["length"] = info["length"].get<int>() + 1;
    repository.Publish({kSnapshot, kTimestamp});
    TestClient client(repository);
    const auto bytes = client.Get("a");
    EXPECT_EQ(FaultOf(bytes.status()), test.fault) << test.what << bytes.status();
    EXPECT_EQ(client.store.Version("delegated"), 0) << test.what;
  }
}

// More roles than are asked, in one row; "a" is in the last.
void DelegateToForty(TestRepository* repository) {
  std::vector<std::string> roles;
  for (int i = 0; i < 40; ++i) {
    roles.push_back(absl::StrCat("role-", i));
    repository->Delegate(kTargets, roles.back());
  }
  repository->AddTarget("role-39", "a", "1");
  roles.insert(roles.end(), {kTargets, kSnapshot, kTimestamp});
  repository->Publish(roles);
}

TEST(TufDelegationsTest, NoMoreThanALimitOfRolesIsAsked) {
  TestRepository repository;
  DelegateToForty(&repository);
  TestClient client(repository);
  EXPECT_EQ(FaultOf(client.Get("a").status()), Fault::kLimitExceeded);
}

// ---------------------------------------------------------------- all that is listed, at once

// What Select gives of everything: its paths, and the fault if it gives nothing.
std::string Selected(TestRepository& repository, TestClient& client) {
  Updater updater(repository, client.store, TestNow());
  const auto found = updater.Select([](const TargetFile&) { return true; });
  if (!found.ok()) return absl::StrCat("fault in ", RoleOf(found.status()).value_or("nothing"));
  std::vector<std::string> paths;
  for (const TargetFile& target : *found)
    paths.push_back(absl::StrCat(target.path, ":", target.info.length.value_or(-1)));
  return absl::StrJoin(paths, " ");
}

TEST(TufSelectTest, GivesOfEachRoleOnlyWhatItMaySpeakOf) {
  TestRepository repository;
  Build({{"targets", "A", {"content/*/*"}, true},
         {"targets", "B", {"sensor/*/*"}, true},
         {"targets", "C", {"content/*/*", "sensor/*/*"}, true}},
        &repository);
  repository.AddTarget("A", "content/x/1", "1");
  repository.AddTarget("B", "sensor/x/1", "22");
  repository.AddTarget("B", "content/x/2", "may not");
  repository.AddTarget("A", "elsewhere", "nobody may");
  // After roles that end the search for these.
  repository.AddTarget("C", "content/x/1", "other bytes");
  repository.AddTarget("C", "content/x/3", "too late");
  repository.Publish({"A", "B", "C", kSnapshot, kTimestamp});
  TestClient client(repository);
  EXPECT_EQ(Selected(repository, client), "content/x/1:1 sensor/x/1:2");
}

TEST(TufSelectTest, ACircleEnds) {
  TestRepository repository;
  Build({{"targets", "A"}, {"A", "B"}, {"B", "A"}, {"B", "B"}}, &repository);
  repository.AddTarget("B", "b", "1");
  repository.Publish({"B", kSnapshot, kTimestamp});
  TestClient client(repository);
  EXPECT_EQ(Selected(repository, client), "b:1");
  EXPECT_THAT(Asked(repository), ElementsAre("A"));  // and 2.B, once
}

TEST(TufSelectTest, ARoleWithoutItsThresholdAnExpiredOneAndOneThatGoesBackGiveNothing) {
  for (const char* what : {"signature", "expiry", "version"}) {
    for (const bool other : {false, true}) {
      TestRepository repository;
      Build({{"targets", "A", {"a/*"}}, {"targets", "B", {"b/*"}}}, &repository);
      repository.AddTarget("A", "a/1", "1");
      if (other) repository.AddTarget("B", "b/1", "22");
      repository.Publish({"A", "B", kSnapshot, kTimestamp});
      TestClient client(repository);
      ASSERT_EQ(Selected(repository, client), other ? "a/1:1 b/1:2" : "a/1:1");
      repository.AddTarget("A", "a/2", "333");
      if (what == std::string("signature")) repository.signers("A") = {77};
      if (what == std::string("expiry")) repository.signed_part("A")["expires"] = TimeText(TestNow());
      repository.Publish({"A", kSnapshot, kTimestamp});
      if (what == std::string("version")) repository.metadata["3.A.json"] = repository.metadata["1.A.json"];
      EXPECT_EQ(Selected(repository, client), other ? "b/1:2" : "fault in A") << what;
    }
  }
}

TEST(TufSelectTest, ReadsNoMoreThanALimitOfRoles) {
  TestRepository repository;
  DelegateToForty(&repository);
  TestClient client(repository);
  EXPECT_EQ(Selected(repository, client), "");
  EXPECT_LE(repository.requests.size(), 40u);
}

// Names become parts of URLs and of files: neither may lead anywhere else.
TEST(TufQuotingTest, UnusualRoleNamesAreQuoted) {
  const std::pair<const char*, const char*> kNames[] = {{"?", "%3F"},
                                                        {"#", "%23"},
                                                        {"/delegatedrole", "%2Fdelegatedrole"},
                                                        {"../delegatedrole", "..%2Fdelegatedrole"},
                                                        {"..", ".."},
                                                        {"a b%", "a%20b%25"},
                                                        {"\xc3\xa9", "%C3%A9"}};
  for (const auto& [name, quoted] : kNames) {
    TestRepository repository;
    repository.Delegate(kTargets, name);
    repository.Publish({name, kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    EXPECT_EQ(FaultOf(client.Get("nonexistent").status()), Fault::kMissing);
    EXPECT_EQ(repository.requests.back(), absl::StrCat("1.", quoted, ".json"));
    EXPECT_EQ(client.store.Version(name), 1);
    EXPECT_EQ(Quote(name), quoted);
  }
}

TEST(TufQuotingTest, NoDelegatedRoleMayBearTheNameOfATopLevelOne) {
  for (const char* name : {"root", "timestamp", "snapshot", "targets", ""}) {
    TestRepository repository;
    repository.Delegate(kTargets, "x");
    repository.signed_part(kTargets)["delegations"]["roles"][0]["name"] = name;
    repository.Publish({"x", kTargets, kSnapshot, kTimestamp});
    TestClient client(repository);
    EXPECT_EQ(FaultOf(client.Get("a").status()), Fault::kMalformed) << name;
  }
}

}  // namespace
}  // namespace ringfence::tuf
