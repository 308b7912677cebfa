// The server signs the timestamp again with its own key, and nothing else.
#include "gmock/gmock.h"
#include "tests/gate/repository_fixture.h"

namespace ringfence::gate {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kLifetime = absl::Hours(72);

class TimestampTest : public RepositoryTest {
 protected:
  absl::StatusOr<std::optional<std::string>> Sign(const RepositoryFiles& files,
                                                  const char* key = "timestamp") {
    return SignTimestamp(ThrowawayKey(key), files, stored, now, kLifetime);
  }
  absl::StatusOr<VerifiedRepository> VerifyWith(const RepositoryFiles& files, const std::string& timestamp) {
    return VerifyRepository(repository.trust(), files, timestamp, stored, now);
  }
  RoleState Timestamp() {
    const auto roles = DescribeRepository(repository.trust(), stored);
    for (const RoleState& role : *roles)
      if (role.role == "timestamp") return role;
    return {};
  }
};

TEST_F(TimestampTest, WithNothingPublishedThereIsNothingToSign) {
  EXPECT_EQ(*Sign({}), std::nullopt);
  EXPECT_TRUE(DescribeRepository(repository.trust(), stored)->empty());
}

TEST_F(TimestampTest, AFreshOneIsOneVersionAboveAndGoodForItsLifetime) {
  stored.Store(*Verify(repository.Publish()));
  EXPECT_EQ(Timestamp().version, 1);
  now += absl::Hours(7);
  const std::string fresh = **Sign({});
  const auto verified = VerifyWith({}, fresh);
  ASSERT_TRUE(verified.ok()) << verified.status();
  ASSERT_EQ(verified->files.size(), 1u);
  stored.Store(*verified);
  EXPECT_EQ(Timestamp(), (RoleState{"timestamp", 2, now + kLifetime}));
}

TEST_F(TimestampTest, AKeyThatIsNotTheRolesSignsNothingThatIsKept) {
  stored.Store(*Verify(repository.Publish()));
  const auto verified = VerifyWith({}, **Sign({}, "somebody"));
  EXPECT_EQ(trust::RefusalFrom(verified.status())->type, trust::RefusalType::kBadSignature);
}

TEST_F(TimestampTest, APublicationWithAnOlderTimestampGoesOnFromTheServersOwn) {
  stored.Store(*Verify(repository.Publish()));
  for (int i = 0; i < 3; ++i) stored.Store(*VerifyWith({}, **Sign({})));
  EXPECT_EQ(Timestamp().version, 4);
  ListSound("a.fct");
  const RepositoryFiles files = repository.Publish();  // its timestamp is version 2
  EXPECT_EQ(Answer(files), "stale_version metadata timestamp");
  const auto verified = VerifyWith(files, **Sign(files));
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_TRUE(verified->release.has_value());
  stored.Store(*verified);
  EXPECT_EQ(Timestamp().version, 5);
}

TEST_F(TimestampTest, AnOlderSnapshotIsNotMadeCurrentByIt) {
  const RepositoryFiles old = repository.Publish();
  stored.Store(*Verify(repository.Publish()));
  const auto verified = VerifyWith(old, **Sign(old));
  ASSERT_TRUE(verified.ok()) << verified.status();
  for (const VerifiedFile& file : verified->files)
    EXPECT_THAT(file.name, testing::Not(HasSubstr("snapshot")));
}

TEST_F(TimestampTest, EveryRoleIsDescribed) {
  stored.Store(*Verify(repository.Publish()));
  std::vector<std::string> roles;
  const auto described = DescribeRepository(repository.trust(), stored);
  for (const RoleState& role : *described) roles.push_back(role.role);
  EXPECT_THAT(roles, testing::ElementsAre("root", "timestamp", "snapshot", "targets", "content-release",
                                          "qualification", "sensor-release"));
}

}  // namespace
}  // namespace ringfence::gate
