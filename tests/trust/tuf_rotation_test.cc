// Keys that come and go, and who counts how often.
#include <gmock/gmock.h>

#include <cctype>

#include "absl/strings/str_cat.h"
#include "ringfence/tuf/fault.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::tuf {
namespace {

struct Version {
  std::vector<int> keys;
  int threshold;
  std::vector<int> signers;
};

struct Rotation {
  const char* name;
  std::vector<Version> versions;
  bool accepted = true;  // the last one
};

// From theupdateframework/tuf-conformance, test_root_rotation.
const Rotation kRootRotations[] = {
    {"one key becomes another", {{{1}, 1, {1}}, {{2}, 1, {2, 1}}, {{2}, 1, {2}}}},
    {"strangers sign as well", {{{1}, 1, {3, 1, 4}}, {{2}, 1, {3, 2, 1, 4}}, {{2}, 1, {3, 2, 4}}}},
    {"any three of five",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}},
      {{0, 1, 2, 3, 4}, 3, {0, 4, 1}},
      {{0, 1, 2, 3, 4}, 3, {0, 1, 3}},
      {{0, 1, 2, 3, 4}, 3, {0, 1, 3}}}},
    {"one of five is replaced", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 1}}}},
    {"one of five is replaced in two steps",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 2, 4, 5}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 5}}}},
    {"all five are replaced",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}},
      {{5, 6, 7, 8, 9}, 3, {0, 2, 4, 5, 6, 7}},
      {{5, 6, 7, 8, 9}, 3, {5, 6, 7}}}},
    {"the threshold rises", {{{1, 2, 3}, 1, {1}}, {{1, 2, 3}, 2, {1, 2}}}},
    {"the threshold falls", {{{1, 2, 3}, 2, {1, 2}}, {{1, 2, 3}, 1, {1, 2}}, {{1, 2, 3}, 1, {1}}}},
    {"keys and threshold rise", {{{1}, 1, {1}}, {{1, 2}, 2, {1, 2}}}},
    {"the old key did not sign", {{{1}, 1, {1}}, {{2}, 1, {2, 3, 4}}}, false},
    {"the new key did not sign", {{{1}, 1, {1}}, {{2}, 1, {1, 3, 4}}}, false},
    {"too few of the new keys", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 2, 4}}}, false},
    {"too few of the old keys", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 5}}}, false},
    {"the new threshold is not met", {{{1, 2, 3}, 1, {1}}, {{1, 2, 3}, 2, {2}}}, false},
    {"the old threshold is not met", {{{1, 2, 3}, 2, {1, 2}}, {{1, 2, 3}, 1, {1}}}, false},
};

TEST(TufRotationTest, OfRootNeedsTheOldKeysAndTheNew) {
  for (const Rotation& rotation : kRootRotations) {
    TestRepository repository;
    repository.signed_part(kRoot)["version"] = 0;
    std::string expected, last;
    for (const Version& version : rotation.versions) {
      expected = last;
      repository.SetKeys(kRoot, version.keys, version.threshold, version.signers);
      repository.Publish({kRoot});
      last = repository.metadata.at(repository.signed_part(kRoot)["version"].dump() + ".root.json");
    }
    TestClient client(repository);
    const absl::Status status = client.Refresh();
    EXPECT_EQ(status.ok(), rotation.accepted) << rotation.name << " " << status;
    if (!rotation.accepted) {
      EXPECT_EQ(FaultOf(status), Fault::kBadSignature) << rotation.name;
    }
    EXPECT_EQ(client.store.files[kRoot], rotation.accepted ? last : expected) << rotation.name;
  }
}

// test_non_root_rotations.
const Rotation kOtherRotations[] = {
    {"one key becomes another", {{{2}, 1, {2}}}},
    {"strangers sign as well", {{{1}, 1, {3, 1, 4}}}},
    {"the new key did not sign", {{{2}, 1, {1, 3, 4}}}, false},
    {"one of three is a stranger", {{{0, 1, 3, 4, 5}, 3, {0, 2, 4}}}, false},
    {"two of three", {{{0, 1, 3, 4, 5}, 3, {0, 4}}}, false},
    {"0, 2 and 4 of five", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}}},
    {"0, 4 and 1 of five", {{{0, 1, 2, 3, 4}, 3, {0, 4, 1}}}},
    {"0, 1 and 3 of five", {{{0, 1, 2, 3, 4}, 3, {0, 1, 3}}}},
    {"1, 2 and 3 of five", {{{0, 1, 2, 3, 4}, 3, {1, 2, 3}}}},
    {"2, 3 and 4 of five", {{{0, 1, 2, 3, 4}, 3, {2, 3, 4}}}},
};

TEST(TufRotationTest, OfAnotherRoleNeedsTheKeysThatRootNames) {
  for (const Rotation& rotation : kOtherRotations) {
    for (const char* role : {kTimestamp, kSnapshot, kTargets}) {
      TestRepository repository;
      TestClient client(repository);
      ASSERT_TRUE(client.Refresh().ok());
      const Version& version = rotation.versions[0];
      repository.SetKeys(role, version.keys, version.threshold, version.signers);
      repository.Publish({kRoot, kTargets, kSnapshot, kTimestamp});
      const absl::Status status = client.Refresh();
      EXPECT_EQ(status.ok(), rotation.accepted) << role << ": " << rotation.name << " " << status;
      EXPECT_EQ(client.store.Version(role), rotation.accepted ? 2 : 1) << role << ": " << rotation.name;
      if (!rotation.accepted) {
        EXPECT_EQ(RoleOf(status), role);
      }
    }
  }
}

TEST(TufThresholdTest, OneKeyUnderTwoIdsCountsOnce) {
  TestRepository repository;
  repository.SetKeys(kSnapshot, {1, 2}, 2, {1, 2});
  nlohmann::json& root = repository.signed_part(kRoot);
  root["keys"]["key-2"] = root["keys"]["key-1"];
  repository.Publish({kRoot, kSnapshot, kTimestamp});
  // Both ids bear the same valid signature.
  nlohmann::json document = nlohmann::json::parse(repository.metadata["2.snapshot.json"]);
  document["signatures"][1]["sig"] = document["signatures"][0]["sig"];
  repository.metadata["2.snapshot.json"] = document.dump();
  TestClient client(repository);
  const absl::Status status = client.Refresh();
  EXPECT_EQ(FaultOf(status), Fault::kBadSignature) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("found 1 of the role's keys under it, wanted 2"));
}

TEST(TufThresholdTest, OneKeySpelledInUpperCaseCountsOnce) {
  TestRepository repository;
  repository.SetKeys(kSnapshot, {1, 2}, 2, {1, 2});
  nlohmann::json& root = repository.signed_part(kRoot);
  std::string hex = root["keys"]["key-1"]["keyval"]["public"];
  for (char& digit : hex) digit = static_cast<char>(std::toupper(digit));
  root["keys"]["key-2"]["keyval"]["public"] = hex;
  repository.Publish({kRoot, kSnapshot, kTimestamp});
  nlohmann::json document = nlohmann::json::parse(repository.metadata["2.snapshot.json"]);
  document["signatures"][1]["sig"] = document["signatures"][0]["sig"];
  repository.metadata["2.snapshot.json"] = document.dump();
  TestClient client(repository);
  EXPECT_EQ(FaultOf(client.Refresh()), Fault::kBadSignature);
}

TEST(TufThresholdTest, AKeyIdTwiceAmongSignaturesIsAnErrorEvenIfTheThresholdIsMet) {
  TestRepository repository;
  nlohmann::json document = nlohmann::json::parse(repository.metadata["1.snapshot.json"]);
  document["signatures"].push_back(document["signatures"][0]);
  repository.metadata["1.snapshot.json"] = document.dump();
  TestClient client(repository);
  EXPECT_EQ(FaultOf(client.Refresh()), Fault::kMalformed);
  EXPECT_EQ(client.store.Version(kSnapshot), 0);
}

TEST(TufThresholdTest, AKeyIdTwiceInARoleIsAnError) {
  TestRepository repository;
  repository.SetKeys(kSnapshot, {1, 1, 1}, 2, {1});
  repository.Publish({kRoot, kSnapshot, kTimestamp});
  TestClient client(repository);
  EXPECT_EQ(FaultOf(client.Refresh()), Fault::kMalformed);
}

TEST(TufThresholdTest, MoreThanThereAreKeysIsNeverMet) {
  TestRepository repository;
  repository.SetKeys(kSnapshot, {1, 2, 3, 4, 5}, 6, {1, 2, 3, 4, 5});
  repository.Publish({kRoot, kSnapshot, kTimestamp});
  TestClient client(repository);
  EXPECT_EQ(FaultOf(client.Refresh()), Fault::kBadSignature);
  EXPECT_EQ(client.store.Version(kRoot), 2);
}

TEST(TufThresholdTest, InvalidAndEmptySignaturesBesideEnoughValidOnesDoNoHarm) {
  for (const char* bad : {"", "b61589", "not hex"}) {
    TestRepository repository;
    repository.SetKeys(kTimestamp, {1, 2}, 1, {1, 2});
    repository.Publish({kRoot, kTimestamp});
    nlohmann::json document = nlohmann::json::parse(repository.metadata["timestamp.json"]);
    document["signatures"][0]["sig"] = bad;
    repository.metadata["timestamp.json"] = document.dump();
    TestClient client(repository);
    EXPECT_TRUE(client.Refresh().ok()) << bad;
  }
}

TEST(TufThresholdTest, KeysOfUnknownKindsDoNotCountAndDoNoHarm) {
  TestRepository repository;
  repository.SetKeys(kSnapshot, {1, 2}, 1, {1});
  repository.signed_part(kRoot)["keys"]["key-2"] = {
      {"keytype", "lattice"}, {"scheme", "lattice-9"}, {"keyval", {{"parts", {1, 2, 3}}}}};
  repository.Publish({kRoot, kSnapshot, kTimestamp});
  TestClient client(repository);
  EXPECT_TRUE(client.Refresh().ok());
}

}  // namespace
}  // namespace ringfence::tuf
