// Leases, halts and orders to go on: what a host believes, and each way in which it must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/halt_book.h"
#include "ringfence/trust/lease.h"

namespace ringfence::trust {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

SigningKey Key(char seed) {
  return *SigningKey::FromSeed(std::string(32, seed));
}

const absl::Time kNow = absl::FromUnixSeconds(1'795'000'000);
constexpr uint64_t kSeq = 1'795'000'000'000'000;

Authority Everybody() {
  Authority authority;
  authority.director = {Key('d').public_key()};
  authority.halt = {Key('h').public_key()};
  authority.resume = {{Key('a').public_key(), "ann"},
                      {Key('A').public_key(), "ann"},
                      {Key('b').public_key(), "bob"},
                      {Key('n').public_key(), ""}};
  return authority;
}

LeaseQuestion Question() {
  LeaseQuestion question;
  question.tenant = "acme";
  question.agent = *AgentId::Parse("0a1b2c3d-0000-4000-8000-000000000001");
  question.nonce = std::string(kNonceBytes, '\x01');
  question.channel = "content";
  question.sha256 = Sha256("bytes");
  question.length = 5;
  question.serial = 42;
  question.halt_seq = 7;
  question.by_plan = PlanName{3, Sha256("plan 3")};
  return question;
}

Lease Fitting() {
  const LeaseQuestion question = Question();
  Lease lease;
  lease.tenant = question.tenant;
  lease.agent = question.agent;
  lease.nonce = question.nonce;
  lease.channel = question.channel;
  lease.sha256 = question.sha256;
  lease.length = question.length;
  lease.from_serial = 41;
  lease.to_serial = question.serial;
  lease.rollout = 77;
  lease.ring = "canary";
  lease.plan_version = 3;
  lease.plan_sha256 = Sha256("plan 3");
  lease.halt_seq = 7;
  lease.ttl = absl::Seconds(20);
  lease.issued_at = kNow;
  return lease;
}

// "accepted", or the word of the refusal.
std::string Word(const absl::StatusOr<Lease>& lease) {
  if (lease.ok()) return "accepted";
  EXPECT_TRUE(absl::IsPermissionDenied(lease.status())) << lease.status();
  const std::string message(lease.status().message());
  return message.substr(0, message.find(':'));
}

std::string Judge(const Lease& lease, absl::Duration elapsed = absl::Seconds(1), char signer = 'd') {
  return Word(VerifyLease(SignLease(lease, Key(signer)), Everybody(), Question(), elapsed));
}

TEST(LeaseTest, ThatFitsIsAcceptedAndSaysWhatWasSigned) {
  const auto lease =
      VerifyLease(SignLease(Fitting(), Key('d')), Everybody(), Question(), absl::Milliseconds(19'999));
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(*lease, Fitting());
}

TEST(LeaseTest, OfAnotherKeyIsNone) {
  EXPECT_EQ(Judge(Fitting(), absl::Seconds(1), 'h'), "lease_signature");
  EXPECT_EQ(Word(VerifyLease("", Everybody(), Question(), absl::Seconds(1))), "lease_signature");
  Authority nobody = Everybody();
  nobody.director.clear();
  EXPECT_EQ(Word(VerifyLease(SignLease(Fitting(), Key('d')), nobody, Question(), absl::Seconds(1))),
            "lease_signature");
  Authority two = Everybody();
  two.director_threshold = 2;
  EXPECT_EQ(Word(VerifyLease(SignLease(Fitting(), Key('d')), two, Question(), absl::Seconds(1))),
            "lease_signature");
}

TEST(LeaseTest, ForAnotherHostIsNone) {
  Lease lease = Fitting();
  lease.agent = *AgentId::Parse("0a1b2c3d-0000-4000-8000-000000000002");
  EXPECT_EQ(Judge(lease), "lease_agent");
  lease = Fitting();
  lease.tenant = "globex";
  EXPECT_EQ(Judge(lease), "lease_agent");
}

TEST(LeaseTest, ThatAnswersAnotherQuestionIsNone) {
  Lease lease = Fitting();
  lease.nonce = std::string(kNonceBytes, '\x02');
  EXPECT_EQ(Judge(lease), "lease_nonce");
}

TEST(LeaseTest, ForOtherBytesIsNone) {
  Lease lease = Fitting();
  lease.sha256 = Sha256("other");
  EXPECT_EQ(Judge(lease), "lease_bytes");
  lease = Fitting();
  lease.length = 6;
  EXPECT_EQ(Judge(lease), "lease_bytes");
  lease = Fitting();
  lease.channel = "sensor";
  EXPECT_EQ(Judge(lease), "lease_bytes");
}

TEST(LeaseTest, ThatGoesBackOrElsewhereIsNone) {
  Lease lease = Fitting();
  lease.from_serial = 42;
  EXPECT_EQ(Judge(lease), "lease_serial");
  lease = Fitting();
  lease.to_serial = 43;
  EXPECT_EQ(Judge(lease), "lease_serial");
}

TEST(LeaseTest, ByAnotherPlanThanTheHostsOwnIsNone) {
  Lease lease = Fitting();
  lease.plan_version = 4;
  EXPECT_EQ(Judge(lease), "lease_plan");
  LeaseQuestion without = Question();
  without.by_plan.reset();
  EXPECT_EQ(Word(VerifyLease(SignLease(lease, Key('d')), Everybody(), without, absl::Seconds(1))),
            "accepted");
  lease = Fitting();
  lease.plan_sha256 = Sha256("another plan 3");
  EXPECT_EQ(Judge(lease), "lease_plan");
}

TEST(LeaseTest, OfAServerThatForgotAHaltIsNone) {
  Lease lease = Fitting();
  lease.halt_seq = 6;
  EXPECT_EQ(Judge(lease), "lease_halt");
  lease.halt_seq = 8;
  EXPECT_EQ(Judge(lease), "accepted");
}

TEST(LeaseTest, IsCountedFromTheMomentOfTheQuestion) {
  EXPECT_EQ(Judge(Fitting(), absl::Seconds(20)), "lease_late");
  EXPECT_EQ(Judge(Fitting(), absl::Hours(9)), "lease_late");
  EXPECT_EQ(Judge(Fitting(), -absl::Seconds(1)), "lease_late");
}

TEST(LeaseTest, OfMoreThanTenMinutesCannotBeRead) {
  Lease lease = Fitting();
  lease.ttl = absl::Seconds(601);
  EXPECT_EQ(Judge(lease), "lease_signature");
}

TEST(LeaseTest, ChangedInOneMemberIsNone) {
  const auto envelope = ParseEnvelope(SignLease(Fitting(), Key('d')));
  ASSERT_TRUE(envelope.ok());
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"ttl_ms\":20000", "\"ttl_ms\":60000"},
                                                        {"canary", "theatre"},
                                                        {"\"to_serial\":42", "\"to_serial\":43"}}) {
    Envelope changed = *envelope;
    changed.payload = absl::StrReplaceAll(changed.payload, {{from, to}});
    ASSERT_NE(changed.payload, envelope->payload);
    EXPECT_EQ(Word(VerifyLease(SerializeEnvelope(changed), Everybody(), Question(), absl::Seconds(1))),
              "lease_signature");
  }
}

HaltNotice Halted(uint64_t seq = kSeq) {
  HaltNotice notice;
  notice.scope = {Sha256("bytes"), "", ""};
  notice.seq = seq;
  notice.halt_id = HaltId(notice.scope, seq);
  notice.channel = "content";
  notice.serial = 42;
  notice.reason = "hosts crash";
  notice.by = "server";
  notice.issued_at = kNow;
  return notice;
}

ResumeOrder GoOn(const HaltNotice& notice = Halted()) {
  ResumeOrder order;
  order.order_id = std::string(32, 'e');
  order.halt_id = notice.halt_id;
  order.halt_seq = notice.seq;
  order.scope = notice.scope;
  order.channel = notice.channel;
  order.serial = notice.serial;
  order.reason = "it was the proxy";
  order.issued_at = kNow;
  order.not_after = kNow + kResumeLife;
  return order;
}

std::string Signed(const ResumeOrder& order, const std::string& signers) {
  Envelope envelope = DraftOrder(order);
  for (const char signer : signers) Sign(Key(signer), &envelope);
  if (signers.empty()) envelope.signatures.push_back({"", std::string(64, 'x')});
  return SerializeEnvelope(envelope);
}

TEST(HaltTest, IsBelievedOfTheHaltingKeyAlone) {
  const auto notice = VerifyHalt(SignHalt(Halted(), Key('h')), Everybody());
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_EQ(*notice, Halted());
  for (const char other : {'d', 'a', 'x'})
    EXPECT_TRUE(absl::IsPermissionDenied(VerifyHalt(SignHalt(Halted(), Key(other)), Everybody()).status()));
}

TEST(HaltTest, KeepsALongReasonToItsLimitWithoutBreakingACharacter) {
  HaltNotice notice = Halted();
  for (int i = 0; i < 400; ++i) notice.reason += "\xc3\xa4";
  const auto read = VerifyHalt(SignHalt(notice, Key('h')), Everybody());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_LE(read->reason.size(), 512U);
  EXPECT_THAT(notice.reason, StartsWith(read->reason));
}

TEST(ResumeTest, NeedsTwoPersonsAndNotTwoKeysOfOne) {
  const Authority authority = Everybody();
  EXPECT_TRUE(VerifyOrder(Signed(GoOn(), "ab"), authority, kNow).ok());
  EXPECT_TRUE(VerifyOrder(Signed(GoOn(), "aAb"), authority, kNow).ok());
  for (const char* signers : {"", "a", "aa", "aA", "an", "nn", "ax", "dh", "ah"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(VerifyOrder(Signed(GoOn(), signers), authority, kNow).status()))
        << signers;
  }
}

TEST(ResumeTest, NeedsTwoPersonsWhateverTheDocumentSays) {
  TrustDocument document;
  document.roles["resume"] = {{{Key('a').public_key(), "ann"}, {Key('b').public_key(), "bob"}}, 1};
  document.roles["halt"] = {{{Key('h').public_key(), ""}}, 1};
  const Authority authority = Authority::From(document);
  EXPECT_EQ(authority.resume_threshold, 2);
  EXPECT_TRUE(authority.Check().ok());
  EXPECT_FALSE(VerifyOrder(Signed(GoOn(), "a"), authority, kNow).ok());
  document.revoked.insert(Key('b').public_key().KeyId());
  EXPECT_FALSE(VerifyOrder(Signed(GoOn(), "ab"), Authority::From(document), kNow).ok());
  EXPECT_THAT(Authority::From(document).Check().message(), HasSubstr("keep a halt for ever"));
}

TEST(ResumeTest, IsGoodForHalfAnHour) {
  const std::string order = Signed(GoOn(), "ab");
  EXPECT_TRUE(VerifyOrder(order, Everybody(), kNow + kResumeLife - absl::Seconds(1)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(VerifyOrder(order, Everybody(), kNow + kResumeLife).status()));
  ResumeOrder longer = GoOn();
  longer.not_after += absl::Seconds(1);
  EXPECT_TRUE(absl::IsInvalidArgument(VerifyOrder(Signed(longer, "ab"), Everybody(), kNow).status()));
}

TEST(ResumeTest, JoinsSignaturesOverTheSameBytesOnly) {
  Envelope anns = DraftOrder(GoOn()), bobs = DraftOrder(GoOn());
  Sign(Key('a'), &anns);
  Sign(Key('b'), &bobs);
  ASSERT_TRUE(Join(bobs, &anns).ok());
  EXPECT_THAT(PersonsBehind(anns, Everybody()), ::testing::ElementsAre("ann", "bob"));
  EXPECT_TRUE(VerifyOrder(SerializeEnvelope(anns), Everybody(), kNow).ok());
  ResumeOrder other = GoOn();
  other.reason = "another reason";
  EXPECT_TRUE(absl::IsInvalidArgument(Join(DraftOrder(other), &anns)));
}

TEST(HaltBookTest, KeepsAHaltUntilItsOrderComes) {
  HaltBook book;
  EXPECT_TRUE(book.Add(Halted()));
  EXPECT_FALSE(book.Add(Halted()));
  ASSERT_NE(book.On(Sha256("bytes"), "acme"), nullptr);
  EXPECT_EQ(book.On(Sha256("other"), "acme"), nullptr);
  ResumeOrder elsewhere = GoOn();
  elsewhere.scope.tenant = "acme";
  EXPECT_FALSE(book.Lift(elsewhere));
  EXPECT_TRUE(book.Lift(GoOn()));
  EXPECT_EQ(book.On(Sha256("bytes"), "acme"), nullptr);
  EXPECT_EQ(book.seq(), kSeq);  // a server must still know of it
}

TEST(HaltBookTest, DoesNotTakeAnOldNoticeForANewHalt) {
  HaltBook book;
  book.Add(Halted());
  book.Lift(GoOn());
  EXPECT_FALSE(book.Add(Halted()));
  EXPECT_EQ(book.On(Sha256("bytes"), "acme"), nullptr);
}

TEST(HaltBookTest, AnOrderWorksOnce) {
  HaltBook book;
  book.Add(Halted());
  book.Lift(GoOn());
  EXPECT_TRUE(book.Add(Halted(kSeq + 1)));
  EXPECT_FALSE(book.Lift(GoOn()));
  EXPECT_NE(book.On(Sha256("bytes"), "acme"), nullptr);
}

TEST(HaltBookTest, ATenantsHaltIsThatTenantsAlone) {
  HaltBook book;
  HaltNotice notice = Halted();
  notice.scope.tenant = "acme";
  book.Add(notice);
  EXPECT_NE(book.On(Sha256("bytes"), "acme"), nullptr);
  EXPECT_EQ(book.On(Sha256("bytes"), "globex"), nullptr);
}

TEST(HaltBookTest, AHaltOfASetIsOneOfEachOfItsArtifactsAndIsLiftedWhole) {
  HaltNotice notice = Halted();
  notice.artifacts = {Sha256("for windows"), Sha256("for linux")};
  const auto read = VerifyHalt(SignHalt(notice, Key('h')), Everybody());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, notice);
  HaltBook book;
  book.Add(*read);
  EXPECT_NE(book.On(Sha256("for linux"), "acme"), nullptr);
  const auto kept = HaltBook::Parse(book.Serialize());
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(*kept, book);
  EXPECT_TRUE(book.Lift(GoOn()));
  EXPECT_EQ(book.On(Sha256("for linux"), "acme"), nullptr);
}

TEST(HaltBookTest, ARingsHaltIsOfThatRingAndOfWhoeverDoesNotKnowItsOwn) {
  HaltBook book;
  HaltNotice notice = Halted();
  notice.scope.tenant = "acme";
  notice.scope.ring = "canary";
  book.Add(notice);
  EXPECT_NE(book.On(Sha256("bytes"), "acme", "canary"), nullptr);
  EXPECT_EQ(book.On(Sha256("bytes"), "acme", "wards"), nullptr);
  EXPECT_EQ(book.On(Sha256("bytes"), "acme", ""), nullptr) << "in no ring";
  EXPECT_NE(book.On(Sha256("bytes"), "acme"), nullptr) << "it was sent to a host that pins no plan";
  EXPECT_EQ(book.On(Sha256("bytes"), "globex"), nullptr);
}

TEST(HaltBookTest, ComesBackAsItWasWritten) {
  HaltBook book;
  book.Add(Halted());
  HaltNotice other = Halted(kSeq + 5);
  other.scope = {Sha256("other"), "acme", ""};
  book.Add(other);
  book.Lift(GoOn());
  const auto read = HaltBook::Parse(book.Serialize());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, book);
  EXPECT_TRUE(absl::IsDataLoss(HaltBook::Parse("{}").status()));
  EXPECT_TRUE(absl::IsDataLoss(HaltBook::Parse(book.Serialize().substr(1)).status()));
}

}  // namespace
}  // namespace ringfence::trust
