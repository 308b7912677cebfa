// Signed halts as the server posts them, and the order of two persons that takes one off.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "server/app/notice_board.h"
#include "tests/support/fleet_harness.h"
#include "tests/support/order_keys.h"

namespace ringfence::test {
namespace {

using app::BrakeKind;
using policy::Reason;
using storage::Scope;
using ::testing::HasSubstr;

const Scope kRelease{"", "content", 1, ""};

FleetHarness::Options Signing() {
  FleetHarness::Options options;
  options.halt_key = std::make_shared<const trust::SigningKey>(Key('h'));
  options.authority = std::make_shared<const trust::Authority>(Everybody());
  return options;
}

class OrdersTest : public testing::Test {
 protected:
  OrdersTest() : fleet(Signing()) {
    fleet.AddRing("vendor", "dogfood", 10);
    fleet.Start();
    fleet.Apply(PlanOf("vendor", {RingNamed("dogfood")}));
    release = fleet.Publish();
    fleet.RunFor(absl::Minutes(2));
  }

  std::shared_ptr<const app::Notices> Notices(const std::string& tenant = "vendor") {
    return fleet.app().NoticesFor(tenant);
  }
  // The one halt that is posted, as a host reads it.
  trust::HaltNotice Posted(const std::string& tenant = "vendor") {
    const auto notices = Notices(tenant);
    if (notices == nullptr || notices->halts.size() != 1) return {};
    const auto notice = trust::VerifyHalt(notices->halts[0].envelope, Everybody());
    EXPECT_TRUE(notice.ok()) << notice.status();
    return notice.ok() ? *notice : trust::HaltNotice();
  }
  trust::Envelope Draft(const trust::HaltNotice& halt) {
    trust::ResumeOrder order;
    order.order_id = std::string(32, 'e');
    order.halt_id = halt.halt_id;
    order.halt_seq = halt.seq;
    order.scope = halt.scope;
    order.channel = halt.channel;
    order.serial = halt.serial;
    order.reason = "it was the proxy";
    order.issued_at = fleet.now();
    order.not_after = fleet.now() + trust::kResumeLife;
    return trust::DraftOrder(order);
  }
  static std::string Signed(trust::Envelope envelope, const std::string& signers) {
    for (const char signer : signers) trust::Sign(Key(signer), &envelope);
    return trust::SerializeEnvelope(envelope);
  }
  absl::StatusOr<app::ResumeReply> Resume(const std::string& order, const std::string& person = "ann",
                                          const Scope& scope = kRelease) {
    return fleet.app().Resume(fleet.Sre(person), scope, BrakeKind::kHalt, order);
  }
  Reason Asked() {
    const auto reply = fleet.AskLease(0, "content", release.digest);
    return !reply.ok() ? Reason::kNoRelease : reply->granted ? Reason::kNone : reply->reason;
  }

  FleetHarness fleet;
  policy::Release release;
};

TEST_F(OrdersTest, NothingIsPostedWhileNothingIsHalted) {
  EXPECT_EQ(Notices(), nullptr);
  ASSERT_TRUE(fleet.app().Pause(fleet.Sre(), kRelease).ok());
  EXPECT_EQ(Notices(), nullptr);
}

TEST_F(OrdersTest, AHaltIsPostedSignedForEveryTenantUnderOneNameThatARestartDoesNotChange) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre("ann", "hosts crash"), kRelease).ok());
  const trust::HaltNotice halt = Posted();
  EXPECT_EQ(halt.scope, (trust::HaltScope{release.digest, "", ""}));
  EXPECT_EQ(halt.reason, "hosts crash");
  EXPECT_EQ(halt.by, "ann");
  EXPECT_EQ(Posted("acme"), halt);
  fleet.Restart();
  EXPECT_EQ(Posted(), halt);
}

TEST_F(OrdersTest, ATenantsHaltIsPostedToThatTenantAndARingsToNobody) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"vendor", "content", 1, ""}).ok());
  EXPECT_EQ(Posted().scope.tenant, "vendor");
  EXPECT_TRUE(Notices("acme") == nullptr || Notices("acme")->halts.empty());
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"vendor", "content", 1, "dogfood"}).ok());
  EXPECT_EQ(Notices()->halts.size(), 1U);
}

TEST_F(OrdersTest, CredentialsAloneTakeNoHaltOff) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  for (const char* person : {"ann", "bob", "cleo"}) {
    const absl::Status refused = Resume("", person).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(refused.message(), HasSubstr("two persons signed"));
  }
  EXPECT_EQ(Asked(), Reason::kHalted);
}

TEST_F(OrdersTest, TheFirstPersonsOrderWaitsAndTheSecondsCompletesIt) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const trust::Envelope draft = Draft(Posted());
  const auto first = Resume(Signed(draft, "a"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(first->needs_second_person);
  EXPECT_EQ(first->brake.first_approver, "ann");
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume(Signed(draft, "a")).status()));
  EXPECT_EQ(Asked(), Reason::kHalted);
  EXPECT_TRUE(Notices()->orders.empty());

  fleet.Restart();
  const auto second = Resume(Signed(draft, "b"), "bob");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->brake.halted);
  ASSERT_EQ(Notices()->orders.size(), 1U);
  EXPECT_TRUE(Notices()->halts.empty());
  EXPECT_TRUE(trust::VerifyOrder(Notices()->orders[0].envelope, Everybody(), fleet.now()).ok());
  EXPECT_NE(Asked(), Reason::kHalted);
  // Hosts that come within its half hour take the halt off by it; then it is not served any more.
  fleet.Restart();
  ASSERT_NE(Notices(), nullptr);
  EXPECT_EQ(Notices()->orders.size(), 1U);
  fleet.RunFor(trust::kResumeLife);
  EXPECT_TRUE(Notices() == nullptr || Notices()->orders.empty());
}

TEST_F(OrdersTest, OnePersonMayBringAnOrderThatBothSigned) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const auto resumed = Resume(Signed(Draft(Posted()), "ab"));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_FALSE(resumed->brake.halted);
}

TEST_F(OrdersTest, StrangersServersAndOldOrdersTakeNothingOff) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const trust::HaltNotice halt = Posted();
  for (const char* signers : {"x", "h", "d", "dh"})
    EXPECT_TRUE(absl::IsPermissionDenied(Resume(Signed(Draft(halt), signers)).status())) << signers;
  EXPECT_TRUE(absl::IsInvalidArgument(Resume("{}").status()));
  trust::HaltNotice other = halt;
  other.seq -= 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume(Signed(Draft(other), "ab")).status()));
  other = halt;
  other.scope.tenant = "acme";
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume(Signed(Draft(other), "ab")).status()));
  const std::string late = Signed(Draft(halt), "ab");
  fleet.RunFor(trust::kResumeLife);
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume(late).status()));
  EXPECT_EQ(Asked(), Reason::kHalted);
}

TEST_F(OrdersTest, ANewHaltDropsTheOrderThatWaitedAndHasANameOfItsOwn) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const trust::HaltNotice before = Posted();
  const trust::Envelope draft = Draft(before);
  ASSERT_TRUE(Resume(Signed(draft, "a")).ok());
  // Halted once more: the same halt, looked at again.
  const auto again = fleet.app().Halt(fleet.Sre("cleo", "still crashing"), kRelease);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->resume_order.empty());
  const auto second = Resume(Signed(draft, "b"), "bob");
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->needs_second_person);
  ASSERT_TRUE(Resume(Signed(draft, "a")).ok());
  EXPECT_TRUE(Notices()->halts.empty());

  fleet.RunFor(absl::Minutes(1));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  EXPECT_NE(Posted().halt_id, before.halt_id);
  EXPECT_GT(Posted().seq, before.seq);
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume(Signed(draft, "ab")).status()));
}

TEST_F(OrdersTest, ALeaseSaysWhatItIsBoundTo) {
  ASSERT_TRUE(fleet.RunUntil([&] { return fleet.Running(release.digest) >= 1; }, absl::Hours(1)));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const uint64_t halted = Posted().seq;
  const policy::Release next = fleet.Publish();
  app::LeaseTerms terms;
  ASSERT_TRUE(fleet.RunUntil(
      [&] {
        for (int i = 0; i < 10; ++i) {
          if (!fleet.host(i).staged.contains(next.digest)) continue;
          const auto reply = fleet.AskLease(i, "content", next.digest);
          if (reply.ok() && reply->granted) {
            terms = reply->terms;
            return true;
          }
        }
        return false;
      },
      absl::Hours(6)));
  EXPECT_EQ(terms.tenant, "vendor");
  EXPECT_EQ(terms.ring, "dogfood");
  EXPECT_EQ(terms.length, next.size_bytes);
  EXPECT_EQ(terms.to_serial, 2U);
  EXPECT_LT(terms.from_serial, 2U);
  EXPECT_EQ(terms.plan_revision, 1);
  EXPECT_EQ(terms.halt_seq, halted);
}

}  // namespace
}  // namespace ringfence::test
