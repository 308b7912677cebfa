// Signed halts as the server posts them, and the order of two persons that takes one off.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/trust_document.h"
#include "server/app/notice_board.h"
#include "server/gate/gate.h"
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

  // As the first host hears them, or one that nobody knows of another tenant.
  std::shared_ptr<const app::Notices> Notices(const std::string& tenant = "vendor") {
    return fleet.app().NoticesFor(tenant, tenant == "vendor" ? fleet.host(0).id : AgentId());
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

TEST_F(OrdersTest, ATenantsHaltIsPostedToThatTenantAndARingsToThatRing) {
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"vendor", "content", 1, ""}).ok());
  EXPECT_EQ(Posted().scope.tenant, "vendor");
  EXPECT_TRUE(Notices("acme") == nullptr || Notices("acme")->halts.empty());
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), {"vendor", "content", 1, "dogfood"}).ok());
  EXPECT_EQ(Notices()->halts.size(), 2U);
  fleet.Relabel(0, {{"ring", "elsewhere"}});
  fleet.RunFor(absl::Minutes(2));
  EXPECT_EQ(Notices()->halts.size(), 1U);
  EXPECT_EQ(fleet.app().NoticesFor("vendor", fleet.host(1).id)->halts.size(), 2U);
  fleet.Relabel(0, {{"ring", "dogfood"}});
  fleet.RunFor(absl::Minutes(2));
  EXPECT_EQ(Notices()->halts.size(), 2U) << "who comes into the ring hears of it";
}

TEST_F(OrdersTest, TheOrderThatTakesARingsHaltOffReachesThoseWhoLeftTheRingWithIt) {
  const Scope ring{"vendor", "content", 1, "dogfood"};
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), ring).ok());
  EXPECT_EQ(Posted().scope.ring, "dogfood");
  const auto resumed = Resume(Signed(Draft(Posted()), "ab"), "ann", ring);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  fleet.Relabel(0, {{"ring", "elsewhere"}});
  fleet.RunFor(absl::Minutes(2));
  ASSERT_EQ(Notices()->orders.size(), 1U);
  EXPECT_TRUE(trust::VerifyOrder(Notices()->orders[0].envelope, Everybody(), fleet.now()).ok());
  EXPECT_TRUE(Notices()->halts.empty());
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
  EXPECT_EQ(terms.plan_version, 0U) << "the vendor signs no plan";
  EXPECT_TRUE(terms.plan_sha256.IsZero());
  EXPECT_EQ(terms.halt_seq, halted);
}

// A server that follows a release repository believes whom its hosts believe: trust.json over what it was
// started with.
class FollowingOrdersTest : public OrdersTest {
 protected:
  FollowingOrdersTest() { fleet.Follow(std::make_shared<const gate::Trust>()); }

  void PublishTrust(const trust::TrustDocument& document) {
    storage::TrustDocumentRow row;
    row.name = trust::kTrustTarget;
    row.bytes = trust::SerializeTrustDocument(document);
    row.sha256 = Sha256(row.bytes);
    row.stored_at = fleet.now();
    ASSERT_TRUE(
        fleet.store().ReadWrite([&](storage::Transaction& tx) { return tx.PutTrustDocument(row); }).ok());
    fleet.Restart();
  }
  static trust::TrustDocument WithResume(const std::string& keys) {
    trust::TrustDocument document;
    document.version = 2;
    trust::TrustRole& resume = document.roles["resume"];
    for (const char key : keys) resume.keys.push_back({Key(key).public_key(), std::string(1, key)});
    resume.threshold = 2;
    return document;
  }
  bool Noticed(const std::string& text) {
    for (const std::string& notice : fleet.app().Status().notices) {
      if (notice.find(text) != std::string::npos) return true;
    }
    return false;
  }
};

TEST_F(FollowingOrdersTest, ThePublishedTrustDocumentSaysWhoTakesAHaltOff) {
  PublishTrust(WithResume("pq"));
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Resume(Signed(Draft(Posted()), "ab")).status()))
      << "they could once, and no host would follow them now";
  const auto resumed = Resume(Signed(Draft(Posted()), "pq"));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_FALSE(resumed->brake.halted);
}

TEST_F(FollowingOrdersTest, ARoleThatItDoesNotHaveStaysAsItWasPinnedWithoutRevokedKeys) {
  trust::TrustDocument document = WithResume("");
  document.roles.clear();
  document.revoked = {Key('a').public_key().KeyId()};
  PublishTrust(document);
  ASSERT_TRUE(fleet.app().Halt(fleet.Sre(), kRelease).ok());
  const auto resumed = Resume(Signed(Draft(Posted()), "ab"));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_TRUE(resumed->needs_second_person) << "ann's key was revoked";
  EXPECT_TRUE(Noticed("hosts would keep a halt for ever"));
}

TEST_F(FollowingOrdersTest, StatusSaysWhenHostsDoNotBelieveThisServersKey) {
  EXPECT_FALSE(Noticed("halting key"));
  trust::TrustDocument document = WithResume("ab");
  document.roles["halt"].keys = {{Key('n').public_key(), ""}};
  PublishTrust(document);
  EXPECT_TRUE(Noticed("the halting key of this server"));
}

}  // namespace
}  // namespace ringfence::test
