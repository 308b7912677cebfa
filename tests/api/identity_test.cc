// Credentials and the operators' file.
#include "server/api/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"

namespace ringfence::api {
namespace {

using testing::HasSubstr;

constexpr char kUuid[] = "0a1b2c3d-0000-4000-8000-000000000001";

std::string Entry(const char* fields, const char* token) {
  return absl::StrCat("operators:\n  - {", fields, ", token_sha256: ", Sha256(token).ToString(), "}\n");
}

TEST(AgentCredentialTest, IsUuidDotSecretInLowerCaseHex) {
  const absl::StatusOr<AgentCredential> credential =
      ParseAgentCredential(absl::StrCat("Bearer ", kUuid, ".", std::string(64, 'a')));
  ASSERT_TRUE(credential.ok());
  EXPECT_EQ(credential->agent.ToString(), kUuid);
  EXPECT_EQ(credential->secret, std::string(32, '\xaa'));
}

TEST(AgentCredentialTest, IsNothingElse) {
  const std::string secret(64, 'a');
  const std::string upper(64, 'A');
  for (const std::string& text :
       {std::string(), std::string("Bearer "), absl::StrCat("bearer ", kUuid, ".", secret),
        absl::StrCat("Bearer ", kUuid, ":", secret), absl::StrCat("Bearer ", kUuid, ".", secret, "a"),
        absl::StrCat("Bearer ", kUuid, ".", upper), absl::StrCat("Bearer ", kUuid, ".", std::string(64, 'g')),
        absl::StrCat("Bearer ", std::string(36, '0'), ".", secret)}) {
    const absl::Status status = ParseAgentCredential(text).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << text;
    EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("aaaa")));  // never repeats a secret
  }
}

TEST(OperatorsTest, FindsThePersonOfAToken) {
  const absl::StatusOr<Operators> operators =
      Operators::ParseText(Entry("person: ana, role: tenant-admin, tenant: acme", "t1"));
  ASSERT_TRUE(operators.ok()) << operators.status();
  const absl::StatusOr<app::Actor> actor = operators->Authenticate("Bearer t1");
  ASSERT_TRUE(actor.ok());
  EXPECT_EQ(actor->person, "ana");
  EXPECT_EQ(actor->role, app::Role::kTenantAdmin);
  EXPECT_EQ(actor->tenant, "acme");
  EXPECT_TRUE(absl::IsUnauthenticated(operators->Authenticate("Bearer t2").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(operators->Authenticate("Basic t1").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(Operators().Authenticate("Bearer ").status()));
}

TEST(OperatorsTest, MayBeWrittenAsJson) {
  EXPECT_TRUE(Operators::ParseText(
                  absl::StrCat(R"({"operators": [{"person": "sam", "role": "sre", "token_sha256": ")",
                               Sha256("x").ToString(), "\"}]}"))
                  .ok());
}

struct BadEntry {
  const char* fields;
  const char* path;
};

TEST(OperatorsTest, NamesEveryFault) {
  for (const BadEntry& bad : {BadEntry{"person: ana, role: admin, tenant: acme", "operators[0].role"},
                              BadEntry{"person: ana, role: tenant-admin", "operators[0].tenant"},
                              BadEntry{"person: sam, role: sre, tenant: acme", "operators[0].tenant"},
                              BadEntry{"role: sre", "operators[0].person"},
                              BadEntry{"person: sam, role: sre, colour: red", "colour"}}) {
    const absl::Status status = Operators::ParseText(Entry(bad.fields, "t")).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad.fields;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.path));
  }
}

TEST(OperatorsTest, RefusesATokenOfTwoPeople) {
  const std::string both =
      Entry("person: a, role: sre", "t") +
      absl::StrCat("  - {person: b, role: sre, token_sha256: ", Sha256("t").ToString(), "}\n");
  EXPECT_TRUE(absl::IsInvalidArgument(Operators::ParseText(both).status()));
}

TEST(OperatorsTest, RefusesWhatIsNoListOfOperators) {
  for (const char* text : {"", "[]", "operators: 3", "operators: []\nusers: []", "{", "operators: [3]"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Operators::ParseText(text).status())) << text;
  }
}

TEST(OperatorsTest, RefusesAFileThatEverybodyCanRead) {
  const std::string path = absl::StrCat(testing::TempDir(), "/ringfence-operators-", ::getpid(), ".yaml");
  std::ofstream(path) << Entry("person: sam, role: sre", "t");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Operators::Load(path).status()));
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_TRUE(Operators::Load(path).ok());
  std::remove(path.c_str());
  EXPECT_TRUE(absl::IsNotFound(Operators::Load(path).status()));
}

}  // namespace
}  // namespace ringfence::api
