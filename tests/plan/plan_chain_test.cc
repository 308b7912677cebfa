#include "ringfence/plan/plan_chain.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/plan/signing.h"
#include "tests/policy/builders.h"

namespace ringfence::plan {
namespace {

using policy::MakePlan;
using policy::MakeRing;
using testing::HasSubstr;

policy::Plan ThePlan() {
  policy::Plan plan = MakePlan({MakeRing("canary"), MakeRing("rest", 1)});
  plan.rings[0].windows = {{{policy::Weekday::kSaturday}, 60, 300, "Europe/Berlin"}};
  plan.rings[1].approval = policy::Approval::kExplicit;
  plan.bucket_salt = "s";
  plan.rollback_depth = 2;
  return plan;
}

SignedPlan First(const std::string& letters = "a", int threshold = 1) {
  return Extend(nullptr, SealPlan(FirstOf(ThePlan(), KeysOf(letters, threshold)), letters)).value();
}

TEST(PlanChainTest, APlanComesBackAsItWasSigned) {
  PlanStatement statement = FirstOf(ThePlan(), KeysOf("ab", 2));
  statement.recovery = KeysOf("r");
  const std::string payload = PlanPayload(statement).value();
  EXPECT_EQ(ParsePlanPayload(payload).value(), statement);
  EXPECT_EQ(PlanPayload(ParsePlanPayload(payload).value()).value(), payload) << "one spelling";
}

TEST(PlanChainTest, TheFirstIsSignedByItsOwnKeys) {
  const PlanStatement first = FirstOf(ThePlan(), KeysOf("ab", 2));
  EXPECT_TRUE(Extend(nullptr, SealPlan(first, "ab")).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(nullptr, SealPlan(first, "a")).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(nullptr, SealPlan(first, "aa")).status()))
      << "a key counts once";
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(nullptr, SealPlan(first, "ax")).status()));
}

TEST(PlanChainTest, AChainBeginsWithPlanOne) {
  const SignedPlan first = First();
  EXPECT_TRUE(IsFork(Extend(nullptr, SealPlan(NextAfter(first), "a")).status()));
}

TEST(PlanChainTest, TheNextIsSignedByKeysOfTheOneBefore) {
  const SignedPlan first = First("ab", 2);
  PlanStatement next = NextAfter(first);
  next.plan.rings[0].soak = absl::Hours(9);
  const auto extended = Extend(&first, SealPlan(next, "ab"));
  ASSERT_TRUE(extended.ok()) << extended.status();
  EXPECT_EQ(extended->statement.plan.rings[0].soak, absl::Hours(9));
  EXPECT_FALSE(extended->recovered);
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&first, SealPlan(next, "a")).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&first, SealPlan(next, "xy")).status()));
}

TEST(PlanChainTest, NewKeysAreBroughtInByTheOldOnesAndProveThatTheyExist) {
  const SignedPlan first = First("a");
  PlanStatement next = NextAfter(first);
  next.keys = KeysOf("bc", 2);
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&first, SealPlan(next, "a")).status())) << "without the new";
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&first, SealPlan(next, "bc")).status())) << "without the old";
  const auto second = Extend(&first, SealPlan(next, "abc"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&*second, SealPlan(NextAfter(*second), "a")).status()))
      << "the old keys are out";
  EXPECT_TRUE(Extend(&*second, SealPlan(NextAfter(*second), "bc")).ok());
}

TEST(PlanChainTest, RecoveryKeysStandInForLostOnes) {
  PlanStatement statement = FirstOf(ThePlan(), KeysOf("a"));
  statement.recovery = KeysOf("rst", 2);
  const SignedPlan first = Extend(nullptr, SealPlan(statement, "a")).value();
  PlanStatement next = NextAfter(first);
  next.keys = KeysOf("n");
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&first, SealPlan(next, "rn")).status()));
  const auto recovered = Extend(&first, SealPlan(next, "rsn"));
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_TRUE(recovered->recovered);
  EXPECT_THAT(Authority(&*recovered), HasSubstr("recovery keys stood in"));
}

TEST(PlanChainTest, WhoeverTakesTheRecoveryKeysOutNeedsItsOwnToo) {
  PlanStatement statement = FirstOf(ThePlan(), KeysOf("a"));
  statement.recovery = KeysOf("r");
  const SignedPlan first = Extend(nullptr, SealPlan(statement, "a")).value();
  PlanStatement next = NextAfter(first);
  next.recovery = PlanKeys();
  EXPECT_TRUE(absl::IsPermissionDenied(Extend(&first, SealPlan(next, "r")).status()));
  EXPECT_TRUE(Extend(&first, SealPlan(next, "ra")).ok());
}

TEST(PlanChainTest, AGapAndAForkAreNamedAndChangeNothing) {
  const SignedPlan first = First();
  const SignedPlan second = Extend(&first, SealPlan(NextAfter(first), "a")).value();
  PlanStatement gap = NextAfter(second);
  ++gap.version;
  PlanStatement other_first = FirstOf(ThePlan(), KeysOf("a"));
  other_first.plan.rings[0].soak = absl::Hours(2);
  PlanStatement other_second = NextAfter(first);
  other_second.plan.rings[0].soak = absl::Hours(2);
  PlanStatement elsewhere = NextAfter(second);
  elsewhere.prev = first.sha256;
  for (const PlanStatement& statement : {gap, other_first, other_second, elsewhere}) {
    const absl::Status status = Extend(&second, SealPlan(statement, "a")).status();
    EXPECT_TRUE(IsFork(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("plan 2 (" + second.sha256.ToString()));
  }
  EXPECT_TRUE(absl::IsAlreadyExists(Extend(&second, second.envelope).status()));
  EXPECT_TRUE(IsFork(Extend(&second, first.envelope).status())) << "an old one, replayed";
}

TEST(PlanChainTest, APlanOfAnotherCustomerIsNoNextPlan) {
  const SignedPlan first = First();
  PlanStatement next = NextAfter(first);
  next.plan.tenant = "bolt";
  EXPECT_TRUE(absl::IsInvalidArgument(Extend(&first, SealPlan(next, "a")).status()));
}

TEST(PlanChainTest, ASignatureUnderAnotherKindOfDocumentIsNone) {
  const std::string payload = PlanPayload(FirstOf(ThePlan(), KeysOf("a"))).value();
  EXPECT_TRUE(absl::IsInvalidArgument(Extend(nullptr, Seal("application/x", payload, "a")).status()));
}

TEST(PlanChainTest, WhatIsNotExactlyAPlanIsRefused) {
  const std::string payload = PlanPayload(FirstOf(ThePlan(), KeysOf("a"))).value();
  const std::vector<std::pair<std::string, std::string>> spoiled = {
      {"\"plan_version\":1", "\"plan_version\":0"},
      {"\"plan_version\":1", "\"plan_version\":1,\"force\":true"},
      {"\"plan_version\":1", "\"plan_version\":1.5"},
      {"\"prev_sha256\":\"\"", "\"prev_sha256\":\"00\""},
      {"\"lag\":1", "\"lag\":4294967297"},  // not 1
      {"\"lag\":1", "\"lag\":7"},
      {"\"threshold\":1", "\"threshold\":2"},
      {"\"threshold\":1", "\"threshold\":0"},
      {"\"tenant\":\"acme\"}", "\"tenant\":\"bolt\"}"},
      {"\"keytype\":\"ed25519\"", "\"keytype\":\"rsa\""},
      {"2023-11-14T22:13:20Z", "2023-11-14T22:13:20+00:00"},
      {"\"soak\"", "\"skip\""},
  };
  for (const auto& [from, to] : spoiled) {
    ASSERT_NE(payload.find(from), std::string::npos) << from << " in " << payload;
    std::string bad = payload;
    bad.replace(bad.rfind(from), from.size(), to);
    EXPECT_TRUE(absl::IsInvalidArgument(ParsePlanPayload(bad).status())) << to;
  }
}

TEST(PlanChainTest, WithoutAChainNobodyHasAVeto) {
  EXPECT_THAT(Authority(nullptr), HasSubstr("no cryptographic veto"));
  const SignedPlan first = First("ab", 2);
  EXPECT_THAT(Authority(&first), HasSubstr("signed by the customer: plan 1, wants 2 of 2 keys"));
}

}  // namespace
}  // namespace ringfence::plan
