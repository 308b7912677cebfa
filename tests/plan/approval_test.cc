#include "ringfence/plan/approval.h"

#include "gtest/gtest.h"
#include "tests/plan/signing.h"
#include "tests/policy/builders.h"

namespace ringfence::plan {
namespace {

using policy::Consent;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

class ApprovalBookTest : public testing::Test {
 protected:
  ApprovalBookTest() {
    const policy::Plan plan = policy::MakePlan({policy::MakeRing("lab"), policy::MakeRing("theatres")});
    chain.push_back(Extend(nullptr, SealPlan(FirstOf(plan, KeysOf("ab", 2)), "ab")).value());
  }
  ApprovalStatement Say(bool approve) {
    ApprovalStatement said;
    said.seq = ++seq;
    said.tenant = "acme";
    said.approve = approve;
    said.channel = "content";
    said.serial = 7;
    if (approve) said.digests = {Digest()};
    return said;
  }
  Consent Of(const std::string& ring = "lab", uint64_t serial = 7, absl::Time now = kNow) {
    return book.Of("content", serial, Digest(), ring, now);
  }
  void NewKeys(const std::string& letters) {
    PlanStatement next = NextAfter(chain.back());
    next.keys = KeysOf(letters);
    chain.push_back(Extend(&chain.back(), SealPlan(next, "ab" + letters)).value());
    book.Recheck(chain);
  }

  std::vector<SignedPlan> chain;
  ApprovalBook book;
  uint64_t seq = 0;
};

TEST_F(ApprovalBookTest, ADecisionComesBackAsItWasSigned) {
  ApprovalStatement said = Say(true);
  said.digests = {Digest()};
  said.rings = {"lab"};
  said.not_after = kNow;
  said.reason = "tried";
  said.min_age = absl::Hours(4);
  EXPECT_EQ(ParseApprovalPayload(ApprovalPayload(said).value()).value(), said);
}

TEST_F(ApprovalBookTest, AYesIsForItsReleaseRingAndTime) {
  ApprovalStatement said = Say(true);
  said.rings = {"lab"};
  said.not_after = kNow + absl::Hours(1);
  ASSERT_TRUE(book.Add(SealApproval(said, "ab"), chain).ok());
  EXPECT_EQ(Of(), Consent::kApproved);
  EXPECT_EQ(Of("theatres"), Consent::kNone);
  EXPECT_EQ(Of("lab", 8), Consent::kNone);
  EXPECT_EQ(Of("lab", 7, kNow + absl::Hours(1)), Consent::kNone) << "it has ended";
}

TEST_F(ApprovalBookTest, OfThoseInForceTheOneThatAsksForTheLeastHastens) {
  const auto haste = [&](const std::string& ring, absl::Time now = kNow) {
    return book.HasteOf("content", 7, Digest(), ring, now);
  };
  ApprovalStatement plain = Say(true);
  ASSERT_TRUE(book.Add(SealApproval(plain, "ab"), chain).ok());
  EXPECT_FALSE(haste("lab").has_value());
  ApprovalStatement said = Say(true);
  said.min_age = absl::Hours(8);
  ASSERT_TRUE(book.Add(SealApproval(said, "ab"), chain).ok());
  ApprovalStatement shorter = Say(true);
  shorter.min_age = absl::Hours(1);
  shorter.rings = {"lab"};
  shorter.not_after = kNow + absl::Hours(1);
  ASSERT_TRUE(book.Add(SealApproval(shorter, "ab"), chain).ok());
  EXPECT_EQ(haste("lab")->min_age, absl::Hours(1));
  EXPECT_EQ(haste("lab")->until, kNow + absl::Hours(1));
  EXPECT_EQ(haste("theatres")->min_age, absl::Hours(8));
  EXPECT_EQ(haste("lab", kNow + absl::Hours(1))->min_age, absl::Hours(8)) << "it has ended";
  ASSERT_TRUE(book.Add(SealApproval(Say(false), "ab"), chain).ok());
  EXPECT_FALSE(haste("lab").has_value()) << "a no hastens nothing";
}

TEST_F(ApprovalBookTest, OnlyAYesHastensAndByATimeThatThereIs) {
  ApprovalStatement no = Say(false);
  no.min_age = absl::Hours(1);
  EXPECT_FALSE(ParseApprovalPayload(ApprovalPayload(no).value()).ok());
  ApprovalStatement yes = Say(true);
  for (const absl::Duration none : {-absl::Seconds(1), absl::Hours(24 * 366)}) {
    yes.min_age = none;
    EXPECT_FALSE(ParseApprovalPayload(ApprovalPayload(yes).value()).ok());
  }
}

TEST_F(ApprovalBookTest, AYesForOtherBytesIsNone) {
  ApprovalStatement said = Say(true);
  Digest other;
  other.bytes.fill(3);
  said.digests = {other};
  ASSERT_TRUE(book.Add(SealApproval(said, "ab"), chain).ok());
  EXPECT_EQ(Of(), Consent::kNone);
  EXPECT_EQ(book.Of("content", 7, other, "lab", kNow), Consent::kApproved);
}

TEST_F(ApprovalBookTest, ANoIsANoForGood) {
  ASSERT_TRUE(book.Add(SealApproval(Say(true), "ab"), chain).ok());
  ASSERT_TRUE(book.Add(SealApproval(Say(false), "ab"), chain).ok());
  ASSERT_TRUE(book.Add(SealApproval(Say(true), "ab"), chain).ok());
  EXPECT_EQ(Of(), Consent::kDenied);
  EXPECT_EQ(Of("theatres"), Consent::kDenied);
}

TEST_F(ApprovalBookTest, WantsTheThresholdAndARisingNumber) {
  EXPECT_TRUE(absl::IsPermissionDenied(book.Add(SealApproval(Say(true), "a"), chain)));
  EXPECT_EQ(book.last_seq(), 0u);
  ApprovalStatement said = Say(true);
  ASSERT_TRUE(book.Add(SealApproval(said, "ab"), chain).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(book.Add(SealApproval(said, "ab"), chain))) << "a replay";
  --said.seq;
  EXPECT_TRUE(absl::IsFailedPrecondition(book.Add(SealApproval(said, "ab"), chain)));
  said = Say(true);
  said.tenant = "bolt";
  EXPECT_TRUE(absl::IsInvalidArgument(book.Add(SealApproval(said, "ab"), chain)));
}

TEST_F(ApprovalBookTest, KeysThatAreTakenOutApproveNothingAndTheirNoStays) {
  ApprovalStatement no = Say(false);
  no.serial = 8;
  ASSERT_TRUE(book.Add(SealApproval(no, "ab"), chain).ok());
  ASSERT_TRUE(book.Add(SealApproval(Say(true), "ab"), chain).ok());
  NewKeys("n");
  EXPECT_EQ(Of(), Consent::kNone);
  EXPECT_EQ(Of("lab", 8), Consent::kDenied);
  ASSERT_TRUE(book.Add(SealApproval(Say(true), "n"), chain).ok());
  EXPECT_EQ(Of(), Consent::kApproved);
  EXPECT_TRUE(absl::IsPermissionDenied(book.Add(SealApproval(Say(true), "ab"), chain)));
}

TEST_F(ApprovalBookTest, WhatIsNotExactlyADecisionIsRefused) {
  const std::string payload = ApprovalPayload(Say(true)).value();
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"approve\"", "\"force\""},
           {"\"sha256\":[\"" + std::string(64, '0') + "\"]", "\"sha256\":[]"},
           {"\"serial\":7", "\"serial\":0"},
           {"\"seq\":1", "\"seq\":0"},
           {"\"rings\":[]", "\"rings\":[\"A B\"]"},
           {"\"rings\":[]", "\"rings\":[],\"skip\":1"},
           {"\"acme\"", "\"\""},
           {"\"sha256\":[", "\"sha256\":[\"12\","}}) {
    std::string bad = payload;
    ASSERT_NE(bad.find(from), std::string::npos) << from;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_TRUE(absl::IsInvalidArgument(ParseApprovalPayload(bad).status())) << to;
  }
}

}  // namespace
}  // namespace ringfence::plan
