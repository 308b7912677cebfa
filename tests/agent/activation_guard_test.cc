// Servers that were taken over, and what a host with pinned keys lets them do: nothing but wait.
#include "ringfence/agent/activation_guard.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/lease.h"
#include "tests/support/memory_files.h"
#include "tests/support/order_keys.h"

namespace ringfence::agent {
namespace {

using test::Everybody;
using test::Key;
using test::MemoryFiles;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ActivationGuardTest : public ::testing::Test {
 protected:
  ActivationGuardTest() {
    release_.channel = "content";
    release_.serial = 42;
    release_.digest = Sha256("bytes");
    release_.size_bytes = 5;
    Restart();
  }

  void Restart() { guard_.emplace(&disk_, "/state", &wall_, Everybody()); }
  std::string Ask() { return guard_->Ask(++ask_, agent_, "acme", release_, boot_); }
  trust::Lease Fitting(const std::string& nonce) const {
    trust::Lease lease;
    lease.tenant = "acme";
    lease.agent = agent_;
    lease.nonce = nonce;
    lease.channel = release_.channel;
    lease.sha256 = release_.digest;
    lease.length = release_.size_bytes;
    lease.from_serial = 41;
    lease.to_serial = release_.serial;
    lease.ring = "canary";
    lease.plan_version = 3;
    lease.plan_sha256 = Sha256("plan 3");
    lease.halt_seq = kSeq;
    lease.ttl = absl::Seconds(20);
    lease.issued_at = wall_.Now();
    return lease;
  }
  static LeaseReply Grant(const trust::Lease& lease, char signer = 'd') {
    LeaseReply reply;
    reply.granted = true;
    reply.ttl = absl::Hours(24);  // unsigned: worth nothing
    reply.signed_lease = trust::SignLease(lease, Key(signer));
    return reply;
  }
  // "granted", or the word why not.
  std::string Judge(const LeaseReply& reply) {
    const LeaseReply judged = guard_->Judge(ask_, reply, boot_);
    return judged.granted ? "granted" : judged.reason.substr(0, judged.reason.find(':'));
  }
  trust::HaltNotice Halted(uint64_t seq = kSeq) const {
    trust::HaltNotice notice;
    notice.scope = {release_.digest, "", ""};
    notice.seq = seq;
    notice.halt_id = trust::HaltId(notice.scope, seq);
    notice.channel = release_.channel;
    notice.serial = release_.serial;
    notice.reason = "hosts crash";
    notice.by = "server";
    notice.issued_at = wall_.Now();
    return notice;
  }
  std::string Order(const std::string& signers, uint64_t seq = kSeq) const {
    const trust::HaltNotice halt = Halted(seq);
    trust::ResumeOrder order;
    order.order_id = std::string(32, 'e');
    order.halt_id = halt.halt_id;
    order.halt_seq = seq;
    order.scope = halt.scope;
    order.channel = halt.channel;
    order.serial = halt.serial;
    order.reason = "it was the proxy";
    order.issued_at = wall_.Now();
    order.not_after = wall_.Now() + trust::kResumeLife;
    trust::Envelope envelope = trust::DraftOrder(order);
    for (const char signer : signers) trust::Sign(Key(signer), &envelope);
    return trust::SerializeEnvelope(envelope);
  }
  void Hear(const std::string& halt, const std::string& order = "") {
    SignedNotices notices;
    if (!halt.empty()) notices.halts.push_back(halt);
    if (!order.empty()) notices.orders.push_back(order);
    guard_->TakeIn(notices, "acme");
  }
  bool MayActivate() { return guard_->MayActivate(release_.digest, "acme").ok(); }

  static constexpr uint64_t kSeq = 1'795'000'000'000'000;
  MemoryFiles disk_;
  mutable ManualClock wall_{absl::FromUnixSeconds(1'795'000'000)};
  absl::Time boot_ = absl::UnixEpoch() + absl::Hours(3);
  AgentId agent_ = *AgentId::Parse("0a1b2c3d-0000-4000-8000-000000000001");
  Directive release_;
  uint64_t ask_ = 0;
  std::optional<ActivationGuard> guard_;
};

TEST_F(ActivationGuardTest, TakesTheDirectorsLeaseAndItsTimeRatherThanTheServers) {
  const std::string nonce = Ask();
  boot_ += absl::Seconds(3);
  const LeaseReply judged = guard_->Judge(ask_, Grant(Fitting(nonce)), boot_);
  EXPECT_TRUE(judged.granted);
  EXPECT_EQ(judged.ttl, absl::Seconds(20));
}

TEST_F(ActivationGuardTest, AServerWithoutTheDirectorsKeyMovesNothing) {
  LeaseReply bare;
  bare.granted = true;
  bare.ttl = absl::Seconds(20);
  Ask();
  EXPECT_EQ(Judge(bare), "lease_signature");
  EXPECT_EQ(Judge(Grant(Fitting(Ask()), 'x')), "lease_signature");
}

TEST_F(ActivationGuardTest, ALeaseWorksOnce) {
  const LeaseReply reply = Grant(Fitting(Ask()));
  EXPECT_EQ(Judge(reply), "granted");
  EXPECT_EQ(Judge(reply), "lease_nonce");
  Ask();
  EXPECT_EQ(Judge(reply), "lease_nonce");
}

TEST_F(ActivationGuardTest, ALeaseDoesNotOutlastARestart) {
  const LeaseReply reply = Grant(Fitting(Ask()));
  Restart();
  EXPECT_EQ(Judge(reply), "lease_nonce");
}

TEST_F(ActivationGuardTest, ALeaseIsCountedFromTheQuestionThroughSleep) {
  const std::string nonce = Ask();
  boot_ += absl::Seconds(20);
  EXPECT_EQ(Judge(Grant(Fitting(nonce))), "lease_late");
}

TEST_F(ActivationGuardTest, ALeaseOfAnotherHostOrOtherBytesIsNone) {
  trust::Lease other = Fitting(Ask());
  other.agent = *AgentId::Parse("0a1b2c3d-0000-4000-8000-000000000002");
  EXPECT_EQ(Judge(Grant(other)), "lease_agent");
  other = Fitting(Ask());
  other.sha256 = Sha256("worse bytes");
  EXPECT_EQ(Judge(Grant(other)), "lease_bytes");
  other = Fitting(Ask());
  other.to_serial = 43;
  EXPECT_EQ(Judge(Grant(other)), "lease_serial");
}

TEST_F(ActivationGuardTest, AHostWithItsOwnPlanTakesNoLeaseByAnother) {
  guard_->SetPlan(HeldPlan{4, Sha256("plan 4"), "canary"});
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "lease_plan");
  guard_->SetPlan(HeldPlan{3, Sha256("another plan 3"), "canary"});
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "lease_plan");
  guard_->SetPlan(HeldPlan{3, Sha256("plan 3"), "canary"});
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "granted");
}

TEST_F(ActivationGuardTest, APlanThatComesBetweenTheLeaseAndTheFlipEndsThatLeaseAndNoOther) {
  guard_->SetPlan(HeldPlan{3, Sha256("plan 3"), "canary"});
  ASSERT_EQ(Judge(Grant(Fitting(Ask()))), "granted");
  EXPECT_TRUE(MayActivate());
  guard_->SetPlan(HeldPlan{4, Sha256("plan 4"), "canary"});
  EXPECT_THAT(std::string(guard_->MayActivate(release_.digest, "acme").message()),
              StartsWith("lease_plan: plan 4"));
  EXPECT_TRUE(guard_->MayActivate(Sha256("other bytes"), "acme").ok());
  trust::Lease lease = Fitting(Ask());
  lease.plan_version = 4;
  lease.plan_sha256 = Sha256("plan 4");
  EXPECT_EQ(Judge(Grant(lease)), "granted") << "asked again, by the plan that came";
  EXPECT_TRUE(MayActivate());
}

TEST_F(ActivationGuardTest, AHaltOfARingHoldsTheHostWhileItIsInThatRing) {
  trust::HaltNotice halt = Halted();
  halt.scope = {release_.digest, "acme", "canary"};
  halt.halt_id = trust::HaltId(halt.scope, halt.seq);
  Hear(trust::SignHalt(halt, Key('h')));
  EXPECT_FALSE(MayActivate()) << "it pins no plan: what is sent to it is meant for it";
  Restart();
  EXPECT_FALSE(MayActivate());
  guard_->SetPlan(HeldPlan{3, Sha256("plan 3"), "wards"});
  EXPECT_TRUE(MayActivate());
  guard_->SetPlan(HeldPlan{3, Sha256("plan 3"), "canary"});
  EXPECT_FALSE(MayActivate()) << "it came into the ring later";
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "halted_here");
}

TEST_F(ActivationGuardTest, AHaltSticksThroughLeasesRestartsAndSilence) {
  Hear(trust::SignHalt(Halted(), Key('h')));
  EXPECT_FALSE(MayActivate());
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "halted_here");
  Hear("");  // the server says nothing of it any more
  EXPECT_FALSE(MayActivate());
  Restart();
  EXPECT_FALSE(MayActivate());
  EXPECT_EQ(guard_->halt_seq(), kSeq);
}

TEST_F(ActivationGuardTest, AServerThatForgotTheHaltIsNotBelievedAboutAnythingElse) {
  trust::HaltNotice elsewhere = Halted();
  elsewhere.scope.sha256 = Sha256("other bytes");
  Hear(trust::SignHalt(elsewhere, Key('h')));
  EXPECT_TRUE(MayActivate());
  trust::Lease lease = Fitting(Ask());
  lease.halt_seq = kSeq - 1;
  EXPECT_EQ(Judge(Grant(lease)), "lease_halt");
}

TEST_F(ActivationGuardTest, NobodyElseHaltsAndNoOtherTenantsHaltCounts) {
  for (const char other : {'d', 'a', 'x'}) Hear(trust::SignHalt(Halted(), Key(other)));
  trust::HaltNotice globex = Halted();
  globex.scope.tenant = "globex";
  Hear(trust::SignHalt(globex, Key('h')));
  EXPECT_TRUE(MayActivate());
}

TEST_F(ActivationGuardTest, TwoPersonsLiftAHaltAndNoFewer) {
  Hear(trust::SignHalt(Halted(), Key('h')));
  for (const char* signers : {"a", "aa", "h", "d", "dh", "ax"}) Hear("", Order(signers));
  EXPECT_FALSE(MayActivate());
  Hear("", Order("ab"));
  EXPECT_TRUE(MayActivate());
  Restart();
  EXPECT_TRUE(MayActivate());
  // The server repeats what was.
  Hear(trust::SignHalt(Halted(), Key('h')));
  EXPECT_TRUE(MayActivate());
}

TEST_F(ActivationGuardTest, AnOrderIsForOneHaltAndForHalfAnHour) {
  const std::string order = Order("ab");
  Hear(trust::SignHalt(Halted(kSeq + 1), Key('h')), order);
  EXPECT_FALSE(MayActivate());
  const std::string fits = Order("ab", kSeq + 1);
  wall_.Advance(trust::kResumeLife);
  Hear("", fits);
  EXPECT_FALSE(MayActivate());
}

TEST_F(ActivationGuardTest, DamagedMemoryActivatesNothing) {
  Hear(trust::SignHalt(Halted(), Key('h')));
  disk_.files["/state/halts"].pop_back();
  Restart();
  release_.digest = Sha256("something else entirely");
  EXPECT_FALSE(MayActivate());
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "halts_damaged");
  EXPECT_THAT(guard_->Describe(), StartsWith("nothing is activated on this host"));
}

TEST_F(ActivationGuardTest, AFullDiskForgetsNoHaltWhileItRuns) {
  disk_.full = true;
  Hear(trust::SignHalt(Halted(), Key('h')));
  EXPECT_FALSE(MayActivate());
}

TEST_F(ActivationGuardTest, ANewerTrustDocumentReplacesItsRolesAndNoOther) {
  trust::TrustDocument document;
  document.version = 2;
  document.roles["director"] = {{{Key('D').public_key(), ""}}, 1};
  guard_->Follow(document);
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "lease_signature");
  EXPECT_EQ(Judge(Grant(Fitting(Ask()), 'D')), "granted");
  Hear(trust::SignHalt(Halted(), Key('h')));
  EXPECT_FALSE(MayActivate());
  // An older one is not followed, and a director without a key that counts is believed nothing.
  document.version = 1;
  document.roles["director"] = {{{Key('d').public_key(), ""}}, 1};
  guard_->Follow(document);
  Hear("", Order("ab"));
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "lease_signature");
  document.version = 3;
  document.revoked.insert(Key('d').public_key().KeyId());
  guard_->Follow(document);
  EXPECT_EQ(Judge(Grant(Fitting(Ask()))), "lease_signature");
}

TEST_F(ActivationGuardTest, WithoutADirectorItSaysThatLeasesAreNotVerified) {
  guard_.emplace(&disk_, "/state", &wall_, trust::Authority());
  EXPECT_THAT(guard_->Describe(), HasSubstr("leases are not verified on this host"));
  Ask();
  LeaseReply bare;
  bare.granted = true;
  EXPECT_EQ(Judge(bare), "granted");
}

}  // namespace
}  // namespace ringfence::agent
