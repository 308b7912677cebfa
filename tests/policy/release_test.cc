#include "ringfence/policy/release.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/policy/builders.h"

namespace ringfence::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> PathsOf(const Release& release) {
  std::vector<std::string> paths;
  for (const Fault& fault : Validate(release)) paths.push_back(fault.path);
  return paths;
}

TEST(ReleaseTest, ALegalOneHasNoFault) {
  EXPECT_THAT(PathsOf(MakeRelease()), IsEmpty());
}

TEST(ReleaseTest, EachFaultIsNamedByItsField) {
  const auto paths = [](const std::function<void(Release&)>& spoil) {
    Release release = MakeRelease();
    spoil(release);
    return PathsOf(release);
  };
  EXPECT_THAT(paths([](Release& r) { r.channel = "Content"; }), ElementsAre("channel"));
  EXPECT_THAT(paths([](Release& r) { r.kind = static_cast<ChannelKind>(0); }), ElementsAre("kind"));
  EXPECT_THAT(paths([](Release& r) { r.serial = 0; }), ElementsAre("serial"));
  EXPECT_THAT(paths([](Release& r) { r.serial = uint64_t{1} << 63; }), ElementsAre("serial"));
  EXPECT_THAT(paths([](Release& r) { r.version = ""; }), ElementsAre("version"));
  EXPECT_THAT(paths([](Release& r) { r.version = std::string(129, '7'); }), ElementsAre("version"));
  EXPECT_THAT(paths([](Release& r) { r.version = "7.\xff"; }), ElementsAre("version"));
  EXPECT_THAT(paths([](Release& r) { r.digest = Digest{}; }), ElementsAre("digest"));
  EXPECT_THAT(paths([](Release& r) { r.size_bytes = 0; }), ElementsAre("size_bytes"));
  EXPECT_THAT(paths([](Release& r) { r.size_bytes = kMaxArtifactBytes + 1; }), ElementsAre("size_bytes"));
  EXPECT_THAT(paths([](Release& r) { r.targets = Having("", {"x"}); }), ElementsAre("targets.all_of[0].key"));
  EXPECT_THAT(paths([](Release& r) { r.matrix.clear(); }), ElementsAre("matrix"));
  EXPECT_THAT(paths([](Release& r) { r.matrix.resize(257); }), ElementsAre("matrix"));
  EXPECT_THAT(paths([](Release& r) { r.matrix[1] = Having("os", {}); }),
              ElementsAre("matrix[1].all_of[0].any_of"));
}

TEST(ReleaseTest, SeveralFaultsComeAtOnce) {
  Release release;
  EXPECT_THAT(PathsOf(release),
              ElementsAre("channel", "serial", "version", "digest", "size_bytes", "matrix"));
}

TEST(ReleaseTest, IsForTargetedHostsAndQualifiedOnOnePlatformOfTheMatrix) {
  const Release release = MakeRelease();
  const Labels win11 = MakeLabels({{"platform", "windows"}, {"os", "win11"}});
  const Labels server = MakeLabels({{"platform", "windows"}, {"os", "server2016"}});
  const Labels linux = MakeLabels({{"platform", "linux"}, {"os", "win11"}});
  EXPECT_TRUE(IsTargeted(release, win11));
  EXPECT_TRUE(IsQualified(release, win11));
  EXPECT_TRUE(IsTargeted(release, server));
  EXPECT_FALSE(IsQualified(release, server));
  EXPECT_FALSE(IsTargeted(release, linux));
}

// An empty matrix covers nobody, although an empty selector covers everybody.
TEST(ReleaseTest, WithoutAMatrixIsQualifiedNowhere) {
  Release release = MakeRelease();
  release.matrix.clear();
  EXPECT_FALSE(IsQualified(release, MakeLabels({{"os", "win11"}})));
}

// python3: int.from_bytes(sha256(digest + agent_id).digest()[:8], "big"), digest = sha256(b"ringfence
// release 7.16")
TEST(PlaceTest, IsThePublishedOne) {
  const Digest release =
      Digest::Parse("2742fa404d80dfe9c1cd5c8d0bafac80d1bff658adfed519b920a17d1d46c1d0").value();
  const Digest next =
      Digest::Parse("92450b9de13b3b81c8c1845a078f5de0bc95c09e8cf6613f88cf59e8a91bcfc8").value();
  const AgentId one = AgentId::Parse("00112233-4455-6677-8899-aabbccddeeff").value();
  const AgentId two = AgentId::Parse("ffffffff-ffff-ffff-ffff-ffffffffffff").value();
  EXPECT_EQ(release, Sha256("ringfence release 7.16"));
  EXPECT_EQ(PlaceOf(release, one), 0xa18a5357ca4cb72a);
  EXPECT_EQ(PlaceOf(release, two), 0x9d985b5aa2a2a441);
  EXPECT_EQ(PlaceOf(next, one), 0x73ef56fd00df682d);
}

TEST(PlaceTest, IsUniformEnoughThatEveryTenthOfTheOrderHoldsATenthOfTheHosts) {
  const Digest release = Sha256("any");
  std::vector<int> hosts_in_tenth(10);
  AgentId agent;
  for (int i = 0; i < 20'000; ++i) {
    agent.bytes[0] = static_cast<uint8_t>(i);
    agent.bytes[1] = static_cast<uint8_t>(i >> 8);
    ++hosts_in_tenth[PlaceOf(release, agent) / (UINT64_MAX / 10 + 1)];
  }
  for (const int hosts : hosts_in_tenth) EXPECT_NEAR(hosts, 2000, 250);
}

}  // namespace
}  // namespace ringfence::policy
