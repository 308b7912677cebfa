// What a pipeline types, against a real server that follows a repository of throwaway keys: build, test,
// sign, publish; and the three files that nobody refused in July 2024.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "tests/integration/server_process.h"
#include "tests/integration/vendor.h"

namespace ringfence::testing_support {
namespace {

using testing::HasSubstr;

class PublishGateServerTest : public testing::Test {
 protected:
  PublishGateServerTest() {
    std::vector<std::string> flags = {"--internal-tenant", "none", "--demo", "--unsafe-fast-database"};
    for (std::string& flag : vendor_.ServerFlags()) flags.push_back(std::move(flag));
    server_.emplace(std::move(flags));
  }
  Printed Ringfence(const std::string& arguments) const {
    return vendor_.Ringfence(server_->address(), arguments);
  }

  Vendor vendor_;
  std::optional<ServerProcess> server_;
};

TEST_F(PublishGateServerTest, OnlyTheFileThatWasTestedIsPublished) {
  ASSERT_TRUE(server_->Start());
  EXPECT_THAT(Ringfence("status").text, HasSubstr("throwaway keys"));
  vendor_.Copy("repo", "twenty-one");
  vendor_.Release("repo", 1);

  // All bytes zero, in the place of what was signed.
  vendor_.Copy("repo", "zeros");
  vendor_.Write(vendor_.ArtifactOf("zeros", 1), std::string(40'960, '\0'));
  Printed answer = Ringfence("release publish zeros");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("ringfence: malformed: artifact bytes: found 40960 zeros"));

  // 21 inputs for a sensor that supplies 20.
  vendor_.Release("twenty-one", 1, 21);
  answer = Ringfence("release publish twenty-one");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text,
              HasSubstr("schema_mismatch: release requires.schema.demonstration: found 21 fields, wanted "
                        "the 20"));

  // Tested, and then packed once more.
  vendor_.Copy("repo", "repacked");
  vendor_.Build(vendor_.ArtifactOf("repacked", 1), 1, Vendor::kInputs, "other");
  answer = Ringfence("release publish repacked");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("evidence_mismatch: artifact bytes"));

  answer = Ringfence("release publish repo");
  ASSERT_EQ(answer.code, 0) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("published ipc/1 v1"));
  EXPECT_THAT(answer.text, HasSubstr("signed, proven)"));
  EXPECT_THAT(Ringfence("release publish repo").text, HasSubstr("no release in it is new"));

  // What is said of it is durable; so is when it expires.
  server_->Kill();
  ASSERT_TRUE(server_->Start());
  EXPECT_THAT(Ringfence("release show ipc/1").text, HasSubstr("content/ipc/v1-ipc.fct"));
  EXPECT_THAT(Ringfence("release show ipc/1").text, HasSubstr("platform=linux/x86_64/debian-12"));
  EXPECT_THAT(Ringfence("release list").text, HasSubstr("signed"));
  EXPECT_THAT(server_->Get("/metrics").body, HasSubstr("ringfence_tuf_expiry_seconds{role=\"timestamp\"}"));
  const std::string status = Ringfence("status").text;
  for (const char* role : {"root", "timestamp", "snapshot", "targets", "content-release", "qualification"})
    EXPECT_THAT(status, HasSubstr(role));

  // And the recall, by the same people.
  vendor_.Keys("revoke-release repo --path content/ipc/v1-ipc.fct");
  vendor_.SignAndPublish("repo");
  EXPECT_THAT(Ringfence("release publish repo").text, HasSubstr("recalled ipc/1 v1"));
  EXPECT_THAT(Ringfence("release list").text, HasSubstr("recalled"));
}

TEST_F(PublishGateServerTest, AServerWithAFaultInItsTrustedRootDoesNotStart) {
  std::filesystem::permissions(vendor_.PathOf("repo/metadata/1.root.json"),
                               std::filesystem::perms::owner_all);
  vendor_.Write("repo/metadata/1.root.json", "{}");
  EXPECT_EQ(server_->RunToEnd(), 1);
  EXPECT_THAT(server_->log(), HasSubstr("1.root.json: malformed"));
}

}  // namespace
}  // namespace ringfence::testing_support
